#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# While the storage of one LUN hangs, with all its depth used up, another LUN of the same tgtd is
# served, keys are destroyed at once, and what waited comes back right when the storage does.
. "$(dirname "$0")/../lib.sh"

[ -e /dev/fuse ] || skip_all "no FUSE on this machine"

slow_again() { [ "$(load_count slow "$1" W ok)" = 0 ] || echo yes; } # NS: since then

keyd_ready
tgtd_ready_or_die
for level in fast slow other; do
	level_create $level
	volume_create $level $level.img 64M
done
export_volume 1 fast.img
export_volume 3 other.img

# The slow volume through FUSE: its disk is a process that can be stopped.
touch "$STATE/disk"
setsid nbdfuse "$STATE/disk" --command nbdkit -s --exit-with-parent --pidfile "$STATE/nbdkit.pid" \
	file "$STATE/slow.img" >"$STATE/nbdfuse.log" 2>&1 &
NBDFUSE=$!
at_exit "kill -CONT \$(cat $STATE/nbdkit.pid); umount -l $STATE/disk; stop_pid $NBDFUSE"
wait_for 10 mountpoint -q "$STATE/disk" || skip_all "FUSE cannot be mounted here"
wait_for 10 test -s "$STATE/nbdkit.pid"
target_add 2
lun_add 2 1 "$STATE/disk" || die "the slow volume is exported"
slow=$(url 2 1)
random_file "$STATE/plain" $((1 << 20))
ok "the slow LUN takes data" io write "$slow" 0 <"$STATE/plain"

load_start fast "$(url 1 1)" --connections 2
load_start slow "$slow" --connections 4 --depth 32 --reads 50 --offset $((4 << 20))
sleep 1
isnt "the slow LUN works" "$(load_count slow 0 W ok)" 0
kill -STOP "$(<"$STATE/nbdkit.pid")"
sleep 1
stopped=$(io now)
sleep 2
isnt "the other LUN is served while the storage hangs" "$(load_count fast "$stopped" . ok)" 0
is "and the storage did hang" "$(load_count slow "$stopped" W ok)" 0
ok "another level is destroyed meanwhile" keyadm level destroy other --yes
is "with effect" "$(read_outcome "$(url 3 1)")" 07/74/71
isnt "still served" "$(load_count fast "$(($(io now) - 500000000))" . ok)" 0
resumed=$(io now)
kill -CONT "$(<"$STATE/nbdkit.pid")"
becomes 20 yes slow_again "$resumed"
ok "what waited came back right" load_stop slow
is "without an error" "$(load_outcomes slow)" ok
ok "the other LUN's reads were right" load_stop fast
is "and saw no error either" "$(load_outcomes fast)" ok
io read "$slow" 0 2048 >"$STATE/read"
same "the slow LUN still has its data" "$STATE/read" "$STATE/plain"
lun_delete 2 1

done_testing
