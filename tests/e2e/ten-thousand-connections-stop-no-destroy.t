#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Ten thousand connections of several users, idle or with half messages and noise, on both sockets, are made again
# whenever keyd ends them: clients notice nothing, and an administrator destroys a level under load in seconds.
. "$(dirname "$0")/../lib.sh"

CROWDS=(1001 1002 1003 1004) # an auditor, a level's user, two strangers
EACH=1250                    # on each of two sockets
SECONDS_MAX=30               # far above what it takes, far below what waiting for one time-out each would

[ "$(ulimit -Hn)" -ge $((2 * EACH + 64)) ] || skip_all "a process may open $(ulimit -Hn) files here"
cat >"$STATE/keyd.conf" <<-CONF
	[roles]
	security-admin = root
	auditor = 1001
	[levels]
	fetch = root
	[level theirs]
	fetch = 1002
CONF
keyd_ready --config "$STATE/keyd.conf"
tgtd_ready_or_die
for level in doomed kept theirs; do level_create $level; done
volume_create doomed doomed.img 64M
volume_create kept kept.img 64M
export_volume 1 doomed.img
export_volume 2 kept.img

for uid in "${CROWDS[@]}"; do
	setpriv --reuid "$uid" --regid "$uid" --clear-groups --pdeathsig KILL \
		/usr/bin/python3 - $EACH "$STATE/keyd.sock" "$STATE/admin.sock" \
		<"$TESTS/tools/crowd.py" >"$STATE/crowd.$uid" 2>"$STATE/crowd.$uid.log" &
	at_exit kill $!
done
for uid in "${CROWDS[@]}"; do
	ok "user $uid made its connections" wait_for 60 test -s "$STATE/crowd.$uid"
done
is "ten thousand in all" "$(cat "$STATE"/crowd.???? | awk "{ n += \$1 } END { print n }")" 10000

# Two that may do something besides, and do it without a pause.
for uid in 1001 1002; do
	setpriv --reuid "$uid" --regid "$uid" --clear-groups --pdeathsig KILL \
		/usr/bin/python3 - 8 "$STATE/keyd.sock" "$STATE/admin.sock" \
		<"$TESTS/tools/flood.py" >"$STATE/flood.$uid" 2>"$STATE/flood.$uid.log" &
	at_exit kill $!
done

load_start doomed "$(url 1 1)" --connections 2
load_start kept "$(url 2 1)" --connections 2
sleep 1
before=$SECONDS
ok "an administrator gets in" keyadm status
ok "the level is destroyed" keyadm --json level destroy doomed --yes
destroyed=$(io now)
took=$((SECONDS - before))
cp "$STATE/out" "$STATE/certificate"
diag "status and destroy took $took s"
ok "in seconds" [ $took -le $SECONDS_MAX ]
like "and tgtd confirmed it" "$(tr -d ' \n' <"$STATE/certificate")" '"acknowledged":\[\{.*"unacknowledged":\[\]'
sleep 1
ok "reads before were right" load_stop doomed
is "nothing that began afterwards succeeded" "$(load_count doomed "$destroyed" . ok)" 0
ok "the other level's reads are right" load_stop kept
is "and no command of it failed" "$(load_outcomes kept)" ok

# The crowd's own users are served besides: each has places of its own.
is "the auditor gets in" "$(keyadm_as 1001 status | grep -c '^version')" 1
ok "keyd logged little" [ "$(wc -l <"$STATE/keyd.log")" -lt 400 ]
ok "keyd stands" alive "$KEYD_PID"
# shellcheck disable=SC2009 # of this process alone
diag "keyd: $(ps -o rss=,time= -p "$KEYD_PID" | xargs) (KiB, CPU time)"

done_testing
