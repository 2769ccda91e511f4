#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# An export for recipients or under a passphrase brings a level with its volumes to another keyd, which
# serves the same data, also after the first has destroyed it. Only who shall open it can, a changed or cut
# one is refused, and nothing of it stays in memory.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../backup.sh
. "$TESTS/backup.sh"

WORDS="correct horse battery staple"
export_words() { keyadm export "$@" --passphrase-fd 3 3<<<"$WORDS"; }
import_words() { keyadm_there import "$@" --passphrase-fd 3 3<<<"${SAY-$WORDS}"; }
levels_there() { keyadm_there --json level list | grep -o '"name"' | wc -l; }

stage gold silver
there_ready
person alice
person bob -newkey ec -pkeyopt ec_paramgen_curve:P-384
person mallory
person weak -newkey rsa:1024
random_file "$STATE/plain" 1048576
ok "a LUN is written" io write "$(url 1 1)" 0 <"$STATE/plain"
keyadm volume key "$STATE/gold.img" --out "$STATE/vk" >/dev/null

# --- out ------------------------------------------------------------------------------------------

refused "an export says what" 1 "say what to export" keyadm export --out "$STATE/none"
refused "and of a level that is there" 1 "no such level" export_words --level lead --out "$STATE/none"
refused "a weak key is no recipient" 1 "less than 2048 bits" \
	keyadm export --level gold --recipient "$STATE/weak.pem" --out "$STATE/none"
refused "nor is a file without a certificate" 1 "no certificate in PEM" \
	keyadm export --level gold --recipient "$STATE/alice.key" --out "$STATE/none"
cat "$STATE/alice.pem" "$STATE/mallory.pem" >"$STATE/two.pem"
refused "nor is a second one in the file, unseen" 1 "several certificates" \
	keyadm export --level gold --recipient "$STATE/two.pem" --out "$STATE/none"
refused "a short passphrase protects nothing" 1 "8 bytes at least" \
	eval "keyadm export --level gold --out '$STATE/none' --passphrase-fd 3 3<<<short"
ok "what is refused leaves no file" [ ! -e "$STATE/none" ]

ok "a level is exported for two recipients" keyadm export --level gold --recipient "$STATE/alice.pem" \
	--recipient "$STATE/bob.pem" --out "$STATE/gold.p7m"
is "into a private file" "$(stat -c %a "$STATE/gold.p7m")" 600
refused "which is never overwritten" 1 "exists: choose a new file" \
	keyadm export --level gold --recipient "$STATE/alice.pem" --out "$STATE/gold.p7m"
ok "openssl opens it for the one" cms_open alice "$STATE/gold.p7m" "$STATE/package"
ok "and for the other" cms_open bob "$STATE/gold.p7m" "$STATE/package.bob"
same "with the same in it" "$STATE/package" "$STATE/package.bob"
not_ok "for a stranger it does not" cms_open mallory "$STATE/gold.p7m" "$STATE/package.mallory"
like "the levels' keys are in it" "$(head -c 184 "$STATE/package" | tr '\0' ' ')" "^TGTKEYD keys v1 exp-[0-9a-f]{16} .*gold"
ok "and the volume's, where docs/EXPORT.md has it" \
	cmp <(tail -c +$((120 + 152 + 144 + 1)) "$STATE/package" | head -c 32) "$STATE/vk"
tail -c +$((120 + 120 + 1)) "$STATE/package" | head -c 32 >"$STATE/lk"
ok "all levels are exported under a passphrase" export_words --all --out "$STATE/all"
not_ok "which hides what is in it" grep -q -a -e gold -e gold.img "$STATE/all"

# --- in -------------------------------------------------------------------------------------------

lun_delete 1 1 # a volume has one opener
TGT=b
KEYD_SOCKET=$OTHER/keyd.sock tgtd_start || die "a tgtd of the other keyd starts"
target_add 1
not_ok "before the import the other machine cannot open the volume" lun_add 1 1 "$STATE/gold.img"

refused "a recipient's key is needed" 1 "give one's private key with --key" keyadm_there import "$STATE/gold.p7m"
refused "a stranger's does not open it" 1 "does not open the export" \
	keyadm_there import "$STATE/gold.p7m" --key "$STATE/mallory.key"
SAY="correct horse battery stapl" refused "another passphrase does not open one" 1 "not the passphrase" \
	import_words "$STATE/all"
