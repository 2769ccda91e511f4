#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Destroying one volume under I/O: its LUN is gone for good, the level's other volumes go on.
. "$(dirname "$0")/../lib.sh"

stage level
volume_create level doomed.img 16M
export_volume 2 doomed.img
keyadm volume key "$STATE/doomed.img" --out "$STATE/doomed.key" >/dev/null
load_start kept "$(url 1 1)"
load_start doomed "$(url 2 1)"

ok "volume destroy succeeds" keyadm --json volume destroy "$STATE/doomed.img" --yes
destroyed=$(io now)
cp "$STATE/out" "$STATE/certificate"
like "its key is not in tgtd's memory" "$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/doomed.key")" '^hits 0'
sleep 0.5
ok "reads before were right" load_stop doomed
is "nothing that began afterwards succeeded" "$(load_count doomed "$destroyed" . ok)" 0
is "all of it was denied" "$(load_outcomes doomed)" "07/74/71 ok"
ok "the other volume's reads were right" load_stop kept
is "and without error" "$(load_outcomes kept)" ok

mapfile -t got < <(json "$STATE/certificate" 'd["scope"], d["level"]' '[v["path"] for v in d["volumes"]]' \
	'[a["wiped"] for a in d["acknowledged"]]' 'd["verification"]["result"]')
is "certificate: scope" "${got[0]}" "('volume', 'level')"
is "certificate: that volume only" "${got[1]}" "['$STATE/doomed.img']"
is "certificate: one key was wiped" "${got[2]}" "[1]"
is "certificate: verification" "${got[3]}" passed
refused "its key is gone" 1 "destroyed" keyadm volume key "$STATE/doomed.img" --out "$STATE/late.key"
like "the list says so" "$(keyadm volume list)" 'destroyed'
keyd_stop && keyd_start || die "keyd restarts"
sleep 1.5
is "a restart of keyd does not bring it back" "$(read_outcome "$(url 2 1)")" 07/74/71
is "the neighbour is served" "$(read_outcome "$(url 1 1)")" ok
lun_delete 2 1
rm "$STATE/doomed.img"
volume_create level doomed.img 16M
lun_add 2 1 "$STATE/doomed.img"
is "a new volume can take its path" "$(read_outcome "$(url 2 1)")" ok

done_testing
