#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# tgt waits in its only loop for a client that asks for data and does not read its socket. With
# client_timeout= that ends after the time given, and the other clients are served again.
. "$(dirname "$0")/../lib.sh"

TIMEOUT_S=4

keyd_ready
tgtd_ready_or_die
level_create level
volume_create level a.img 64M
volume_create level b.img 64M
export_volume 1 a.img --bsopts "client_timeout=$TIMEOUT_S"
export_volume 2 b.img # without the option, in the same tgtd
target_add 3
not_ok "another time is refused" lun_add 3 1 "$STATE/b.img" --bsopts "client_timeout=9"
like "with the one that holds" "$(<"$(tgtd_log)")" "client_timeout=9: this tgtd has $TIMEOUT_S"

start_stalling() { # TID
	rm -f "$STATE/stall.log"
	python3 "$TESTS/tools/stall.py" 127.0.0.1 "${TGTD_PORT[$TGT]}" "$(target_iqn "$1")" >"$STATE/stall.log" 2>&1 &
	stalling=$!
	at_exit "kill -KILL $stalling"
	wait_for 10 grep -q stalled "$STATE/stall.log"
}
ok "a client asks for much and reads nothing" start_stalling 1
stuck() { ! LIMIT=1 io read "$(url 2 1)" 0 1; }
ok "a client that does not read holds up the others" wait_for 10 stuck
started=$(date +%s)
served() { LIMIT=2 io read "$(url 2 1)" 0 1; }
ok "until its time is over" wait_for 60 served
diag "served again after $(($(date +%s) - started)) s"
ok "while it still stalls" alive "$stalling"
is "a new client of its LUN is served, too" "$(read_outcome "$(url 1 1)")" ok

TGT=b
tgtd_ready_or_die
level_create other
volume_create other c.img 64M
export_volume 2 c.img
ok "a client does the same to a tgtd without the option" start_stalling 2
ok "which holds up the others" wait_for 10 stuck
sleep $((2 * TIMEOUT_S))
ok "and goes on doing so" stuck
ok "a key is destroyed all the same" keyadm level destroy other --yes
kill_pid "${TGTD_PID[b]}"

done_testing
