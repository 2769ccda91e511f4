# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What lio.sh's commands use in the guest: four contestants, each an iSCSI target on the loopback over
# a RAM disk of its own.
RUN=/run/bench
DISK_MB=80
HEADER_MB=16 # of a LUKS2 volume

export DM_DISABLE_UDEV=1 # there is none
export TGT_IPC_SOCKET KEYD_SOCKET=$RUN/keyd.sock
# Both tgtds get it: with glibc's defaults large buffers are mapped and unmapped for every command.
MALLOC=glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296
MALLOC=$MALLOC:glibc.malloc.top_pad=67108864

iqn() { echo "iqn.2007-06.example.tgt-crypt:$(port "$1")"; } # tgt takes no underscore

port() { # NAME
	case $1 in
	lio) echo 3261 ;;
	lio_dmcrypt) echo 3262 ;;
	tgtd) echo 3263 ;;
	tgt_crypt) echo 3264 ;;
	esac
}

disk_number() { echo $(($(port "$1") - 3261)); }

bench_prepare() {
	mkdir -p $RUN
	yes "This passage is in the clear." | head -c $((DISK_MB << 20)) >$RUN/passages
	modprobe brd rd_nr=4 rd_size=$((DISK_MB << 10)) &&
		modprobe -a aesni-intel sha256-ssse3 essiv dm-crypt algif_skcipher &&
		modprobe -a iscsi_target_mod target_core_iblock &&
		mount -t configfs config /sys/kernel/config
}

# --- the kernel's target -------------------------------------------------------------------------

lio_serve() { # NAME DISK SETTING...: through configfs, as targetcli does
	name=$1 disk=$2
	shift 2
	store=/sys/kernel/config/target/core/iblock_0/$name
	mkdir -p "$store" && echo "udev_path=$disk" >"$store/control" && echo 1 >"$store/enable" ||
		return
	group=/sys/kernel/config/target/iscsi/$(iqn "$name")/tpgt_1
	mkdir -p "$group/lun/lun_1" "$group/np/127.0.0.1:$(port "$name")" &&
		ln -s "$store" "$group/lun/lun_1/store" || return
	echo 0 >"$group/attrib/authentication"
	echo 0 >"$group/attrib/demo_mode_write_protect"
	echo 1 >"$group/attrib/generate_node_acls"
	for setting; do
		echo "${setting#*=}" >"$group/param/${setting%%=*}" || return
	done
	echo 1 >"$group/enable"
}

dmcrypt_open() { # DISK: as /dev/mapper/crypted
	head -c 32 /dev/urandom >$RUN/key
	cryptsetup open --type plain --cipher aes-cbc-essiv:sha256 --key-size 256 --sector-size 512 \
		--key-file $RUN/key "$1" crypted
}

# --- tgt -----------------------------------------------------------------------------------------

tgt() { timeout 20 tgtadm --lld iscsi "$@"; }

tgtd_start() { # NAME [LIBRARY]: the library loaded into it, as the plugin's folder would do
	TGT_IPC_SOCKET=$RUN/$1.ipc
	LD_PRELOAD=${2-} GLIBC_TUNABLES=$MALLOC \
		tgtd -f -C 0 --iscsi "portal=127.0.0.1:$(port "$1")" >$RUN/"$1.log" 2>&1 &
	within 20 'tgt --op show --mode system >/dev/null 2>&1'
}

tgtd_target() { # NAME SETTING...
	TGT_IPC_SOCKET=$RUN/$1.ipc
	tgt --op new --mode target --tid 1 --targetname "$(iqn "$1")" || return
	shift
	for setting; do
		tgt --op update --mode target --tid 1 --name "${setting%%=*}" \
			--value "${setting#*=}" || return
	done
	tgt --op bind --mode target --tid 1 --initiator-address ALL
}

lun_add() { # NAME BSTYPE DISK [tgtadm's further options]
	name=$1 bstype=$2 disk=$3
	shift 3
	TGT_IPC_SOCKET=$RUN/$name.ipc
	tgt --op new --mode logicalunit --tid 1 --lun 1 --bstype "$bstype" --backing-store "$disk" "$@"
}

keyadm() { timeout 30 /bin/keyadm --admin-socket $RUN/admin.sock "$@"; }

keyd_start() {
	keyd --state $RUN/store --socket $RUN/keyd.sock --admin-socket $RUN/admin.sock \
		>$RUN/keyd.log 2>&1 &
	within 20 "[ -S $RUN/admin.sock ]"
}

volume_make() { # DISK
	keyadm init && keyadm level create bench &&
		keyadm volume create --level bench --force --size $((DISK_MB - HEADER_MB))M --sector-size 512 "$1"
}

# The plugin does not say which engine it takes, but it takes the first one that it can.
engine_of_plugin() { # DISK
	for engine in ipsec-mb-avx512 ipsec-mb-avx2 ipsec-mb-sse openssl; do
		lun_add tgt_crypt crypt "$1" --bsopts "engine=$engine" >/dev/null 2>&1 || continue
		tgt --op delete --mode logicalunit --tid 1 --lun 1 && echo "$engine"
		return
	done
	return 1
}

# --- what is measured ----------------------------------------------------------------------------

url() { echo "iscsi://127.0.0.1:$(port "$1")/$(iqn "$1")/1"; }

# Writes every block. 0 when the disk shows, or does not show, what was written.
fill() { # NAME
	read -r blocks block_bytes <<-CAPACITY || return
		$(iscsi-io capacity "$(url "$1")")
	CAPACITY
	head -c $((blocks * block_bytes)) $RUN/passages |
		iscsi-io write "$(url "$1")" 0 --chunk 2048 || return
	shown=$(dd if="/dev/ram$(disk_number "$1")" bs=1M skip=$HEADER_MB count=1 2>/dev/null |
		grep -c "in the clear")
	case $1 in
	lio | tgtd) [ "$shown" != 0 ] ;;
	*) [ "$shown" = 0 ] ;;
	esac
}

cell() { # NAME SIZE OP DEPTH MS: MB/s
	op=
	[ "$3" = read ] || op=--write
	timeout 50 iscsi-io speed "$(url "$1")" --size "$2" --depth "$4" --ms "$5" $op
}

# Which drivers dm-crypt's tables resolve to.
drivers() {
	dmsetup table 2>/dev/null
	sed -n 's/^driver *: *//p' /proc/crypto | grep -E 'essiv|cbc|sha256' | sort -u
}

openssl_speed() { # BYTES [-decrypt]: MB/s
	openssl speed -mr -seconds 1 -evp aes-256-cbc -bytes "$@" 2>/dev/null |
		awk -F: '/^\+F/ { printf "%.1f\n", $NF / 1e6 }'
}

dd_speed() { # dd's arguments: MB/s
	/bin/dd bs=1M count=$DISK_MB "$@" 2>&1 |
		awk -F '[ ,]+' '/copied/ { printf "%.1f\n", $1 / $(NF - 3) / 1e6 }'
}
