#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# grace=: while keyd is away I/O goes on with the keys held, until the time is over.
. "$(dirname "$0")/../lib.sh"

keyd_ready
tgtd_ready_or_die
level_create l
volume_create l short.img 64M
volume_create l long.img 16M
export_volume 1 short.img --bsopts "grace=2"
export_volume 2 long.img --bsopts "grace=100"
short=$(url 1 1)
keyadm volume key "$STATE/short.img" --out "$STATE/short.key" >/dev/null
random_file "$STATE/plain" 4096
io write "$short" 100000 <"$STATE/plain"

load_start short "$short"
before=$(io now)
kill_pid "$KEYD_PID"
sleep 0.5
is "within the grace time reads succeed" "$(read_outcome "$short")" ok
ok "past it the LUN is not ready" becomes 6 02/04/01 read_outcome "$short"
ok "and not much later" [ $(($(io now) - before)) -lt 6000000000 ]
like "the key is wiped" "$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/short.key")" '^hits 0'
is "a longer grace holds" "$(read_outcome "$(url 2 1)")" ok
keyd_start || die "keyd starts again"
ok "it comes back with keyd" becomes 10 ok read_outcome "$short"
io read "$short" 100000 8 >"$STATE/read"
same "with its data" "$STATE/read" "$STATE/plain"
ok "no read was wrong" load_stop short
is "only these outcomes" "$(load_outcomes short)" "02/04/01 ok"
is "no error before its time" \
	"$(awk -v t=$((before + 2000000000)) '$2 < t && $6 != "ok"' "$STATE/short.ops" | wc -l)" 0

done_testing
