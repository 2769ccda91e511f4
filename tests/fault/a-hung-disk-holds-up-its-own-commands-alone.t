#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# While a call of the store hangs: other commands of the LUN, new logins and other LUNs are served; ABORT
# TASK and LOGICAL UNIT RESET of what hangs are answered when the disk goes on, and the LUN is whole then.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/faults.sh"

keyd_ready
faulty_tgtd_or_die
level_create level
volume_create level hung.img 16M
volume_create level other.img 64M
export_volume 1 hung.img
export_volume 2 other.img
random_file "$STATE/random" $((1 << 20))
io write "$(url 1 1)" 0 <"$STATE/random"
load_start other "$(url 2 1)" --connections 2 --depth 4 --flush-every 500

"$BUILD/tests/hang" "$(url 1 1)" --control "$STATE/control" --image "$STATE/hung.img" >"$STATE/said" 2>"$STATE/complaint"
is "everything was asked" $? 0
[ ! -s "$STATE/complaint" ] || diag "$(<"$STATE/complaint")"
said() { grep -E "$1" "$STATE/said" | sed 's/.*: //' | sort | uniq -c | xargs; } # REGEX: answers and how many

is "the LUN is ready meanwhile, for old and for new sessions" "$(said 'TEST UNIT READY of')" "34 ok"
is "its other blocks are read" "$(said 'other blocks')" "34 ok"
# tgt answers a task management function when the last command that it is for has ended.
is "ABORT TASK waits for the disk" "$(said 'ABORT TASK, the function while')" "4 waits"
is "so does LOGICAL UNIT RESET" "$(said 'RESET, the function while')" "4 waits"
is "the command, too" "$(said 'the command while')" "8 waits"
is "ABORT TASK is answered when the disk goes on: the task has ended" "$(said 'ABORT TASK, the function when')" "4 response 1"
is "so is LOGICAL UNIT RESET: it is done" "$(said 'RESET, the function when')" "4 response 0"
is "and the command itself" "$(said 'the command when')" "9 ok"
is "so are 63 at once" "$(said 'all when')" "1 ok"
# A second function for one command takes the first one's place in tgt.
is "of two functions the second is answered" "$(said 'the second when')" "1 response 0"
is "tgt forgets the first" "$(said 'the first when')" "1 waits"
is "the write cache is not off before a write under way has ended" "$(said 'cache off')" "1 ok 1 waits"

random_file "$STATE/more" $((1 << 20))
ok "the LUN takes data afterwards" io write "$(url 1 1)" 0 --fua <"$STATE/more"
io read "$(url 1 1)" 0 2048 >"$STATE/read"
same "and gives it back" "$STATE/read" "$STATE/more"
ok "nothing is left of the lost sessions: the LUN can be closed" lun_delete 1 1
ok "the other LUN's reads were right" load_stop other
is "and none of its commands failed" "$(load_outcomes other)" ok

done_testing
