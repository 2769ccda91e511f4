#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# One volume, two tgtds, a client with dm-multipath over both: either tgtd is killed under a load that checks itself and
# comes back, then both are. The load never sees an error.
TEST_LIMIT=${TEST_LIMIT:-900}
NAMES=(ext4)
# shellcheck source=tests/guest/loads.sh
. "$(dirname "$0")/../loads.sh"

EXPORT=(--bsopts shared=on)
OTHER_TID=7
declare -A WAY # the path's disk in the guest, by the name of its tgtd

serve_other() { # [PORT]
	TGT=b
	tgtd_ready_or_die "$@"
	export_volume $OTHER_TID ext4.img "${EXPORT[@]}"
}

serve() { # a|b: again
	case $1 in
	a) TGT=a && loads_serve "${TGTD_PORT[a]}" ;;
	b) serve_other "${TGTD_PORT[b]}" ;;
	esac
}

path() { # TGTD IQN PORTAL: logs in
	ok "the kernel logs in to tgtd $1" \
		guest "login_with $2 $3 node.session.timeo.replacement_timeout=5"
	WAY[$1]=$(guest "disk $2") || die "it has a disk"
}

path_becomes() { guest "within 140 'path_is $2 mp ${WAY[$1]}'"; } # TGTD A|F

loads_stage raw
path a "${IQN[ext4]}" "$PORTAL"
serve_other
path b "$(target_iqn $OTHER_TID)" "$(guest_portal)"
wwid=$(guest "cat /sys/block/${WAY[a]##*/}/device/wwid")
like "the disks have an identity" "$wwid" '^naa\.6000'
is "which is the same" "$(guest "cat /sys/block/${WAY[b]##*/}/device/wwid")" "$wwid"
isnt "though they are two" "${WAY[a]}" "${WAY[b]}"

DISK[ext4]=$(guest "multipath mp ${WAY[a]} ${WAY[b]}") || die "the guest makes one disk of them"
each "it makes a file system" 'make_fs NAME DISK && mkdir /mnt/NAME && mount DISK /mnt/NAME'
load_begin
for tgtd in a b; do
	ok "tgtd $tgtd carries some of it" guest "goes_on ${WAY[$tgtd]} 100"
done

for killed in b a; do
	kill_pid "${TGTD_PID[$killed]}"
	ok "tgtd $killed is killed, its path fails" path_becomes $killed F
	each "over the other path the load goes on" 'goes_on DISK 100'
	serve $killed
	ok "tgtd $killed is back, and its path" path_becomes $killed A
	ok "and carries some of the load" guest "goes_on ${WAY[$killed]} 100"
done

for killed in a b; do
	kill_pid "${TGTD_PID[$killed]}"
done
for killed in a b; do
	ok "both are killed, the path to $killed fails" path_becomes $killed F
done
each "the load waits" 'stands_still DISK 3 && ! [ -s /tmp/NAME.status ]'
for killed in a b; do
	serve $killed
done
each "both are back, the load goes on" 'goes_on DISK 140'
load_end
each "all that was written is there" 'verify NAME'
each "it is unmounted" 'umount /mnt/NAME'
each "the file system is whole" 'check_fs NAME DISK'
ok "the paths are parted" guest "dmsetup remove --retry mp"
ok "the kernel logs out" guest "logout ${IQN[ext4]} $PORTAL"
TGT=b
ok "of both" guest "logout $(target_iqn $OTHER_TID) $(guest_portal)"
guest_log_is_clean "its kernel and its file system had no trouble" \
	'EXT4-fs (error|warning)|Aborting journal|Buffer I/O error|I/O error, dev dm-'
ok "it powers off" guest_poweroff
done_testing
