#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyd killed again and again while it writes records: no kill is taken for a log that was cut, and every record
# that somebody got an answer for is there. $SEED and $KILLS repeat a run.
TEST_LIMIT=${TEST_LIMIT:-300}
. "$(dirname "$0")/../lib.sh"

KILLS=${KILLS:-50}
RANDOM=${SEED:=$$}
diag "SEED=$SEED"
log=$STATE/store/audit.log

# Suspends and resumes until keyd is gone; the name of each answered request goes to a file.
work() { # NUMBER
	local i
	for ((i = 0; i < 1000; i++)); do
		keyadm level suspend "level$1" >/dev/null 2>&1 || return
		echo "level-suspend level$1" >>"$STATE/answered.$1"
		keyadm level resume "level$1" >/dev/null 2>&1 || return
		echo "level-resume level$1" >>"$STATE/answered.$1"
	done
}

keyd_ready
for n in 1 2; do level_create level$n; done
alarms=0 lost=0 cut=0
for ((kill = 0; kill < KILLS; kill++)); do
	rm -f "$STATE"/answered.*
	before=$(wc -l <"$log")
	work 1 &
	one=$!
	work 2 &
	two=$!
	sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
	kill_pid "$KEYD_PID"
	wait $one $two
	keyd_start || die "keyd starts after kill $kill"
	keyadm audit --verify >"$STATE/verify" 2>&1 || { alarms=$((alarms + 1)) && diag "kill $kill: $(<"$STATE/verify")"; }
	tail -n +$((before + 1)) "$log" >"$STATE/new"
	for n in 1 2; do
		for what in suspend resume; do
			answered=$(grep -sc "level-$what" "$STATE/answered.$n")
			recorded=$(grep -c "\"event\":\"level-$what\".*\"subject\":\"level$n\"" "$STATE/new")
			[ "${answered:-0}" -le "$recorded" ] || lost=$((lost + 1))
		done
	done
	for n in 1 2; do keyadm level resume level$n >/dev/null 2>&1; done
	# As a power cut between the line and its head, too.
	if [ $((kill % 5)) = 0 ]; then
		cut=$((cut + 1))
		cp "$STATE/store/audit.head" "$STATE/head"
		keyadm level suspend level1 >/dev/null
		kill_pid "$KEYD_PID"
		cp "$STATE/head" "$STATE/store/audit.head"
		keyd_start || die "keyd starts with an older head"
		keyadm audit --verify >"$STATE/verify" 2>&1 || { alarms=$((alarms + 1)) && diag "older head: $(<"$STATE/verify")"; }
		keyadm level resume level1 >/dev/null 2>&1
	fi
done
is "$KILLS kills at any moment, and $cut heads that lag, are no alarm" "$alarms" 0
is "no answered request is missing" "$lost" 0
isnt "which were many" "$(grep -c level-suspend "$log")" 0
unlike "no break was recorded" "$(<"$log")" "audit-broken"

keyd_stop
sed -i '$d' "$log"
keyd_start || die "keyd starts"
refused "a line cut off is one all the same" 1 "does not follow" keyadm audit --verify

done_testing
