#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# dm-crypt is the oracle: what went through iSCSI a kernel opens with cryptsetup and the volume key, and reads the same
# bytes; what it writes comes back through iSCSI. Both ciphers, both sector sizes, around sector 2^32 of sparse files.
# SEED repeats a run's data.
TEST_LIMIT=${TEST_LIMIT:-900}
# shellcheck source=tests/guest/stage.sh
. "$(dirname "$0")/../stage.sh"

GUEST_LIMIT=150
SEED=${SEED:-$RANDOM$RANDOM}
diag "SEED=$SEED"
MIB=1048576
VOLUME_MIB=2621440 # 2.5 TiB; sector 2^32, in units of 512 bytes, is at 2 TiB
NAMES=(cbc-512 cbc-4096 xts-512 xts-4096)
declare -A CIPHER=([cbc]=aes-cbc-essiv:sha256 [xts]=aes-xts-plain64) KEY_BITS=([cbc]=256 [xts]=512)
declare -A RANGE_MIB=([512]=32 [4096]=16) # of each range
sectors=0

noise() { # NAME: 128 MiB that SEED and NAME tell
	openssl enc -aes-128-ctr -pass "pass:$1 $SEED" -pbkdf2 -nosalt -in /dev/zero 2>/dev/null |
		head -c $((128 * MIB)) >"$STATE/$1"
}

ranges() { # MIB-EACH: where they begin, in MiB: at the start, around sectors 2^31 and 2^32, at the end
	echo 0 $((1048576 - $1 / 2)) $((2097152 - $1 / 2)) $((VOLUME_MIB - $1))
}

each_range() { # NAME FUNCTION: called with NAME, BLOCK, the range's MiB, its place in the LUN and in the noise
	local block=${1#*-} at number=0 each
	each=${RANGE_MIB[$block]}
	for at in $(ranges "$each"); do
		"$2" "$1" "$block" "$each" "$at" $((number++ * each)) || return
	done
}

compared() { sectors=$((sectors + 4 * RANGE_MIB[$1] * MIB / $1)); } # BLOCK

# keyadm takes a file as it is where the file system cannot reserve space, and this one says so.
sparse_volume() { # NAME
	truncate -s $((VOLUME_MIB + 16))M "$STATE/$1.img" &&
		strace -qq -o "$STATE/trace" -e trace=fallocate -e inject=fallocate:error=EOPNOTSUPP \
			"$BUILD/keyadm" --admin-socket "$STATE/admin.sock" volume create --level level --size "${VOLUME_MIB}M" \
			--force --sector-size "${1#*-}" --cipher "${CIPHER[${1%-*}]}" "$STATE/$1.img"
}

export_all() {
	local tid=0 name
	for name in "${NAMES[@]}"; do
		export_volume $((++tid)) "$name.img" --blocksize "${name#*-}"
	done
}

lba() { echo $(($2 * (MIB / $1))); } # BLOCK MIB

iscsi_write() {
	tail -c +$(($5 * MIB + 1)) "$STATE/by-iscsi" | head -c $(($3 * MIB)) |
		io write "$(url "$tid" 1)" "$(lba "$2" "$4")" --chunk $((65536 / $2))
}

iscsi_compare() {
	io read "$(url "$tid" 1)" "$(lba "$2" "$4")" $(($3 * MIB / $2)) --chunk $((65536 / $2)) |
		cmp -n $(($3 * MIB)) -i "0:$(($5 * MIB))" - "$STATE/by-dm-crypt"
}

guest_compare() { # with the disk that has the noise; busybox's cmp skips by reading
	guest "/bin/cmp -n $(($3 * MIB)) -i $(($4 * MIB)):$(($5 * MIB)) /dev/mapper/$1 /dev/vde"
}

guest_write() {
	guest "dd if=/dev/vdf of=/dev/mapper/$1 bs=1M count=$3 skip=$5 seek=$4 conv=fsync"
}

# --- through iSCSI -------------------------------------------------------------------------------

guest_image_or_skip
truncate -s $((VOLUME_MIB + 16))M "$STATE/huge" || skip_all "no sparse files of 2.5 TiB in ${TMPDIR:-/tmp}"
rm "$STATE/huge"
noise by-iscsi
noise by-dm-crypt
keyd_ready
level_create level
tgtd_ready_or_die
drives=()
mkdir -p "$STATE/root"
for name in "${NAMES[@]}"; do
	ok "$name: a sparse volume is created" sparse_volume "$name"
	keyadm volume key "$STATE/$name.img" --out "$STATE/root/$name.key" >/dev/null || die "$name: its key is handed out"
	drives+=(-drive "file=$STATE/$name.img,format=raw,if=virtio,file.locking=off")
done
export_all
tid=0
for name in "${NAMES[@]}"; do
	: $((++tid))
	ok "$name: data is written through iSCSI" each_range "$name" iscsi_write
	ok "$name: and flushed" io flush "$(url $tid 1)"
	ok "$name: the LUN is taken away" lun_delete $tid 1
	ok "$name: and the target" tgt --op delete --mode target --tid $tid
done

# --- dm-crypt ------------------------------------------------------------------------------------

guest_programs cryptsetup cmp || die "the guest gets its programs"
for noise in by-iscsi by-dm-crypt; do
	drives+=(-drive "file=$STATE/$noise,format=raw,if=virtio,readonly=on")
done
guest_boot_or_die "${drives[@]}"
guest 'modprobe -a virtio_blk dm-crypt essiv xts aesni-intel sha256-ssse3' || die "the guest has dm-crypt"
letters=abcd
for name in "${NAMES[@]}"; do
	disk=/dev/vd${letters:0:1}
	letters=${letters:1}
	ok "$name: cryptsetup opens it with the volume key" guest "DM_DISABLE_UDEV=1 cryptsetup open --type luks2 \
		--volume-key-file /$name.key --key-size ${KEY_BITS[${name%-*}]} $disk $name"
	is "$name: as it is meant" "$(guest "DM_DISABLE_UDEV=1 cryptsetup status $name | sed -n 's/^ *cipher: *//p; s/^ *sector size: *//p'" | xargs)" \
		"${CIPHER[${name%-*}]} ${name#*-}"
	ok "$name: dm-crypt reads what iSCSI wrote, byte by byte" each_range "$name" guest_compare
	compared "${name#*-}"
	ok "$name: dm-crypt writes" each_range "$name" guest_write
	ok "$name: and closes it" guest "DM_DISABLE_UDEV=1 cryptsetup close $name && blockdev --flushbufs $disk"
done
guest_log_is_clean "its kernel had no trouble" 'I/O error'
ok "it powers off" guest_poweroff

# --- through iSCSI again -------------------------------------------------------------------------

export_all
tid=0
for name in "${NAMES[@]}"; do
	: $((++tid))
	ok "$name: iSCSI reads what dm-crypt wrote, byte by byte" each_range "$name" iscsi_compare
	compared "${name#*-}"
done
diag "$sectors sectors compared"
ok "a million sectors were compared" [ "$sectors" -ge 1000000 ]
done_testing
