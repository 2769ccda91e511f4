#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# tgtd killed under I/O: what it acknowledged and flushed is there when it is back.
. "$(dirname "$0")/../lib.sh"

stage level
load_start load "$(url 1 1)" --connections 4 --depth 8 --slots 32 --reads 20 --flush-every 20
sleep 1.5
kill_pid "${TGTD_PID[a]}"
sleep 1 # the initiator notices on each of its connections
ok "reads before were right" load_stop load
is "all connections were lost" "$(load_report load dead_connections)" 4
isnt "commands were in flight" "$(load_count load 0 . lost)" 0
isnt "there were flushes" "$(load_count load 0 F ok)" 0

tgtd_start || die "tgtd starts again"
export_volume 1 level.img
ok "all flushed data is there" io check "$(url 1 1)" --state "$STATE/load.state"
said=$(<"$STATE/out")
ok "of many blocks" [ "$(sed -n 's/^checked //p' <<<"$said")" -gt 100 ]
like "all acknowledged data is there too" "$said" '^lost_acknowledged 0$'

# The check can fail: some bytes of the file are changed, and they were not these before.
lun_delete 1 1
printf 'eight by' | dd of="$STATE/level.img" bs=1 seek=$((LUKS_DATA_OFFSET + 5)) conv=notrunc status=none
lun_add 1 1 "$STATE/level.img"
not_ok "a change is noticed" io check "$(url 1 1)" --state "$STATE/load.state"

done_testing
