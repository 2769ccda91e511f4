#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# SANITIZE, CRYPTOGRAPHIC ERASE: where keyd.conf allows it, an initiator has the volume's key destroyed; the old data
# is gone on every path, and the LUN goes on with another key.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../sanitize.sh
. "$TESTS/sanitize.sh"

stage_sanitizable red
volume_create red shared.img 16M
export_volume 2 shared.img
level_create off
volume_create off off.img 16M
export_volume 3 off.img
u=$(url 1 1)
uuid=$(uuid_of red.img)

# --- off unless it is allowed ----------------------------------------------------------------------

before=$(fingerprint off.img)
is "without sanitize = yes it is no command" "$(sanitize "$(url 3 1)")" 05/20/00
is "and the LUN is as before" "$(read_outcome "$(url 3 1)")" ok
is "with its key" "$(fingerprint off.img)" "$before"
like "the refusal is in the audit log" "$(audited volume-sanitize)" '"level":"off".*"result":"denied"'

# --- what SBC-4 5.30 says of the CDB ------------------------------------------------------------------

before=$(fingerprint red.img)
for cdb in 48010000000000000000 48020000000000000000 48040000000000000000 481f0000000000000000 \
	48430000000000000000 48030100000000000000 48030000000000000100 48030000000000010000; do
	is "CDB $cdb is an invalid field" "$(cdb_outcome "$u" $cdb)" 05/24/00
done
is "and nothing was changed" "$(fingerprint red.img)" "$before"
ok "REPORT SUPPORTED OPERATION CODES knows it" io cdb "$u" a30c02480003000002000000 --in 512
like "with 10 bytes" "$(tr -d ' \n' <"$STATE/out")" '0003000a'
io cdb "$u" 1201b1004000 --in 64 --to "$STATE/b1" >/dev/null
is "VPD page B1h says that what was erased is read without an error (WACEREQ)" \
	"$(od -An -tx1 -j7 -N1 "$STATE/b1" | tr -d ' ')" 10

# --- done ----------------------------------------------------------------------------------------------

keyadm volume key "$STATE/red.img" --out "$STATE/old.key" >/dev/null
random_file "$STATE/secret" $((64 * 512))
ok "data is written" io write "$u" 1000 --fua <"$STATE/secret"
io write "$u" 1000 --fua <"$STATE/secret"
openssl_sectors "$STATE/red.img" "$STATE/old.key" 1000 64 512 >"$STATE/decrypted"
same "and is on the medium under the key" "$STATE/decrypted" "$STATE/secret"
cp --sparse=always "$STATE/red.img" "$STATE/copy.img"
cp -r "$STATE/store" "$STATE/copy.store"
like "the key is in tgtd's memory" "$(scan "${TGTD_PID[a]}" "$STATE/old.key")" '^hits [1-9]'

is "SANITIZE is done" "$(sanitize "$u")" ok
isnt "the volume has another key" "$(fingerprint red.img)" "$before"
is "the LUN is served at once" "$(read_outcome "$u" 1000)" ok
io read "$u" 1000 64 >"$STATE/read"
not_ok "the old data is not read" cmp -s "$STATE/read" "$STATE/secret"
is "nor a block of it" "$(same_blocks "$STATE/read" "$STATE/secret")" 0
ok "what is written now" io write "$u" 1000 --fua <"$STATE/secret"
io write "$u" 1000 --fua <"$STATE/secret"
io read "$u" 1000 64 >"$STATE/read"
same "is read" "$STATE/read" "$STATE/secret"
is "the neighbour in the level was not touched" "$(read_outcome "$(url 2 1)")" ok

# --- nobody can go back -----------------------------------------------------------------------------------

