#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Whatever left is in the ledger, and in certificates, until somebody vouches by name that the copy is
# destroyed; what came from elsewhere is, too. Nothing in the ledger is ever changed.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../backup.sh
. "$TESTS/backup.sh"

cat >"$STATE/keyd.conf" <<-CONF
	[roles]
	security-admin = 0
	storage-admin = 3001
	auditor = 3002
	[levels]
	fetch = 0
CONF

ledger() { keyadm --json ledger >"$STATE/ledger" && json "$STATE/ledger" "$1"; } # EXPRESSION
export_words() { keyadm --json export "$@" --passphrase-fd 3 3<<<"correct horse"; }
id_of() { grep -o 'exp-[0-9a-f]*' | head -n 1; }
outstanding() { # certificate's file
	json "$1" '" ".join(e["id"] for e in d["outstanding_exports"])'
}

keyd_start --config "$STATE/keyd.conf" || die "keyd starts"
keyadm init >/dev/null
level_create one
level_create two
volume_create one first.img 1M
volume_create one second.img 1M
volume_create two other.img 1M

is "at first nothing has left" "$(ledger 'len(d["entries"])')" 0
key=$(keyadm volume key "$STATE/first.img" --out "$STATE/vk" | id_of)
level=$(export_words --level one --out "$STATE/e1" | id_of)
both=$(export_words --all --out "$STATE/e2" | id_of)
like "every export has its number" "$key $level $both" "^(exp-[0-9a-f]{16} ?){3}$"
is "and its lines in the ledger, one for each level" "$(ledger '" ".join(e["id"] for e in d["entries"])')" \
	"$key $level $both $both"
is "which tell the file by its digest" "$(ledger 'd["entries"][1]["sha256"]')" "$(sha256sum <"$STATE/e1" | cut -d' ' -f1)"
is "the level counts them" "$(keyadm --json level show one | grep -o '"id":"exp' | wc -l)" 3
person alice
keyadm export --level two --recipient "$STATE/alice.pem" --out "$STATE/e3" >/dev/null
is "a recipient is named" "$(ledger 'd["entries"][-1]["recipients"][0]["subject"]')" "/CN=alice"
is "by her certificate" "$(ledger 'd["entries"][-1]["recipients"][0]["sha256"]')" \
	"$(openssl x509 -in "$STATE/alice.pem" -outform DER | sha256sum | cut -d' ' -f1)"
like "people can read it" "$(keyadm ledger)" "$level: export of level one, for passphrase, at .* by root"

# --- who may --------------------------------------------------------------------------------------

install -d -m 1777 "$STATE/theirs"
for uid in 3001 3002; do
	refused "uid $uid may not export" 1 "does not have the role" \
		eval "keyadm_as $uid export --all --out '$STATE/theirs/$uid' --passphrase-fd 3 3<<<'correct horse'"
	refused "nor import" 1 "does not have the role" \
		eval "keyadm_as $uid import - --passphrase-fd 3 3<<<'correct horse' <'$STATE/e1'"
	refused "nor vouch" 1 "does not have the role" keyadm_as $uid ledger destroyed "$level"
done
refused "a storage administrator may not read the ledger" 1 "does not have the role" keyadm_as 3001 ledger
ok "an auditor may" keyadm_as 3002 ledger

# --- vouching -------------------------------------------------------------------------------------

refused "nobody vouches for what never was" 1 "no export of this number" keyadm ledger destroyed exp-0000000000000000
before=$(sha256sum "$STATE/store/exports.log")
size=$(stat -c %s "$STATE/store/exports.log")
ok "somebody vouches for one" keyadm ledger destroyed "$level"
is "nothing that was written has changed" \
	"$(head -c "$size" "$STATE/store/exports.log" | sha256sum | cut -d' ' -f1)" "${before%% *}"
