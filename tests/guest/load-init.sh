# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What the tests in long/ do in the guest: file systems on LUNs, and a load that checks itself.

# What hangs for as long is in the kernel's log.
echo 60 >/proc/sys/kernel/hung_task_timeout_secs
export DM_DISABLE_UDEV=1 # there is none

node() { # IQN PORTAL SETTING=VALUE...: a record of the target
	iqn=$1 portal=$2
	shift 2
	iscsiadm -m node -o new -T "$iqn" -p "$portal,1" || return
	for setting; do
		iscsiadm -m node -o update -T "$iqn" -p "$portal,1" -n "${setting%%=*}" -v "${setting#*=}" || return
	done
}

make_fs() { # NAME DISK: of the kind that the name begins with
	case $1 in
	ext4*) /sbin/mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 "$2" ;; # not busybox's
	xfs*) modprobe xfs && mkfs.xfs -q -f -K "$2" ;;
	esac
}

check_fs() { # NAME DISK: finds nothing to mend
	case $1 in
	ext4*) /sbin/e2fsck -f -n "$2" ;;
	xfs*) xfs_repair -n "$2" ;;
	esac
}

# fio writes 8 MiB of a file of /mnt/NAME in random order and reads all of it back. Every twelve bytes name the round and
# the block, so that neither an earlier round's data nor another block's is taken for right.
fio_round() { # NAME ROUND OPTION...
	name=$1 round=$2
	shift 2
	fio --name=load --directory="/mnt/$name" --size=8m --bs=4k --rw=randwrite --ioengine=libaio --iodepth=8 \
		--direct=1 --fsync=64 --verify=pattern --verify_pattern="$(printf '0x%08x%%o' "$round")" --verify_fatal=1 "$@"
}

# Rounds of that until /tmp/NAME.stop is there or one fails; then /tmp/NAME.status tells how it was. What fio said of the
# last one is in /tmp/NAME.fio.
load() { # NAME
	rm -f "/tmp/$1.status" "/tmp/$1.stop"
	load_rounds "$1" </dev/null >/dev/null 2>&1 &
}

load_rounds() { # NAME
	status=0
	until [ -e "/tmp/$1.stop" ] || [ $status != 0 ]; do
		echo $(($(cat "/tmp/$1.round") + 1)) >"/tmp/$1.round"
		fio_round "$1" "$(cat "/tmp/$1.round")" --rate_iops=,200 >"/tmp/$1.fio" 2>&1
		status=$?
	done
	echo $status >"/tmp/$1.status"
}

load_end() { # NAME SECONDS: stops it; prints the load's status
	touch "/tmp/$1.stop"
	within "$2" "[ -s /tmp/$1.status ]" || { echo "has not ended" && return 1; }
	[ "$(cat "/tmp/$1.status")" = 0 ] || cat "/tmp/$1.fio"
	cat "/tmp/$1.status"
}

verify() { # NAME [ROUND]: the load's last round is there, on the disk
	echo 3 >/proc/sys/vm/drop_caches
	fio_round "$1" "${2:-$(cat "/tmp/$1.round")}" --verify_only
}

io_done() { # DISK: how many reads and writes the kernel has seen done, ever
	awk '{ print $1 + $5 }' "/sys/block/${1##*/}/stat"
}

goes_on() { # DISK SECONDS: at least 20 more
	since=$(io_done "$1")
	within "$2" "[ \$(io_done $1) -ge $((since + 20)) ]"
}

stands_still() { # DISK SECONDS
	since=$(io_done "$1")
	sleep "$2"
	[ "$(io_done "$1")" = "$since" ]
}