like "which is on record" "$(keyadm_there --json audit)" '"event":"import".*"result":"denied"'
refused "what is no export is none" 1 "is no export" keyadm_there import "$STATE/plain"
for file in gold.p7m all; do
	key=()
	[ $file = all ] || key=(--key "$STATE/alice.key")
	size=$(stat -c %s "$STATE/$file")
	head -c $((size - 7)) "$STATE/$file" >"$STATE/cut"
	{ head -c $((size - 60)) "$STATE/$file" && printf 'x' && tail -c 59 "$STATE/$file"; } >"$STATE/edited"
	cmp -s "$STATE/edited" "$STATE/$file" && printf 'y' | dd of="$STATE/edited" bs=1 seek=$((size - 60)) conv=notrunc status=none
	refused "$file, cut, is refused" 1 "cut|changed" import_words "$STATE/cut" "${key[@]}"
	refused "$file, changed, is refused" 1 "changed" import_words "$STATE/edited" "${key[@]}"
done
refused "a level that is not in it cannot be had" 1 "no such level" import_words "$STATE/all" --level lead
is "nothing of all this came in" "$(levels_there)" 0

ok "one of two levels is imported" import_words "$STATE/all" --level silver
is "the other one is not" "$(levels_there)" 1
ok "a recipient imports it" keyadm_there import "$STATE/gold.p7m" --key "$STATE/bob.key"
like "it is active as it was" "$(keyadm_there level show gold)" "state +active"
like "and its volume is known" "$(keyadm_there volume list)" "gold +active .*gold.img"
refused "a second time it is in the way" 1 "level gold is here, and active" \
	keyadm_there import "$STATE/gold.p7m" --key "$STATE/alice.key"
ok "the other machine serves the volume" lun_add 1 1 "$STATE/gold.img"
io read "$(url 1 1)" 0 2048 >"$STATE/read"
same "with the same data" "$STATE/read" "$STATE/plain"
there_stop
there_start || die "keyd starts there again"
ok "a restart there finds it" becomes 10 active \
	eval "keyadm_there --json level show gold | grep -o '\"state\":\"active\"' | cut -d'\"' -f4"

keyadm level suspend silver >/dev/null
ok "a suspended level is exported" export_words --level silver --out "$STATE/suspended"
refused "what is there twice is refused as a whole" 1 "level gold is here" import_words "$STATE/all"

# --- the first machine destroys it ----------------------------------------------------------------

for pid in "$KEYD_PID" "$OTHER_PID"; do
	is "no volume key stays in a keyd" "$("$BUILD/tests/memscan" "$pid" "$STATE/vk" | head -n 1)" "hits 0"
	is "nor a level key" "$("$BUILD/tests/memscan" "$pid" "$STATE/lk" | head -n 1)" "hits 0"
	is "nor a passphrase" "$(words_in_memory "$pid" "$WORDS")" 0
done
TGT=a
ok "the level is destroyed here" keyadm level destroy gold --yes
keyadm --json level show gold >"$STATE/certificate"
is "the certificate names what left" \
	"$(json "$STATE/certificate" '[e["kind"] for e in d["certificate"]["outstanding_exports"]]')" \
	"['volume-key', 'export', 'export']"
TGT=b
io read "$(url 1 1)" 0 2048 >"$STATE/read"
same "and rightly: the copy still reads" "$STATE/read" "$STATE/plain"
lun_delete 1 1
TGT=a

refused "here it does not come back by itself" 1 "was destroyed here on .* --force" \
	keyadm import "$STATE/gold.p7m" --key "$STATE/alice.key"
ok "somebody has to insist" keyadm import "$STATE/gold.p7m" --key "$STATE/alice.key" --force
like "which is on record" "$(keyadm --json audit)" '"event":"import-forced".*"subject":"gold"'
like "it comes suspended" "$(keyadm level show gold)" "state +suspended"
ok "its certificate is kept" test -e "$STATE/store/levels/gold/before/certificate.json"
keyd_stop
keyd_start || die "keyd starts again"
like "after a restart, too" "$(keyadm level show gold)" "state +suspended"
ok "resumed" keyadm level resume gold
tgtd_stop
tgtd_ready_or_die # the one before saw the destruction
export_volume 1 gold.img
io read "$(url 1 1)" 0 2048 >"$STATE/read"
same "its data are back" "$STATE/read" "$STATE/plain"

done_testing
