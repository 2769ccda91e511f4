#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Approval covers whatever takes keys out of the store, or away from the other administrators: export, volume key, import
# --force, custody change, emergency. An approval is for one command with the same parameters, by the same user, once, in time.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../requests.sh"
. "$(dirname "$0")/../backup.sh"

conf() { # SETTING...
	printf '%s\n' "[keyd]" "$@" "[roles]" "security-admin = $ALICE, $BOB" "storage-admin = root" "auditor = root" \
		"[levels]" "fetch = root" "destroy-approval = yes" \
		"[level loose]" "fetch = root" "approval = none" \
		"[level half]" "fetch = root" "approval = export, volume-key" >"$STATE/keyd.conf"
	chmod 644 "$STATE/keyd.conf"
}
start() { keyd_start --config "$STATE/keyd.conf" || die "keyd starts"; }
restart() { keyd_stop && start; }
audited() { keyadm --json audit | grep -c "$1"; } # REGEX
id_of() { # COMMAND...: of the request that it makes, or has made
	"$@" >"$STATE/request" 2>/dev/null
	json "$STATE/request" 'd["id"]' 2>/dev/null
}
unapproved="needs the approval of another security administrator until .*keyadm approve"
export_secret() { "$1" --json export --level secret --recipient "$STATE/$2.pem" --out "$STATE/$3"; } # WHO FOR FILE