like "the old key is not in tgtd's memory" "$(scan "${TGTD_PID[a]}" "$STATE/old.key")" '^hits 0'
like "nor in keyd's" "$(scan "$KEYD_PID" "$STATE/old.key")" '^hits 0'
ok "the new key is exported" keyadm volume key "$STATE/red.img" --out "$STATE/new.key"
ok "cryptsetup takes it for the image" opens red.img new.key
not_ok "but not the old one" opens red.img old.key
not_ok "nor the new one for the old image" opens copy.img new.key
openssl_sectors "$STATE/red.img" "$STATE/new.key" 1000 64 512 >"$STATE/decrypted"
same "the new data is under the new key" "$STATE/decrypted" "$STATE/secret"
is "no file of the store is the old sealed key" "$(find "$STATE/store" -type f -exec cmp -s {} "$STATE/copy.store/levels/red/volumes/$uuid.key" \; -print | wc -l)" 0
is "the header has one copy of the new digest twice" "$(header_copies red.img)" same
isnt "and no copy of the old one" "$(head -c 32768 "$STATE/red.img" | sha256sum)" "$(head -c 32768 "$STATE/copy.img" | sha256sum)"
is "the UUID is the same" "$(cryptsetup luksUUID "$STATE/red.img")" "$uuid"

# --- what is on record -----------------------------------------------------------------------------------------

keyadm --json certificate show "$uuid" >"$STATE/certificate"
keyadm certificate key --out "$STATE/key.pem" >/dev/null
mapfile -t got < <(json "$STATE/certificate" 'd["scope"]' 'd["volumes"][0]["fingerprint"]' 'd["requester"]["uid"]' \
	'd["command"]' 'd["initiator"]' '[a["wiped"] for a in d["acknowledged"]]' 'd["unacknowledged"]' \
	'd["verification"]["result"]' 'len(d["outstanding_exports"])' 'd["sanitization"]')
is "certificate: of a volume" "${got[0]}" volume
is "certificate: the old key" "${got[1]}" "$before"
is "certificate: tgtd's user asked" "${got[2]}" 0
is "certificate: for a command" "${got[3]}" "SANITIZE, CRYPTOGRAPHIC ERASE"
like "certificate: of an initiator" "${got[4]}" '^iqn\.'
is "certificate: one key was wiped" "${got[5]}" "[1]"
is "certificate: everybody answered" "${got[6]}" "[]"
is "certificate: verified" "${got[7]}" passed
is "certificate: the key that was exported is named" "${got[8]}" 1
is "certificate: the first of the volume" "${got[9]}" 1
verdict=$(keyadm certificate verify "$STATE/store/levels/red/volumes/$uuid.sanitize-1.certificate.json" \
	--key "$STATE/key.pem")
like "it is signed, and verified anywhere" "$verdict" '^verified: an earlier key of volume '
like "the audit log has the request" "$(audited volume-sanitize)" '"subject":"'"$uuid"'".*"detail":"iqn.*"result":"ok"'
like "and the end" "$(audited volume-sanitized)" '"subject":"'"$uuid"'".*"result":"ok"'
ok "and is unbroken" keyadm audit --verify

# --- again, and after a restart ------------------------------------------------------------------------------------

second=$(fingerprint red.img)
is "SANITIZE with IMMED and AUSE is done as well, before its status" "$(cdb_outcome "$u" 48a30000000000000000)" ok
isnt "and gives a third key" "$(fingerprint red.img)" "$second"
ok "the volume may become larger after that" keyadm volume resize "$STATE/red.img" 80M
ok "a new root key takes that along" keyadm custody change --custody file
keyd_stop && keyd_start --config "$STATE/keyd.conf" || die "keyd restarts"
ok "the LUN is served" becomes 10 ok read_outcome "$u"
tgtd_stop
tgtd_ready_or_die
export_volume 1 red.img
is "a new tgtd serves it" "$(read_outcome "$(url 1 1)")" ok
third=$(fingerprint red.img)
isnt "with the third key" "$third" "$second"
is "and the size" "$(io capacity "$(url 1 1)")" "163840 512"

# --- an old key file that is put back --------------------------------------------------------------------------------

lun_delete 1 1
keyd_stop
cp "$STATE/copy.store/levels/red/volumes/$uuid.key" "$STATE/store/levels/red/volumes/$uuid.key"
keyd_start --config "$STATE/keyd.conf" || die "keyd restarts"
like "is damaged to keyd" "$(keyadm volume list)" "$uuid .*damaged"
refused "and does not leave" 1 damaged keyadm volume key "$STATE/red.img" --out "$STATE/back.key"

# --- with the level ------------------------------------------------------------------------------------------------------

tgtd_stop
ok "the level can be destroyed" keyadm level destroy red --yes
is "with what was left of that" "$(find "$STATE/store/levels/red" -name '*.sanitize' -o -name '*.key')" ""

done_testing
