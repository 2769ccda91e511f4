#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# With destroy-delay a destroy takes effect later, by itself, and can be called off until then. keyd may end meanwhile.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../requests.sh"

cat >"$STATE/keyd.conf" <<-CONF
	[roles]
	security-admin = $ALICE, $BOB, root
	auditor = root
	[levels]
	fetch = root
	destroy-delay = 6
	[level late]
	fetch = root
	destroy-delay = 3600
	[level both]
	fetch = root
	destroy-approval = yes
CONF
start() { keyd_start --config "$STATE/keyd.conf" || die "keyd starts"; }
seconds() { date -d "$1" +%s; }

chmod 644 "$STATE/keyd.conf"
start
keyadm init >/dev/null || die "a store is made"
tgtd_ready_or_die
for name in late soon down both held; do
	level_create $name
	volume_create $name $name.img 16M
done
export_volume 1 late.img
export_volume 2 soon.img

id=$(requested alice --json level destroy late --yes)
isnt "a destroy with a delay is a request" "$id" ""
at=$(json "$STATE/request" 'd["takes_effect_at"]')
left=$(($(seconds "$at") - $(date +%s)))
ok "which tells when it takes effect" [ $left -gt 3500 -a $left -le 3600 ]
like "also to people" "$(keyadm requests)" "$id"
like "with how to stop it" "$(keyadm requests)" "takes effect at $at, unless keyadm cancel $id"
refused "it needs no approval" 1 "needs no approval" bob approve "$id"
kill_pid "$KEYD_PID"
start
is "after a restart it waits as long" "$(json <(keyadm --json requests) 'd[0]["takes_effect_at"][:15]')" "${at:0:15}"
is "until then the LUN goes on" "$(read_outcome "$(url 1 1)")" ok
ok "it is cancelled" bob cancel "$id"
is "and gone" "$(waiting)" 0
is "the level is as it was" "$(state_of late)" active
like "the audit log has both" "$(keyadm --json audit | grep -o '"destroy-[a-z]*"' | sort -u | xargs)" \
	"destroy-cancel destroy-request"

id=$(requested alice --json level destroy soon --yes)
is "a short delay, too, leaves the LUN alone" "$(read_outcome "$(url 2 1)")" ok
ok "until it is over" becomes 30 destroyed state_of soon
is "the LUN is denied" "$(read_outcome "$(url 2 1)")" 07/74/71
is "the certificate has who asked" "$(json "$STATE/show" 'd["certificate"]["requester"]["uid"]')" $ALICE
refused "it is too late to cancel" 1 "no such request" alice cancel "$id"

id=$(requested alice --json level destroy down --yes)
keyd_stop
sleep 7
start
ok "time goes on while keyd does not run" becomes 10 destroyed state_of down
like "it is the request that is carried out" "$(keyadm --json audit | grep '"level-destroy"' | tail -n 1)" "request $id"

# Approval first, then the delay.
id=$(requested alice --json level destroy both --yes)
sleep 7
is "the delay does not begin before the approval" "$(state_of both)" active
text=$(bob approve "$id")
is "which is given" $? 0
like "and answered with the time" "$text" "takes effect at"
unlike "not with a destruction" "$text" destroyed
kill_pid "$KEYD_PID"
start
refused "a crash does not take it back, and once is enough" 1 "approved already" bob approve "$id"
ok "then it happens" becomes 30 destroyed state_of both
is "on both names" "$(json "$STATE/show" 'd["certificate"]["requester"]["uid"], d["certificate"]["approved_by"]["uid"]')" \
	"($ALICE, $BOB)"

# A level on which something is under way when the time comes.
export_volume 3 held.img
kill -STOP "${TGTD_PID[a]}"
requested alice --json level destroy held --yes >/dev/null
keyadm level suspend held >/dev/null 2>&1 &
wait_for 5 grep -q level-suspend "$STATE/store/audit.log"
kill -CONT "${TGTD_PID[a]}"
ok "a suspension in between does not lose it" becomes 30 destroyed state_of held

ok "in an emergency there is no delay" alice level destroy late --yes --emergency
is "it is destroyed at once" "$(state_of late)" destroyed
ok "the audit log is whole" keyadm audit --verify

done_testing
