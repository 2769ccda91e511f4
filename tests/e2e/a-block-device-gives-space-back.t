#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# discard=on over block devices, one of them with larger blocks than the LUN's: loop devices, whose files
# show what was given back. What cannot give any back is refused.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"

bs=512
device_for() { # FILE SECTOR-BYTES: a loop device over it
	truncate -s 80M "$STATE/$1" && loop_device "$STATE/$1" --sector-size "$2"
}
allocated() { stat -c %b "$STATE/$1"; } # FILE

gives_back() { # DEVICE FILE: 1 MiB and a bit at either end that fills no block of the device
	local before data=$STATE/data
	random_file "$data" $((2 << 20))
	io write "$u" 0 <"$data"
	io flush "$u"
	before=$(allocated "$2")
	is "$1: UNMAP" "$(unmap 1001 2051)" "status 00"
	reads_zeros "$1: reads zeros" 1001 2051
	ok "$1: the space is free" [ $((before - $(allocated "$2"))) -ge 2000 ]
	head -c $((1001 * bs)) "$data" >"$STATE/part"
	data_is "$1: what lies before is there" 0 1001 "$STATE/part"
	tail -c $((4096 * bs - 3052 * bs)) "$data" >"$STATE/part"
	data_is "$1: and what lies behind" 3052 1044 "$STATE/part"
	is "$1: UNMAP of one block" "$(unmap 3060 1)" "status 00"
	reads_zeros "$1: reads zeros" 3060 1
	is "$1: GET LBA STATUS knows no holes of a device" "$(lba_status 1000)" "1000+130072 00"
}

keyd_ready
tgtd_ready_or_die
level_create level
tid=0
for size in 512 4096; do
	device=$(device_for $size.img $size) || skip_all "no loop device can be had here"
	at_exit losetup -d "$device"
	ok "a volume on a device of $size-byte blocks" keyadm volume create --level level --size 64M --force "$device"
	target_add $((++tid)) && ok "is exported" lun_add $tid 1 "$device" --bsopts discard=on
	u=$(url $tid 1)
	gives_back "device of $size-byte blocks" $size.img
	lun_delete $tid 1
done

# A file system that knows no holes: FUSE, without fallocate(2).
volume_create level plain.img 16M
: >"$STATE/seen.img"
setsid setpriv --pdeathsig TERM "$BUILD/tests/slow-file" 1 "$STATE/plain.img" "$STATE/seen.img" &
at_exit stop_pid $!
if wait_for 10 test -s "$STATE/seen.img"; then
	not_ok "without holes discard=on is refused" lun_add $tid 1 "$STATE/seen.img" --bsopts discard=on
	like "for a reason" "$(grep 'bs_crypt: ' "$(tgtd_log)" | tail -n 1)" 'cannot give space back: leave discard=on out$'
	ok "and the volume served without" lun_add $tid 1 "$STATE/seen.img"
	lun_delete $tid 1
else
	skip "a volume on a file system without holes" "no FUSE here"
fi

done_testing
