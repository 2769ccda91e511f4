#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Destroying a level in the middle of I/O from several initiators: nothing that starts after the
# acknowledgement returns data, the other level sees nothing, no restart brings it back, and the
# certificate says what happened.
. "$(dirname "$0")/../lib.sh"

stage doomed kept
volume_create doomed second.img 16M
target_add 3
lun_add 3 1 "$STATE/second.img"
doomed=$(url 1 1)
kept=$(url 2 1)
keyadm volume key "$STATE/doomed.img" --out "$STATE/doomed.key" >/dev/null
keyadm volume key "$STATE/kept.img" --out "$STATE/kept.key" >/dev/null

# three initiators on the doomed level, one on the other
load_start one "$doomed" --connections 2 --reads 70
load_start two "$(url 3 1)" --connections 1 --depth 4 --reads 100
load_start flushes "$doomed" --connections 1 --reads 0 --flush-every 4 --offset $((32 << 20))
load_start kept "$kept"
sleep 1

refused "without --yes and without a terminal nothing is destroyed" 1 "yes" \
	keyadm level destroy doomed </dev/null
before=$(io now)
started=$(date -u +%s)
ok "destroy succeeds" keyadm --json level destroy doomed --yes
destroyed=$(io now)
cp "$STATE/out" "$STATE/certificate"
diag "destroy took $(((destroyed - before) / 1000000)) ms"

ok "memory is scanned" "$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/doomed.key"
is "nothing of the key is left in tgtd" "$(head -n 1 "$STATE/out")" "hits 0"
sleep 1
for load in one two flushes; do
	ok "$load: reads before were right" load_stop $load
	isnt "$load: there was I/O before" "$(load_count $load 0 . ok)" 0
	is "$load: nothing that began afterwards succeeded" "$(load_count $load "$destroyed" . ok)" 0
	isnt "$load: and that was tried" "$(load_count $load "$destroyed" . '07/74/71')" 0
	is "$load: no other outcome" "$(load_outcomes $load)" "07/74/71 ok"
done
for command in "read" "write" "flush"; do
	case $command in
	read) got=$(read_outcome "$doomed") ;;
	write) got=$(head -c 512 /dev/zero | io write "$doomed" 0 2>&1) ;;
	flush) got=$(outcome flush "$doomed") ;;
	esac
	is "$command answers access denied" "${got#sense }" 07/74/71
done
isnt "the other level's I/O went on" "$(load_count kept "$destroyed" . ok)" 0
ok "the other level's reads were right" load_stop kept
is "the other level saw no error" "$(load_outcomes kept)" ok
like "the other level's key is in use" "$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/kept.key")" '^hits [1-9]'

# --- the certificate
mapfile -t got < <(json "$STATE/certificate" 'd["type"]' 'd["version"]' 'd["scope"]' 'd["level"]' \
	'len(d["level_fingerprint"]), d["level_fingerprint"].isalnum()' \
	'sorted(v["path"] for v in d["volumes"])' 'sorted(v["size_bytes"] for v in d["volumes"])' \
	'sorted(len(v["fingerprint"]) for v in d["volumes"])' 'd["requester"]["uid"], d["requester"]["user"]' \
	'[(a["pid"], a["uid"], a["wiped"]) for a in d["acknowledged"]]' 'd["unacknowledged"]' \
	'd["erase_class"], len(d["erase_class_reason"]) > 10' 'd["verification"]["result"]' \
	'len(d["outstanding_exports"])' 'len(d["audit_head"])' 'd["requested_at"]' 'd["completed_at"]')
is "certificate: type" "${got[0]}" "tgt-crypt certificate of destruction"
is "certificate: version" "${got[1]}" 1
is "certificate: scope" "${got[2]} ${got[3]}" "level doomed"
is "certificate: a fingerprint of the level's key" "${got[4]}" "(32, True)"
is "certificate: the volumes" "${got[5]}" "['$STATE/doomed.img', '$STATE/second.img']"
is "certificate: their sizes" "${got[6]}" "[16777216, 67108864]"
is "certificate: their keys' fingerprints" "${got[7]}" "[32, 32]"
is "certificate: who asked" "${got[8]}" "(0, 'root')"
is "certificate: who acknowledged" "${got[9]}" "[(${TGTD_PID[a]}, 0, 2)]"
is "certificate: who did not" "${got[10]}" "[]"
is "certificate: erase class and why" "${got[11]}" "('clear', True)"
is "certificate: verification" "${got[12]}" passed
is "certificate: the exported key is outstanding" "${got[13]}" 1
is "certificate: head of the audit chain" "${got[14]}" 64
requested=$(date -u -d "${got[15]}" +%s) completed=$(date -u -d "${got[16]}" +%s)
ok "certificate: times" [ $((requested >= started - 1 && completed >= requested && completed <= started + 30)) = 1 ]
not_ok "certificate: no key in it" grep -qi "$(hex <"$STATE/doomed.key")" "$STATE/certificate"

# --- it stays so
keys() { find "$STATE/store/levels/doomed" -name '*.key'; }
is "no key file is left" "$(keys)" ""
refused "destroying it again is refused" 1 "destroyed" keyadm level destroy doomed --yes
refused "resuming it is refused" 1 "destroyed" keyadm level resume doomed
refused "its name cannot be used again" 1 "destroyed|exists" keyadm level create doomed
refused "no volume can be made in it" 1 "destroyed" keyadm volume create --level doomed --size 16M "$STATE/x.img"
refused "no key is given out" 1 "destroyed" keyadm volume key "$STATE/doomed.img" --out "$STATE/late.key"
like "level list says destroyed" "$(keyadm level list)" 'doomed.*destroyed'
like "level show keeps the certificate" "$(keyadm --json level show doomed)" 'certificate of destruction'

keyd_stop && keyd_start || die "keyd restarts"
sleep 1.5
is "a restart of keyd does not bring it back" "$(read_outcome "$doomed")" 07/74/71
tgtd_stop && tgtd_start || die "tgtd restarts"
export_volume 2 kept.img
is "the other level is served again" "$(read_outcome "$(url 2 1)")" ok
target_add 1
lun_add 1 1 "$STATE/doomed.img" >/dev/null 2>&1
isnt "a restart of tgtd does not bring it back" "$(read_outcome "$(url 1 1)")" ok
lun_delete 1 1 2>/dev/null
keyd_stop
tgtd_stop
keyd_start && tgtd_start || die "both restart"
target_add 1
lun_add 1 1 "$STATE/doomed.img" >/dev/null 2>&1
isnt "nor a restart of both" "$(read_outcome "$(url 1 1)")" ok

done_testing
