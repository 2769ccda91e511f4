#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# With destroy-approval a destroy is a request until a second security administrator agrees, in time. Nobody agrees with
# himself; nothing happens to the data meanwhile; restarts and crashes of keyd lose and add nothing.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../requests.sh"

STORAGE=2003

conf() { # SETTING...
	printf '%s\n' "[keyd]" "$@" "[roles]" "security-admin = $ALICE, $BOB, root" "storage-admin = $STORAGE" \
		"auditor = root" "[levels]" "fetch = root" "destroy-approval = yes" \
		"[level quick]" "fetch = root" "destroy-approval = no" >"$STATE/keyd.conf"
	chmod 644 "$STATE/keyd.conf"
}
start() { keyd_start --config "$STATE/keyd.conf" || die "keyd starts"; }
audited() { keyadm --json audit | grep -c "$1"; } # REGEX

conf
start
keyadm init >/dev/null || die "a store is made"
tgtd_ready_or_die
for name in secret other third fourth quick; do
	level_create $name
	volume_create $name $name.img 16M
done
volume_create other more.img 16M
export_volume 1 secret.img
export_volume 2 other.img

text=$(alice level destroy secret --yes)
is "asking is no error" $? 0
like "it says what is missing" "$text" "needs the approval of another security administrator"
unlike "and not that anything is destroyed" "$text" "destroyed"
is "the level is as it was" "$(state_of secret)" active
is "and so is its LUN" "$(read_outcome "$(url 1 1)")" ok
keyadm --json requests >"$STATE/list"
id=$(json "$STATE/list" 'd[0]["id"]')
like "the request is on the list, with its end" "$(keyadm requests)" "$id.*|until 20"
is "with who asked" "$(json "$STATE/list" 'd[0]["requester"]["uid"]')" $ALICE
refused "it cannot be asked for twice" 1 "requested already.*$id" bob level destroy secret --yes

refused "who asked cannot approve" 1 "another security administrator" alice approve "$id"
is "which is recorded" "$(audited "\"event\":\"destroy-approve\",\"uid\":$ALICE.*denied")" 1
refused "nor can a storage administrator" 1 "role" keyadm_as "$STORAGE" approve "$id"
refused "nor cancel" 1 "role" keyadm_as "$STORAGE" cancel "$id"
refused "no other request is approved" 1 "no such request" bob approve 00000000
refused "nor an odd one" 1 "8 characters" bob approve ../../levels/secret
kill_pid "$KEYD_PID"
start
is "a crash of keyd does not lose it" "$(json <(keyadm --json requests) 'd[0]["id"]')" "$id"
refused "and does not make it somebody else's" 1 "another security administrator" alice approve "$id"
is "all this time the LUN goes on" "$(read_outcome "$(url 1 1)")" ok

ok "the second administrator approves" bob --json approve "$id"
cp "$STATE/out" "$STATE/certificate"
is "and has the certificate: who asked, who approved" \
	"$(json "$STATE/certificate" 'd["requester"]["uid"], d["approved_by"]["uid"], d["emergency"]')" \
	"($ALICE, $BOB, False)"
is "the level is destroyed" "$(state_of secret)" destroyed
is "the LUN is denied" "$(read_outcome "$(url 1 1)")" 07/74/71
is "no key is left" "$(find "$STATE/store/levels/secret" -name '*.key' | wc -l)" 0
is "and no request" "$(waiting) $(find "$STATE/store" -name '*.request' | wc -l)" "0 0"
like "the audit log tells it all" "$(keyadm --json audit | grep '"level-destroy"')" "request $id, approved by uid $BOB"

# Volumes of the level, cancelling.
id=$(requested alice --json volume destroy "$(uuid_of other.img)" --yes)
isnt "a volume of such a level needs it, too" "$id" ""
ok "any security administrator cancels" bob cancel "$id"
refused "what is cancelled cannot be approved" 1 "no such request" bob approve "$id"
is "the LUN goes on" "$(read_outcome "$(url 2 1)")" ok
id=$(requested alice --json volume destroy "$(uuid_of more.img)" --yes)
whole=$(requested alice --json level destroy other --yes)
ok "a volume is approved" bob approve "$id"
is "its neighbour goes on" "$(read_outcome "$(url 2 1)")" ok
ok "who asked may cancel" alice cancel "$whole"
is "nothing is left" "$(waiting)" 0
ok "a level without the rule is destroyed at once" alice level destroy quick --yes
is "without a request" "$(state_of quick)" destroyed

# A crash between the approval and the end.
id=$(requested alice --json level destroy other --yes)
kill -STOP "${TGTD_PID[a]}"
bob approve "$id" >/dev/null 2>&1 &
approver=$!
ok "an approved destroy begins" wait_for 5 test -e "$STATE/store/levels/other/destroy.intent"
kill_pid "$KEYD_PID"
wait $approver
kill -CONT "${TGTD_PID[a]}"
start
ok "after a crash it goes on" becomes 15 destroyed state_of other
json "$STATE/show" 'd["certificate"]["approved_by"]["uid"]' >"$STATE/approver"
is "approved as it was" "$(<"$STATE/approver")" $BOB
is "its request is gone" "$(waiting)" 0
keyd_stop

# Time.
conf "approval-timeout = 2"
start
id=$(requested alice --json level destroy third --yes)
ok "a request that nobody approves expires" becomes 15 0 waiting
refused "and cannot be approved any more" 1 "no such request" bob approve "$id"
is "the level is as it was" "$(state_of third)" active
is "the audit log has its end" "$(audited "\"event\":\"destroy-expire\".*$id")" 1
id=$(requested alice --json level destroy third --yes)
keyd_stop
sleep 3
start
refused "the time of a stopped keyd counts" 1 "no such request|expired" bob approve "$id"
is "the level is as it was" "$(state_of third)" active
keyd_stop

# Emergency.
conf "emergency = no"
start
refused "emergency = no means no" 1 "emergency = no" alice level destroy third --yes --emergency
refused "for the whole store, too" 1 "emergency = no" alice zeroize --all --yes
is "nothing happened" "$(state_of third)" active
is "both refusals are recorded" "$(audited '"detail":"\(DESTROY_EMERGENCY\|ZEROIZE\)","result":"denied"')" 2
keyd_stop
conf
start
refused "where approval is needed, emergency is off unless the file says yes" 1 "not emergency = yes" \
	alice level destroy third --yes --emergency
keyd_stop
conf "emergency = yes"
start
id=$(requested alice --json level destroy third --yes)
ok "in an emergency one is enough" alice --json level destroy third --yes --emergency
cp "$STATE/out" "$STATE/certificate"
is "which the certificate says" "$(json "$STATE/certificate" 'd["emergency"], "approved_by" in d')" "(True, False)"
like "also to people" "$(keyadm certificate show third)" "emergency *without approval and delay"
like "and the audit log" "$(keyadm --json audit | grep '"level-destroy"' | tail -n 1)" emergency
ok "the request for it has no point any more" becomes 5 0 waiting
ok "a volume, too" alice volume destroy "$(uuid_of fourth.img)" --yes --emergency
ok "the audit log is whole" keyadm audit --verify

done_testing
