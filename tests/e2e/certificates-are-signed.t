#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every certificate of destruction is signed before keyadm hears of the destruction, verified without keyd by
# keyadm and by openssl(1) as docs/KEYSTORE.md says, and by neither when anything in it was changed.
. "$(dirname "$0")/../lib.sh"

stage gone part other
cd "$STATE" || die "there is a folder"
verify() { "$BUILD/keyadm" certificate verify "$1" --key "${2-key.pem}"; } # FILE [KEY]: no keyd needed
parsed() { json "$1" "$2"; }

ok "the public key is put into a new file" keyadm certificate key --out key.pem
refused "never over an old one" 1 "exists: choose a new file" keyadm certificate key --out key.pem
is "it is the one that is printed" "$(keyadm certificate key)" "$(<key.pem)"
like "an Ed25519 key" "$(openssl pkey -pubin -in key.pem -noout -text)" "ED25519 Public-Key"
id=$(openssl pkey -pubin -in key.pem -outform DER | sha256sum | cut -d' ' -f1)
is "whose ID is the hash of its DER form" "$(keyadm --json certificate key | parsed /dev/stdin 'd["key_id"]')" "$id"
like "and is in the status" "$(keyadm status)" "certificate key $id"

refused "what is not destroyed has no certificate" 1 "has no certificate: it is not destroyed" keyadm certificate show gone
refused "nor has what there is not" 1 "there is no level and no volume" keyadm certificate show nothing
keyadm volume show "$STATE/part.img" >part.txt
uuid=$(sed -n 's/^volume  *//p' part.txt)
for name in "$uuid" "${uuid^^}"; do
	refused "no level gets the name of a volume: $name" 1 "form of a UUID" keyadm level create "$name"
done
keyadm --json level destroy gone --yes >certificate.json || die "the level is destroyed"
keyadm --json volume destroy "$STATE/part.img" --yes >volume.json || die "the volume is destroyed"

ok "a level's certificate is verified" verify certificate.json
like "in plain words" "$(verify certificate.json)" "^verified: level gone was destroyed at 20[0-9TZ:-]*, signed with key $id$"
like "a volume's, too" "$(verify volume.json)" "^verified: volume $uuid was destroyed"
like "as JSON" "$("$BUILD/keyadm" --json certificate verify volume.json --key key.pem)" '^\{"result":"passed","key_id":"'
is "what keyd keeps is the very same" "$(<"$STATE/store/levels/gone/certificate.json")" "$(<certificate.json)"
is "and what it shows" "$(keyadm --json certificate show gone)" "$(<certificate.json)"
is "by UUID in either case" "$(keyadm --json certificate show "${uuid^^}")" "$(<volume.json)"
like "the audit log names it" "$(keyadm audit)" "certificate sha256 $(tr -d '\n' <certificate.json | sha256sum | cut -d' ' -f1)"

# openssl(1), by the words of the document.
sed -n '/^keyadm certificate key > key.pem$/,/^openssl/p' "$TOP/docs/KEYSTORE.md" | sed 1d >recipe.sh
is "the document has a recipe" "$(wc -l <recipe.sh)" 3
ok "openssl verifies what the document says" bash -e recipe.sh
sed -i 's/"level":"gone"/"level":"g0ne"/' signed
not_ok "and nothing else" openssl pkeyutl -verify -rawin -pubin -inkey key.pem -in signed -sigfile value

# --- contents -------------------------------------------------------------------------------------

ok "it has what NIST SP 800-88 asks for" python3 - certificate.json "$(hostname)" <<-'PY'
	import json, sys
	d = json.load(open(sys.argv[1]))
	assert list(d)[-1] == "signature" and d["version"] == 1, list(d)
	assert d["method"]["name"] == "cryptographic erase" and "800-88" in d["method"]["standard"], d["method"]
	assert d["tool"]["version"] and d["method"]["custody_of_root_key"] == "file", d
	assert d["location"]["host"] == sys.argv[2], d["location"]
	assert d["requester"] == {"uid": 0, "user": "root"}, d["requester"]
	assert d["erase_class"] == "clear" and d["verification"]["result"] == "passed" and d["verification"]["checked"], d
	assert d["volumes"][0]["cipher"] == "aes-cbc-essiv:sha256" and len(d["volumes"][0]["fingerprint"]) == 32, d["volumes"]
	assert d["requested_at"] <= d["completed_at"] and len(d["acknowledged"]) == 1, d
PY
text=$(keyadm certificate show gone)
ok "the text for people has every value of it" python3 - certificate.json "$text" <<-'PY'
	import json, sys
	d, text = json.load(open(sys.argv[1])), sys.argv[2]
	def leaves(x):
	    if isinstance(x, (dict, list)):
	        for y in x.values() if isinstance(x, dict) else x: yield from leaves(y)
	    else: yield x
	for skip in ("version",): d.pop(skip)
	d["verification"].pop("erased_without_error")
	for c in d["acknowledged"]: c.pop("wiped")
	for v in d["volumes"]: v.pop("size_bytes")
	for leaf in leaves(d):
	    assert leaf is None or str(leaf).lower() in text.lower(), leaf
