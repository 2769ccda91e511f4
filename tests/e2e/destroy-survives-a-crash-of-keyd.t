#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyd killed while it waits for a tgtd that does not answer: the destruction goes on at the next
# start. A tgtd that never answers is named, and the key is erased all the same.
. "$(dirname "$0")/../lib.sh"

stage doomed stuck
doomed=$(url 1 1)
certificate() { keyadm --json level show "$1" | grep -c 'certificate of destruction'; }
key_files() { find "$STATE/store/levels/$1" -name '*.key' | wc -l; }

kill -STOP "${TGTD_PID[a]}"
keyadm level destroy doomed --yes >"$STATE/destroy.out" 2>&1 &
destroyer=$!
ok "the intent is on disk" wait_for 5 test -e "$STATE/store/levels/doomed/destroy.intent"
kill_pid "$KEYD_PID"
wait $destroyer
isnt "keyadm reports that it does not know" $? 0
kill -CONT "${TGTD_PID[a]}"
keyd_start || die "keyd starts again"
ok "the certificate appears" becomes 15 1 certificate doomed
is "no key file is left" "$(key_files doomed)" 0
ok "the LUN is denied" becomes 5 07/74/71 read_outcome "$doomed"
keyadm --json level show doomed >"$STATE/show"
is "tgtd acknowledged" "$(json "$STATE/show" '[a["pid"] for a in d["certificate"]["acknowledged"]]')" \
	"[${TGTD_PID[a]}]"
is "the other level goes on" "$(read_outcome "$(url 2 1)")" ok

# Killed again and again, at any moment.
for delay in 0 0.01 0.03 0.1; do
	level_create "level$delay"
	volume_create "level$delay" "level$delay.img" 1M
	keyadm level destroy "level$delay" --yes >/dev/null 2>&1 &
	destroyer=$!
	sleep $delay
	kill_pid "$KEYD_PID"
	wait $destroyer
	keyd_start || die "keyd starts after a kill at $delay s"
	intent=$(find "$STATE/store/levels/level$delay" -name 'destroy.intent' -o -name 'destroyed' | wc -l)
	if [ "$intent" = 0 ]; then
		ok "killed after $delay s, before the intent: the level is whole" keyadm volume key \
			"$STATE/level$delay.img" --out "$STATE/key$delay"
	else
		ok "killed after $delay s: the destruction is finished" becomes 15 1 certificate "level$delay"
		is "and no key is left" "$(key_files "level$delay")" 0
	fi
done

# A tgtd that does not answer in time is named; when it wakes up it has to obey as well.
kill -STOP "${TGTD_PID[a]}"
began=$SECONDS
keyadm --json level destroy stuck --yes >"$STATE/stuck" 2>"$STATE/stuck.err"
is "destroy with a silent tgtd: exit status" $? 1
ok "after a bounded wait" [ $((SECONDS - began)) -lt 15 ]
like "with one line that names it" "$(<"$STATE/stuck.err")" "${TGTD_PID[a]}"
is "and the certificate does" "$(json "$STATE/stuck" '[u["pid"] for u in d["unacknowledged"]]')" "[${TGTD_PID[a]}]"
is "the key is erased all the same" "$(key_files stuck)" 0
kill -CONT "${TGTD_PID[a]}"
ok "awake, tgtd wipes its key" becomes 5 07/74/71 read_outcome "$(url 2 1)"

ok "the audit log is whole after all the kills" keyadm audit --verify

done_testing
