#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# SANITIZE while others use the volume: commands under way end first, those that come meanwhile are told so, every
# tgtd wipes the old key, and one that does not answer is named. What forbids it changes nothing.
TEST_LIMIT=${TEST_LIMIT:-600}
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../sanitize.sh
. "$TESTS/sanitize.sh"

REVOKE_TIMEOUT=30
sanitize_conf red
keyd_ready --config "$STATE/keyd.conf"
level_create red
volume_create red red.img 64M
for TGT in a b; do
	tgtd_ready_or_die
	export_volume 1 red.img --bsopts "shared=on;grace=3"
done
TGT=b b=$(TGT=b url 1 1)
TGT=a u=$(url 1 1)
uuid=$(uuid_of red.img)
random_file "$STATE/secret" $((64 * 512))
connected() { keyadm --json status | python3 -c 'import json, sys
print(sum(c["connected"] for c in json.load(sys.stdin)["consumers"]))'; }
unchanged() { is "$1: nothing was changed" "$(fingerprint red.img)" "$before"; }

# --- under load ----------------------------------------------------------------------------------------------------

before=$(fingerprint red.img)
keyadm volume key "$STATE/red.img" --out "$STATE/old.key" >/dev/null
io write "$b" 120000 --fua <"$STATE/secret"
load_start writes "$u" --connections 2 --reads 0
is "SANITIZE is done under load" "$(sanitize "$u")" ok
isnt "and gives another key" "$(fingerprint red.img)" "$before"
sleep 0.5
load_stop writes
diag "outcomes: $(load_outcomes writes)"
like "writes succeeded, or were told of it" "$(load_outcomes writes)" '^(02/04/1b )?ok$'
is "the other tgtd serves the volume" "$(read_outcome "$b" 120000)" ok
io read "$b" 120000 64 >"$STATE/read"
is "without a block of the old data" "$(same_blocks "$STATE/read" "$STATE/secret")" 0
io write "$b" 120000 --fua <"$STATE/secret"
io read "$u" 120000 64 >"$STATE/read"
same "both have the same new key" "$STATE/read" "$STATE/secret"
for TGT in a b; do
	like "the old key is not in memory of tgtd $TGT" "$(scan "${TGTD_PID[$TGT]}" "$STATE/old.key")" '^hits 0'
done
TGT=a
keyadm --json certificate show "$uuid" >"$STATE/certificate"
is "the certificate has both" "$(json "$STATE/certificate" 'sorted(a["pid"] for a in d["acknowledged"])')" \
	"[$(printf '%s\n' "${TGTD_PID[@]}" | sort -n | paste -sd, | sed 's/,/, /')]"
ok "the header is written" becomes 10 False volume_says red.img header_due
keyadm volume key "$STATE/red.img" --out "$STATE/new.key" >/dev/null
ok "and is the new key's" opens red.img new.key

# --- between the wipe and the new key ---------------------------------------------------------------------------------

before=$(fingerprint red.img)
coproc CONSUMER { exec python3 "$TESTS/tools/consumer.py" "$STATE/keyd.sock" >"$STATE/told" 2>&1; }
at_exit kill "$CONSUMER_PID"
tell() { echo "$@" >&"${CONSUMER[1]}"; }
told() { grep -q "^$1" "$STATE/told"; }
tell sanitize "$uuid"
ok "who has not attached the volume may not ask" wait_for 10 told "sanitize 2"
tell attach "$uuid"
ok "somebody else has the key, too" wait_for 10 told "attach 0"
sanitize "$u" >"$STATE/said" &
asker=$!
ok "and is told to wipe it" wait_for 10 told revoke
is "until it does, a command is told of the SANITIZE" "$(read_outcome "$u")" 02/04/1b
is "as is a second SANITIZE" "$(sanitize "$u")" 02/04/1b
is "and TEST UNIT READY" "$(cdb_outcome "$u" 000000000000)" 02/04/1b
is "and START STOP UNIT, which would wait for it" "$(LIMIT=10 cdb_outcome "$u" 1b0000000000)" 02/04/1b
is "and the other tgtd is not ready" "$(read_outcome "$b")" 02/04/01
for TGT in a b; do
	like "tgtd $TGT has wiped the key" "$(scan "${TGTD_PID[$TGT]}" "$STATE/new.key")" '^hits 0'
done
TGT=a
refused "no key leaves" 1 "being replaced" keyadm volume key "$STATE/red.img" --out "$STATE/between.key"
like "the list says so" "$(keyadm volume list)" sanitizing
is "nor is it done" "$(<"$STATE/said")" ""
tell ack "$(sed -n 's/^revoke //p' "$STATE/told" | tail -n 1)" 1
wait "$asker"
is "with the last answer it is" "$(<"$STATE/said")" ok
isnt "and the volume has another key" "$(fingerprint red.img)" "$before"
kill "$CONSUMER_PID"

# --- what forbids it -------------------------------------------------------------------------------------------------

before=$(fingerprint red.img)
mkfifo "$STATE/hold"
io cdb "$b" 160000000000 --hold <"$STATE/hold" >"$STATE/reserved" &
exec 9>"$STATE/hold"
wait_for 10 test -s "$STATE/reserved"
is "a reservation is a conflict" "$(sanitize "$b")" "status 18"
exec 9>&-
unchanged reserved
tgt --op update --mode logicalunit --tid 1 --lun 1 --params readonly=1
is "a read-only LUN is write protected" "$(sanitize "$u")" 07/27/00
tgt --op update --mode logicalunit --tid 1 --lun 1 --params readonly=0
unchanged read-only
keyadm level suspend red >/dev/null
is "a suspended level is not ready" "$(sanitize "$u")" 02/04/01
keyadm level resume red >/dev/null
unchanged suspended
keyd_stop
sed -i 's/^revoke-timeout = .*/revoke-timeout = 2/' "$STATE/keyd.conf"
is "without keyd it is not ready" "$(sanitize "$u")" 02/04/01
keyd_start --config "$STATE/keyd.conf" || die "keyd restarts"
ok "both tgtds come back to keyd" becomes 20 2 connected
unchanged "without keyd"

# --- somebody does not answer -----------------------------------------------------------------------------------------

kill -STOP "${TGTD_PID[b]}"
is "with a tgtd that does not answer it is not told to be done" "$(LIMIT=60 sanitize "$u")" 03/31/03
kill -CONT "${TGTD_PID[b]}"
isnt "but the key is another one" "$(fingerprint red.img)" "$before"
ok "and the LUN is served" becomes 15 ok read_outcome "$u"
keyadm --json certificate show "$uuid" >"$STATE/certificate"
is "the certificate names it" "$(json "$STATE/certificate" '[a["pid"] for a in d["unacknowledged"]]')" "[${TGTD_PID[b]}]"
ok "when it goes on it has the new key, too" becomes 15 ok read_outcome "$b"
io write "$u" 7 --fua <"$STATE/secret"
io read "$b" 7 64 >"$STATE/read"
same "and not the old one" "$STATE/read" "$STATE/secret"
like "it says so late" "$(keyadm --json audit | grep revoke-ack-late)" "\"pid\":${TGTD_PID[b]}"

# --- after the end ---------------------------------------------------------------------------------------------------

keyadm volume destroy "$STATE/red.img" --yes >/dev/null
is "a destroyed volume is denied" "$(sanitize "$u")" 07/74/71
is "and nothing of the sanitization is left but certificates" \
	"$(find "$STATE/store/levels/red/volumes" -name "$uuid.sanitize" -o -name "$uuid.key")" ""
like "of which there are two" "$(find "$STATE/store/levels/red/volumes" -name "$uuid.sanitize-*" | wc -l)" '^[2-9]'

done_testing
