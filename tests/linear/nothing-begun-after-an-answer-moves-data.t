#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# 64 clients, levels suspended and destroyed under them: no command that begins after the answer returns
# or changes data, and the clients of another level see no error. ROUNDS is how many destructions, SEED
# repeats a run's choices.
ROUNDS=${ROUNDS:-40}
TEST_LIMIT=${TEST_LIMIT:-$((120 + ROUNDS * 3))}
. "$(dirname "$0")/../lib.sh"

stage kept
target_add 2
export BUILD STATE TGT_IPC_SOCKET="$STATE/tgtd-a"
"$TESTS/linear/rounds.py" --rounds "$ROUNDS" ${SEED:+--seed "$SEED"} --kept "$(url 1 1)" \
	--doomed "$(url 2 1)" >"$STATE/rounds" 2>&1
status=$?
is "$ROUNDS rounds: nothing begun after an answer moves data, and no other level notices" $status 0
diag "$(<"$STATE/rounds")"

done_testing
