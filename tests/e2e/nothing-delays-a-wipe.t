#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A destroy is acknowledged and true although tgtd's log has stalled, and a header made to be slow
# is refused before it can hold up anything.
. "$(dirname "$0")/../lib.sh"

keyd_ready
level_create doomed
level_create other

# tgtd's stderr is a pipe that nobody reads.
mkfifo "$STATE/stalled"
exec {stalled}<>"$STATE/stalled"
tgtd_log() { echo "$STATE/stalled"; }
tgtd_ready_or_die
target_add 1
for n in 1 2 3; do
	volume_create doomed "d$n.img" 8M
	lun_add 1 $n "$STATE/d$n.img" || die "volume $n is exported"
	is "LUN $n works" "$(read_outcome "$(url 1 $n)")" ok
done
timeout 2 dd if=/dev/zero of="$STATE/stalled" bs=1 count=200000 oflag=nonblock 2>/dev/null
said=$(keyadm level destroy doomed --yes)
is "with a stalled log the destroy is acknowledged" $? 0
like "by the one tgtd" "$said" "1 of 1 consumers confirmed"
cat <&"$stalled" >/dev/null & # the log flows again, so that tgtd answers
reader=$!
at_exit kill $reader
for n in 1 2 3; do
	is "LUN $n is gone" "$(read_outcome "$(url 1 $n)")" 07/74/71
done
tgtd_stop

tgtd_log() { echo "$STATE/tgtd-$TGT.log"; }
tgtd_ready_or_die
volume_create other slow.img 8M
volume_create other good.img 8M
ok "a header is given a digest that takes an hour" \
	python3 "$TESTS/tools/luks2-edit.py" "$STATE/slow.img" 'meta["digests"]["0"]["iterations"]=4000000000'
target_add 1
started=$SECONDS
not_ok "it is refused" lun_add 1 1 "$STATE/slow.img"
ok "at once" [ $((SECONDS - started)) -lt 10 ]
like "in words" "$(<"$(tgtd_log)")" "slow.img.*digest"
ok "a good one is taken" lun_add 1 2 "$STATE/good.img"
is "and works" "$(read_outcome "$(url 1 2)")" ok

done_testing
