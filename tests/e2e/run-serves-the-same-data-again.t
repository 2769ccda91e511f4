#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make run's script: serves a LUN until Ctrl-C, stops cleanly, serves the same data next time, and
# says what is wrong when the port or the folder is taken or the level was destroyed.
. "$(dirname "$0")/../lib.sh"

RUN_DIR=$STATE/run
PORT=$((20000 + RANDOM % 12000))
u=iscsi://127.0.0.1:$PORT/$IQN_PREFIX:demo/1
export RUN_DIR PORT BUILD

serve_start() {
	: >"$STATE/serve.out"
	# bash starts what is in the background with Ctrl-C ignored; make run has it as usual
	env --default-signal=INT bash "$TESTS/run/serve.sh" >"$STATE/serve.out" 2>&1 &
	SERVE_PID=$!
	wait_for 30 grep -q 'Ctrl-C stops' "$STATE/serve.out"
}
serve_kill() { stop_pid "${SERVE_PID-}" 20; }
at_exit serve_kill

serve_stop() { # SIGNAL: its exit status
	kill "-$1" "$SERVE_PID"
	wait_for 15 gone "$SERVE_PID" || return 99
	wait "$SERVE_PID"
}

daemons() { pgrep -f -- "$RUN_DIR/store|portal=127.0.0.1:$PORT" | wc -l; }

ok "it serves" serve_start
said=$(<"$STATE/serve.out")
like "it proves it" "$said" 'Proved: .*written through iSCSI'
like "it shows the open-iscsi commands" "$said" "iscsiadm -m node -T $IQN_PREFIX:demo -p 127.0.0.1:$PORT --login"
like "and libiscsi's" "$said" "iscsi-inq $u"
like "and how to destroy" "$said" "keyadm --admin-socket $RUN_DIR/admin.sock level destroy demo"
is "the LUN has 1 GiB" "$(io capacity "$u")" "2097152 512"
ok "the libiscsi command works as shown" timeout 20 iscsi-inq "$u"
read -ra adm < <(sed -n 's/^ *\(.*\) level list$/\1/p' "$STATE/serve.out")
like "the keyadm command works as shown" "$("${adm[@]}" level list)" 'demo.*active'
random_file "$STATE/plain" 65536
io write "$u" 1000 <"$STATE/plain"
is "two daemons run" "$(daemons)" 2

refused "a second run in the same folder says so" 1 "another run uses" \
	env PORT=$((PORT + 1)) timeout 20 bash "$TESTS/run/serve.sh"
refused "a taken port says so" 1 "port $PORT is in use" env RUN_DIR="$STATE/run2" timeout 20 bash "$TESTS/run/serve.sh"

serve_stop INT
is "Ctrl-C: exit status" $? 0
is "Ctrl-C leaves nothing running" "$(daemons)" 0
is "it stopped by itself, without force" "$(grep -ci 'killed' "$STATE/serve.out")" 0

ok "it serves again" serve_start
like "it proves it without writing" "$(<"$STATE/serve.out")" 'Proved: .*written through iSCSI'
io read "$u" 1000 128 >"$STATE/read"
same "the same data" "$STATE/read" "$STATE/plain"
head -c 512 /dev/zero | io write "$u" 2097151
serve_stop TERM
is "SIGTERM: exit status" $? 0
is "SIGTERM leaves nothing running" "$(daemons)" 0

ok "it serves when the last block has become the user's" serve_start
head -c 512 /dev/zero >"$STATE/zero"
io read "$u" 2097151 1 >"$STATE/read"
same "which is left alone" "$STATE/read" "$STATE/zero"
kill_pid "$SERVE_PID"
ok "killed, it takes its daemons along" becomes 5 0 daemons
ok "it serves after that as well" serve_start
io read "$u" 1000 128 >"$STATE/read"
same "still the same data" "$STATE/read" "$STATE/plain"

ok "the shown destroy command works" "${adm[@]}" level destroy demo --yes
is "the LUN is wiped" "$(read_outcome "$u" 1000)" 07/74/71
serve_stop INT
refused "after destroy it says how to begin again" 1 "destroyed.*rm -r $RUN_DIR" timeout 20 bash "$TESTS/run/serve.sh"
rm -r "$RUN_DIR"
ok "which works" serve_start
serve_stop INT

done_testing