install -d -o $ALICE -m 755 "$STATE/files"
install -d -o $BOB -m 755 "$STATE/bobs"
person carol
person mallory
chmod 644 "$STATE"/*.pem "$STATE"/*.key
conf
start
alice init >/dev/null || die "a store is made"
for name in secret other loose half; do
	alice level create $name >/dev/null && volume_create $name $name.img 1M || die "level $name is made"
done

# Export.
refused "an export is not made" 1 "export level secret .*$unapproved" \
	alice export --level secret --recipient "$STATE/carol.pem" --out "$STATE/files/e"
is "no file, nothing in the ledger" "$(ls "$STATE/files") $(keyadm --json ledger | grep -c '"kind"')" " 0"
id=$(id_of export_secret alice carol files/e)
is "asking again is the same request" "$(waiting)" 1
like "the list says what, and for whom" "$(keyadm requests)" "to export level secret for the holders"
like "down to the certificate" "$(keyadm requests)" \
	"carol.*sha256 $(openssl x509 -in "$STATE/carol.pem" -outform DER | sha256sum | cut -d' ' -f1)"
refused "who asked cannot approve" 1 "another security administrator" alice approve "$id"
refused "nor can another user use it" 1 "$unapproved" bob export --level secret --recipient "$STATE/carol.pem" --out "$STATE/bobs/e"
ok "what bob asked for he cancels" bob cancel "$(id_of export_secret bob carol bobs/e)"
like "another administrator approves" "$(bob approve "$id")" "the requester may do it, once, until 20"
restart
like "which outlives keyd" "$(json <(keyadm --json requests) 'd[0]["state"], d[0]["approved_by"]["uid"]')" "'approved', $BOB"
refused "not for another user" 1 "$unapproved" bob export --level secret --recipient "$STATE/carol.pem" --out "$STATE/bobs/e"
refused "it is for these recipients only" 1 "$unapproved" \
	alice export --level secret --recipient "$STATE/mallory.pem" --out "$STATE/files/e"
refused "and for this level only" 1 "$unapproved" alice export --level other --recipient "$STATE/carol.pem" --out "$STATE/files/e"
refused "not for a passphrase" 1 "$unapproved" alice export --level secret --passphrase-fd 3 --out "$STATE/files/e" 3<<<"correct horse"
refused "nor for every level" 1 "$unapproved" alice export --all --recipient "$STATE/carol.pem" --out "$STATE/files/e"
is "no file" "$(ls "$STATE/files")" ""
ok "the requester does it" export_secret alice carol files/e
ok "for whom it was approved" cms_open carol "$STATE/files/e" "$STATE/package"
refused "once" 1 "$unapproved" alice export --level secret --recipient "$STATE/carol.pem" --out "$STATE/files/e2"
for event in export-request export-approve export-approval-used; do
	like "the audit log has $event" "$(audited "\"event\":\"$event\".*request $id of uid $ALICE to export level secret.*\"result\":\"ok\"")" "^1$"
done
is "and the refused approval" "$(audited '"event":"export-approve".*"result":"denied"')" 1
cancel_all() { for id in $(json <(keyadm --json requests) '" ".join(r["id"] for r in d)'); do bob cancel "$id" >/dev/null; done; }
cancel_all
is "cancelled, nothing waits" "$(waiting) $(find "$STATE/store/requests" -type f | wc -l)" "0 0"

# A volume's key.
volume_key() { alice --json volume key "$(uuid_of "$1.img")" --out "$STATE/files/$2"; } # LEVEL FILE
id=$(id_of volume_key secret vk)
isnt "a volume's key is requested" "$id" ""
ok "approved" bob approve "$id"
refused "for this volume only" 1 "$unapproved" alice volume key "$(uuid_of other.img)" --out "$STATE/files/vk"
ok "it leaves" volume_key secret vk
not_ok "once" volume_key secret vk2
ok "a level without the rule gives it" volume_key loose vk3
ok "and is destroyed in an emergency" alice level destroy loose --yes --emergency
refused "a level with part of the rules does not give it" 1 "$unapproved" alice volume key "$(uuid_of half.img)" --out "$STATE/files/vk4"
ok "but is destroyed" alice level destroy half --yes

# Destroyed, and back.
refused "an emergency is off where approval is on" 1 "not emergency = yes" alice level destroy secret --yes --emergency
refused "for the whole store, too" 1 "not emergency = yes" alice zeroize --all --yes
bob approve "$(id_of alice --json level destroy secret --yes)" >/dev/null
is "a level is destroyed by two" "$(state_of secret)" destroyed
import() { "$1" --json import "$STATE/files/e" --key "$STATE/carol.key" --force; } # WHO
id=$(id_of import alice)
is "by one it does not come back" "$(state_of secret)" destroyed
like "the request names level and export" "$(keyadm requests)" "to bring back level secret, destroyed here, from export exp-"
ok "approved" bob approve "$id"
ok "it comes back" import alice
is "suspended" "$(state_of secret)" suspended

# The custody.
change() { "$1" --json custody change --custody passphrase --passphrase-fd 3 3<<<"correct horse battery"; } # WHO
custody() { json <(keyadm --json status) 'd["custody"]'; }
kept=$(id_of volume_key other vk5)
id=$(id_of change alice)
like "the request says who will know the passphrase" "$(keyadm requests)" "from file to passphrase with a passphrase or PIN that only the requester gives"
is "one changes no custody" "$(custody)" file
ok "approved" bob approve "$id"
not_ok "to another custody it needs another approval" alice custody change --custody file
ok "two do" change alice
is "it is changed" "$(custody)" passphrase
keyd_stop && start
ok "requests wait for the passphrase as the keys do" bob unlock --passphrase-fd 3 3<<<"correct horse battery"
ok "and are sealed under the new root key" bob approve "$kept"
ok "a request from before is carried out" volume_key other vk5

# Time, and another policy.
keyd_stop
conf "approval-timeout = 2" "emergency = yes" "custody-approval = no"
start
like "emergency = yes is warned of" "$(grep -a warning "$STATE/keyd.log" | tail -n 2)" "emergency = yes: one security administrator alone"
ok "unlocked" bob unlock --passphrase-fd 3 3<<<"correct horse battery"
cancel_all
bob approve "$(id_of volume_key other vk6)" >/dev/null
ok "an approval that is not used expires" becomes 15 0 waiting
not_ok "and is gone" volume_key other vk6
is "the audit log has its end" "$(audited '"event":"volume-key-expire"')" 1
ok "custody-approval = no" alice custody change --custody file
ok "emergency = yes" alice level destroy secret --yes --emergency
ok "the audit log is whole" keyadm audit --verify
ok "zeroized, the requests are gone, too" keyadm zeroize --all --yes
is "every file" "$(find "$STATE/store/requests" -type f | wc -l)" 0

done_testing
