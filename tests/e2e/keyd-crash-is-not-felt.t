#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyd killed under I/O and started again: initiators see nothing, and its word counts at once.
. "$(dirname "$0")/../lib.sh"

stage one two
load_start one "$(url 1 1)" --connections 3
load_start two "$(url 2 1)" --connections 1 --flush-every 10
for round in 1 2 3; do
	kill_pid "$KEYD_PID"
	sleep 0.4
	ok "keyd starts again ($round)" keyd_start
	sleep 0.4
done
ok "reads were right" load_stop one
is "no error" "$(load_outcomes one)" ok
is "no lost connection" "$(load_report one dead_connections)" 0
ok "no command took 2 seconds" [ "$(load_report one slowest_ms)" -lt 2000 ]
ok "reads of the second LUN were right" load_stop two
is "no error there" "$(load_outcomes two)" ok

kill_pid "$KEYD_PID"
ok "keyd starts once more" keyd_start
ok "tgtd is back in its session" becomes 5 1 eval "keyadm --json status | grep -c '\"pid\": *${TGTD_PID[a]}'"
ok "and obeys" keyadm level suspend one
is "at once" "$(read_outcome "$(url 1 1)")" 02/04/01
is "where it should" "$(read_outcome "$(url 2 1)")" ok

done_testing