PY
seq=$(parsed certificate.json 'd["audit_seq"]')
ok "its audit head is one that the log has" keyadm audit --verify --head "$seq:$(parsed certificate.json 'd["audit_head"]')"

# --- what is refused ------------------------------------------------------------------------------

sed 's/"gone"/"kept"/' certificate.json >edited
refused "an edited one" 1 "edited is not verified: it was changed after it was signed" verify edited
sed 's/,"version":1/, "version":1/' certificate.json >spaced
refused "a space more" 1 "changed" verify spaced
python3 - <<-'PY'
	import json
	d = json.load(open("certificate.json"))
	dump = lambda x: json.dumps(x, separators=(",", ":"))
	signature = d.pop("signature")
	open("moved", "w").write(dump({**dict(reversed(d.items())), "signature": signature}))
	open("unsigned", "w").write(dump(d))
	open("twice", "w").write('{"level":"kept",' + dump({**d, "signature": signature})[1:])
	open("first", "w").write(dump({"signature": signature, **d}))
	open("pretty", "w").write(json.dumps({**d, "signature": signature}, indent=1))
	other = json.load(open("volume.json"))["signature"]
	open("borrowed", "w").write(dump({**d, "signature": other}))
PY
refused "members in another order" 1 "changed" verify moved
refused "a member twice" 1 "changed" verify twice
refused "another's signature" 1 "changed" verify borrowed
refused "no signature" 1 "unsigned is not verified: it is not signed" verify unsigned
refused "the signature somewhere else" 1 "not signed" verify first
refused "another layout" 1 "not signed" verify pretty
head -c -20 certificate.json >short.json
refused "one that was cut" 1 "not signed" verify short.json
openssl genpkey -algorithm ed25519 2>/dev/null | openssl pkey -pubout -out wrong.pem
refused "another key" 1 "it names another key, ${id:0:16}" verify certificate.json wrong.pem
sed "s/$id/$(openssl pkey -pubin -in wrong.pem -outform DER | sha256sum | cut -d' ' -f1)/" certificate.json >claimed
refused "another key's name on it" 1 "changed" verify claimed wrong.pem
openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 2>/dev/null | openssl pkey -pubout -out ec.pem
refused "a key of another kind" 1 "no Ed25519 public key" verify certificate.json ec.pem
refused "what is no file" 1 "cannot be read: No such file" verify nothing.json
refused "no key at all" 2 "needs --key" "$BUILD/keyadm" certificate verify certificate.json

# --- keyd's own check, crashes, earlier certificates ----------------------------------------------

keyd_stop
file=$STATE/store/levels/gone/certificate.json
cp edited "$file"
keyd_start || die "keyd starts"
refused "keyd tells an edited one" 1 "the certificate of gone: it was changed" keyadm certificate show gone
cp unsigned "$file"
like "one of an earlier keyd is shown as unsigned" "$(keyadm certificate show gone)" "signed with +nothing: an earlier keyd wrote this certificate"
is "the public key outlives a restart" "$(keyadm certificate key)" "$(<key.pem)"

kill -STOP "${TGTD_PID[a]}"
keyadm level destroy other --yes >/dev/null 2>&1 &
destroyer=$!
ok "a destruction is under way" wait_for 5 test -e "$STATE/store/levels/other/destroy.intent"
kill_pid "$KEYD_PID"
wait $destroyer
sed 's/gone/other/; s/"completed_at":"20/"completed_at":"19/' unsigned >"$STATE/store/levels/other/certificate.json" # as if it had come so far
kill -CONT "${TGTD_PID[a]}"
keyd_start || die "keyd starts again"
ok "resumed, it is finished" wait_for 15 test ! -e "$STATE/store/levels/other/destroy.intent"
keyadm --json certificate show other >other.json
ok "with a certificate that is signed" verify other.json
like "not the forged one" "$(parsed other.json 'd["completed_at"]')" "^20"

ok "the root key is replaced" keyadm custody change --custody passphrase --passphrase-fd 3 3<<<"correct horse battery staple"
is "the public key outlives that, too" "$(keyadm certificate key)" "$(<key.pem)"
ok "and so does the key of the audit log" keyadm audit --verify
ok "back again" keyadm custody change --custody file
keyd_stop
keyd_start || die "keyd starts with its third root key"
is "the public key is still the same" "$(keyadm certificate key)" "$(<key.pem)"
ok "and the audit log whole" keyadm audit --verify
level_create late
keyadm --json level destroy late --yes >late.json
ok "a certificate from after that is verified" verify late.json

rm -f "$STATE/store/keys/signing.key"
keyd_stop
keyd_start || die "keyd starts without its signing key"
like "a new one is made, which the audit log tells" "$(keyadm audit)" "failed .*detail=new key [0-9a-f]{64}; the one before is missing"
refused "what the old one signed is not this server's any more" 1 "not signed with the key that this server has now" \
	keyadm certificate show other
ok "but verified with the public key that was kept" verify other.json

done_testing
