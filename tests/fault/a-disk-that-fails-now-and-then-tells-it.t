#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A disk through FUSE, whose server fails and delays as nbdkit's filters do, switched on and off while it is
# in use: each failure is told with its sense, at once and under load, and nothing else is harmed.
. "$(dirname "$0")/../lib.sh"

[ -e /dev/fuse ] || skip_all "no FUSE on this machine"

# NAME FILTERS-AND-SETTINGS...: the volume NAME.img as the file NAME.disk. Its triggers are NAME.read and NAME.write.
fuse_disk() {
	local name=$1 pid
	shift
	touch "$STATE/$name.disk"
	setsid nbdfuse "$STATE/$name.disk" --command nbdkit -s --exit-with-parent --filter=delay --filter=error \
		file "$STATE/$name.img" error-pread-file="$STATE/$name.read" error-pwrite-file="$STATE/$name.write" \
		"$@" >"$STATE/nbdfuse-$name.log" 2>&1 &
	pid=$!
	at_exit "umount -l $STATE/$name.disk; stop_pid $pid"
	wait_for 10 mountpoint -q "$STATE/$name.disk" || skip_all "FUSE cannot be mounted here"
}

fails() { touch "$STATE/$1"; }       # NAME.read or NAME.write
fails_no_more() { rm -f "$STATE/$1"; }
write_outcome() { # URL LBA [--fua]
	local err
	err=$(io write "$@" 2>&1 <"$STATE/block") && echo ok || sed -n 's/.*sense //p' <<<"$err"
}

keyd_ready
tgtd_ready_or_die
level_create level
tid=0
for name in broken full moody; do
	volume_create level $name.img 16M
done
fuse_disk broken error-pread=EIO error-pread-rate=100% error-pwrite=EIO error-pwrite-rate=100%
fuse_disk full error-pread=EIO error-pread-rate=100% error-pwrite=ENOSPC error-pwrite-rate=100%
fuse_disk moody error-pread=EIO error-pread-rate=20% error-pwrite=EIO error-pwrite-rate=20% rdelay=1ms wdelay=2ms
for name in broken full moody; do
	target_add $((++tid))
	lun_add $tid 1 "$STATE/$name.disk" || die "$name is exported"
done
broken=$(url 1 1) full=$(url 2 1) moody=$(url 3 1)
random_file "$STATE/block" 512
random_file "$STATE/plain" 65536
io write "$broken" 0 <"$STATE/plain"
io write "$full" 0 <"$STATE/plain"

fails broken.read
is "a read that fails" "$(read_outcome "$broken" 9000)" 03/11/00
is "the other disks are read meanwhile" "$(read_outcome "$full" 9000) $(read_outcome "$moody" 9000)" "ok ok"
fails_no_more broken.read
is "and does not fail afterwards" "$(read_outcome "$broken" 9000)" ok
fails broken.write
is "a write that fails" "$(write_outcome "$broken" 5)" 03/0c/00
is "and one on a full disk" "$(fails full.write; write_outcome "$full" 5)" 07/27/07
fails_no_more broken.write
fails_no_more full.write
io read "$broken" 0 128 >"$STATE/read"
same "it has changed nothing" "$STATE/read" "$STATE/plain"
is "what is written afterwards is" "$(write_outcome "$full" 5) $(read_outcome "$full" 5)" "ok ok"
fails broken.write
is "a write with FUA that fails" "$(write_outcome "$broken" 5 --fua)" 03/0c/00
fails_no_more broken.write
is "leaves no flush to be believed" "$(outcome flush "$broken") $(write_outcome "$broken" 5 --fua)" "03/0c/00 03/0c/00"
lun_delete 1 1
lun_add 1 1 "$STATE/broken.disk"
is "until the disk is opened again" "$(outcome flush "$broken") $(write_outcome "$broken" 5 --fua)" "ok ok"

load_start moody "$moody" --connections 4 --depth 8 --slots 32 --size 4096 --flush-every 50
load_start full "$full" --connections 1 --depth 2 --slots 32 --size 4096
sleep 1
fails moody.read
fails moody.write
sleep 4
isnt "reads fail under load" "$(load_count moody 0 R 03/11/00)" 0
isnt "and writes" "$(load_count moody 0 W 03/0c/00)" 0
fails_no_more moody.read
fails_no_more moody.write
healed=$(io now)
sleep 1
isnt "and then no longer all of them" "$(load_count moody "$healed" . ok)" 0
ok "what was read was right" load_stop moody
is "what failed was told for what it was" "$(load_outcomes moody)" "03/0c/00 03/11/00 ok"
ok "all that was acknowledged is there" io check "$moody" --state "$STATE/moody.state"
like "with nothing lost" "$(<"$STATE/out")" '^lost_acknowledged 0$'
ok "the other disk's reads were right" load_stop full
is "and saw no error" "$(load_outcomes full)" ok
for tid in 1 2 3; do lun_delete $tid 1; done

done_testing
