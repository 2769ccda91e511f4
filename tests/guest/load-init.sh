# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What the tests in long/ do in the guest: file systems on LUNs, and a load that checks itself.

# What hangs for as long is in the kernel's log.
echo 90 >/proc/sys/kernel/hung_task_timeout_secs
export DM_DISABLE_UDEV=1 # there is none

login_with() { # IQN PORTAL SETTING=VALUE...: with these settings of iscsid.conf(5)
	iqn=$1 portal=$2,1
	shift 2
	iscsiadm -m node -o new -T "$iqn" -p "$portal" || return
	for setting; do
		iscsiadm -m node -o update -T "$iqn" -p "$portal" -n "${setting%%=*}" -v "${setting#*=}" || return
	done
	iscsiadm -m node -T "$iqn" -p "$portal" --login
}

session() { # IQN: prints its folder in /sys/class/iscsi_session
	for session in /sys/class/iscsi_session/session*; do
		[ "$(cat "$session/targetname" 2>/dev/null)" != "$1" ] || echo "$session"
	done
}

digests() { # IQN: prints whether its session has header and data digests, such as "1 1"
	session=$(session "$1")
	connection=/sys/class/iscsi_connection/connection${session##*/session}:0
	echo "$(cat "$connection/header_digest") $(cat "$connection/data_digest")"
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

use_raw() { # NAME DISK: the load's file is the disk itself
	mkdir -p "/mnt/$1" && ln -sf "$2" "/mnt/$1/load.0.0"
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

# --- several paths to a disk, as multipathd(8) would have it -------------------------------------

number() { cat "/sys/block/${1##*/}/dev"; } # DISK: prints MAJOR:MINOR

# A disk that uses all paths in turn, and keeps commands while it has none; prints it. Paths have no I/O scheduler: after one has
# failed, Linux 6.1's mq-deadline may have counted the requests of dm-multipath wrongly, and warns when the path goes (dd_exit_sched).
multipath() { # NAME DISK...
	modprobe -a dm-multipath dm-round-robin || return
	name=$1
	shift
	paths=
	for disk; do
		echo none >"/sys/block/${disk##*/}/queue/scheduler" || return
		paths="$paths $(number "$disk") 1"
	done
	echo "0 $(blockdev --getsz "$1") multipath 1 queue_if_no_path 0 1 1 round-robin 0 $# 1$paths" |
		dmsetup create "$name" && check_paths "$name" "$@" </dev/null >/dev/null 2>&1 &&
		echo "/dev/dm-$(dmsetup info -c --noheadings -o minor "$name")"
}

path_is() { # A|F NAME DISK: active, failed
	dmsetup status "$2" | grep -q " $(number "$3") $1 "
}

# Puts a failed path that can be read from again back to work.
check_paths() { # NAME DISK...
	name=$1
	shift
	while dmsetup status "$name"; do
		for disk; do
			path_is F "$name" "$disk" && dd if="$disk" of=/dev/null bs=4k count=1 iflag=direct &&
				dmsetup message "$name" 0 "reinstate_path $(number "$disk")"
		done
		sleep 1
	done &
}