refused "not twice" 1 "vouched for $level already" keyadm ledger destroyed "$level"
is "it says who" "$(ledger '[e["destroyed"]["uid"] for e in d["entries"] if "destroyed" in e]')" "[0]"
like "so does the audit log" "$(keyadm --json audit)" "\"event\":\"export-vouched\".*\"detail\":\"$level\""
keyd_stop
printf '{"id":"exp-torn' >>"$STATE/store/exports.log" # as a crash leaves it
keyd_start --config "$STATE/keyd.conf" || die "keyd starts again"
is "a torn line is told, the others are read" "$(ledger '(len(d["entries"]), d["unreadable"])')" "(5, 1)"

# --- certificates ---------------------------------------------------------------------------------

keyadm --json volume destroy "$STATE/second.img" --yes >"$STATE/c1"
is "a volume's certificate names the exports of its level" "$(outstanding "$STATE/c1")" "$both"
is "and what somebody vouched for, apart" "$(json "$STATE/c1" '[e["id"] for e in d["vouched_exports"]]')" "['$level']"
keyadm ledger destroyed "$key" >/dev/null
keyadm ledger destroyed "$both" >/dev/null
is "the level shows none any more" "$(keyadm --json level show one | grep -o '"id":"exp' | wc -l)" 0
keyadm level destroy one --yes >"$STATE/c2"
like "nor does its certificate" "$(<"$STATE/c2")" "still exported +none: every copy is destroyed, on somebody's word"
like "which says whose word it is" "$(<"$STATE/c2")" "$both: export of level one"
like "and when" "$(<"$STATE/c2")" "destroyed, says root \(uid 0\)"
keyadm --json level destroy two --yes >"$STATE/c3"
is "what nobody vouched for is outstanding" "$(json "$STATE/c3" 'len(d["outstanding_exports"])')" 1

# --- a ledger that was changed --------------------------------------------------------------------

ledger_file=$STATE/store/exports.log
level_create three
volume_create three third.img 1M
third=$(keyadm volume key "$STATE/third.img" --out "$STATE/vk3" | id_of)
cp "$ledger_file" "$STATE/ledger.whole"
doubted() { # NAME REASON: and the ledger is whole again
	like "$1: ledger says so" "$(keyadm ledger)" "unknown: .*($2)"
	like "$1: so does the level" "$(keyadm --json level show three)" '"outstanding_exports": *"unknown"'
	cp "$STATE/ledger.whole" "$ledger_file"
}
rm "$ledger_file"
doubted "no ledger" "lacks, or has changed"
sed -i '$d' "$ledger_file"
doubted "a shorter ledger" "lacks, or has changed"
sed -i '$s/"uuid":"[^"]*"/"uuid":"00000000-0000-4000-8000-000000000000"/' "$ledger_file"
doubted "an export of another volume" "lacks, or has changed"
echo "{\"id\":\"$third\",\"time\":\"2026-01-01T00:00:00Z\",\"kind\":\"destroyed\",\"uid\":0,\"user\":\"root\"}" >>"$ledger_file"
doubted "a forged word for a copy" "nobody has vouched in the audit log"
unlike "as it was, nothing is unknown" "$(keyadm ledger)" unknown
rm "$ledger_file"
keyd_stop
keyd_start --config "$STATE/keyd.conf" || die "keyd starts again"
keyadm --json level destroy three --yes >"$STATE/c5"
is "without a ledger a certificate says unknown, not none" "$(json "$STATE/c5" 'd["outstanding_exports"], d["known_exports"]')" "('unknown', [])"
like "and so for people" "$(keyadm level show three)" "still exported +unknown: the ledger lacks"

# --- what came from elsewhere ---------------------------------------------------------------------

there_ready
keyadm_there import "$STATE/e1" --passphrase-fd 3 3<<<"correct horse" >/dev/null || die "an import"
keyadm_there --json level destroy one --yes >"$STATE/c4"
is "where it was imported, a certificate names the copy that it came from" "$(outstanding "$STATE/c4")" "$level"
is "as an import" "$(json "$STATE/c4" 'd["outstanding_exports"][0]["kind"]')" import

done_testing
