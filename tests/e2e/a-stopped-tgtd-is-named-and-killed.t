#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A tgtd that does not answer holds up no destruction. It is named; with kill-unresponsive keyd ends it, and so proves
# that its keys are gone; where keyd may not, it says so.
. "$(dirname "$0")/../lib.sh"

KEYD_USER=2009

conf() { # SETTING...: root may do everything
	printf '%s\n' "[keyd]" "revoke-timeout = 1" "$@" "[roles]" "security-admin = root" "[levels]" \
		"fetch = root" >"$STATE/keyd.conf"
	chmod 644 "$STATE/keyd.conf"
}
pids() { json "$STATE/certificate" "[p['pid'] for p in d['$1']]"; } # ANSWER
audited() { keyadm --json audit | grep -c "\"event\":\"kill\".*\"result\":\"$1\""; } # RESULT

conf "kill-unresponsive = yes"
keyd_start --config "$STATE/keyd.conf" && keyadm init >/dev/null || die "keyd starts and makes a store"
for name in one two three; do
	level_create $name
	volume_create $name $name.img 16M
done
TGT=stopped && tgtd_ready_or_die
for tid in 1 2 3; do
	names=(x one two three)
	export_volume $tid "${names[tid]}.img"
done
TGT=good && tgtd_ready_or_die
volume_create one good.img 16M
export_volume 1 good.img

kill -STOP "${TGTD_PID[stopped]}"
began=$SECONDS
keyadm --json level destroy one --yes >"$STATE/certificate"
is "with kill-unresponsive a destroy is complete" $? 0
ok "after a bounded wait" [ $((SECONDS - began)) -lt 15 ]
is "the silent tgtd was killed" "$(pids killed)" "[${TGTD_PID[stopped]}]"
is "the other one acknowledged" "$(pids acknowledged)" "[${TGTD_PID[good]}]"
is "nobody is left over" "$(pids unacknowledged)" "[]"
ok "the silent tgtd has ended" gone "${TGTD_PID[stopped]}"
ok "the other lives" alive "${TGTD_PID[good]}"
is "the kill is in the audit log" "$(audited ok)" 1
like "people can read it" "$(keyadm level show one)" "killed.*${TGTD_PID[stopped]}"
wait "${TGTD_PID[stopped]}" 2>/dev/null

# One that keyd knows from its last run only: no connection, a pidfd all the same.
TGT=stopped && tgtd_ready_or_die
export_volume 1 two.img
kill -STOP "${TGTD_PID[stopped]}"
kill_pid "$KEYD_PID"
keyd_start --config "$STATE/keyd.conf" || die "keyd starts again"
keyadm --json level destroy two --yes >"$STATE/certificate"
is "after a restart of keyd, too" $? 0
is "it is the very process that held the key" "$(pids killed)" "[${TGTD_PID[stopped]}]"
ok "which has ended" gone "${TGTD_PID[stopped]}"
wait "${TGTD_PID[stopped]}" 2>/dev/null

# Suspending never kills, nor does a keyd that was not told to.
TGT=stopped && tgtd_ready_or_die
export_volume 1 three.img
kill -STOP "${TGTD_PID[stopped]}"
not_ok "a suspension that is not acknowledged says so" keyadm level suspend three
ok "and kills nobody" alive "${TGTD_PID[stopped]}"
keyd_stop
conf
keyd_start --config "$STATE/keyd.conf" || die "keyd starts without the setting"
refused "without the setting the silent tgtd is named" 1 "did not acknowledge: tgtd pid ${TGTD_PID[stopped]}" \
	keyadm level destroy three --yes
ok "and lives" alive "${TGTD_PID[stopped]}"
kill -CONT "${TGTD_PID[stopped]}"
TGT=stopped && tgtd_stop
TGT=good && tgtd_stop
keyd_stop

# A keyd that was stopped itself, while the answer lay in its socket.
conf "kill-unresponsive = yes"
sed -i 's/^revoke-timeout = .*/revoke-timeout = 5/' "$STATE/keyd.conf"
keyd_start --config "$STATE/keyd.conf" || die "keyd starts again"
level_create five
volume_create five five.img 16M
coproc CONSUMER { exec python3 "$TESTS/tools/consumer.py" "$STATE/keyd.sock" >"$STATE/told" 2>&1; }
at_exit kill "$CONSUMER_PID"
told() { grep -q "^$1" "$STATE/told"; }
five=$(keyadm --json volume show "$STATE/five.img" | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p' | head -n 1)
echo "attach $five" >&"${CONSUMER[1]}"
ok "a consumer has the key" wait_for 10 told "attach 0"
LIMIT=60 keyadm --json level destroy five --yes >"$STATE/certificate" &
destroyer=$!
wait_for 10 told revoke || die "the consumer is told to wipe it"
kill -STOP "$KEYD_PID"
echo "ack $(sed -n 's/^revoke //p' "$STATE/told" | tail -n 1) 1" >&"${CONSUMER[1]}"
sleep 7
kill -CONT "$KEYD_PID"
wait $destroyer
is "a keyd that was stopped itself calls nobody silent" $? 0
is "the answer in its socket counts" "$(pids acknowledged)" "[$CONSUMER_PID]"
is "nobody was killed" "$(pids killed)" "[]"
ok "the consumer lives" alive "$CONSUMER_PID"
kill "$CONSUMER_PID"
keyd_stop

# A keyd of another user may not kill root's tgtd.
conf "kill-unresponsive = yes"
install -D -m 755 "$BUILD/keyd" "$STATE/bin/keyd"
install -d -m 755 -o "$KEYD_USER" "$STATE/other"
export KEYD_SOCKET=$STATE/other/keyd.sock
ln -sf other/admin.sock "$STATE/admin.sock" # where keyadm looks
setsid setpriv --pdeathsig TERM --reuid "$KEYD_USER" --regid "$KEYD_USER" --clear-groups "$STATE/bin/keyd" \
	--config "$STATE/keyd.conf" --state "$STATE/other/store" --socket "$STATE/other/keyd.sock" \
	--admin-socket "$STATE/other/admin.sock" >>"$STATE/keyd.log" 2>&1 &
KEYD_PID=$!
wait_for 10 keyd_answers && keyadm init >/dev/null || die "keyd runs as another user"
level_create four
volume_create four four.img 16M
TGT=root && tgtd_ready_or_die
export_volume 1 four.img
kill -STOP "${TGTD_PID[root]}"
keyadm --json level destroy four --yes >"$STATE/certificate" 2>"$STATE/err"
is "without the right to kill it the destroy is not proven" $? 1
like "which it says, with the reason" "$(<"$STATE/err")" "pid ${TGTD_PID[root]}.*not permitted"
is "the certificate names it" "$(pids unacknowledged) $(pids killed)" "[${TGTD_PID[root]}] []"
is "the attempt is in the audit log" "$(audited failed)" 1
ok "the tgtd lives" alive "${TGTD_PID[root]}"
is "and no key is left" "$(find "$STATE/other/store/levels" -name '*.key' | wc -l)" 0

done_testing
