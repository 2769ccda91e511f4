#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A suspended level answers "not ready" at once and everywhere, and its neighbour does not notice.
. "$(dirname "$0")/../lib.sh"

stage red green
red=$(url 1 1)
green=$(url 2 1)
random_file "$STATE/plain" 65536
ok "data is written" io write "$red" 100000 <"$STATE/plain"
volume_create red second.img 16M
target_add 3
keyadm volume key "$STATE/red.img" --out "$STATE/red.key" >/dev/null

load_start green "$green"
load_start red "$red"
ok "suspend succeeds" keyadm level suspend red
suspended=$(io now)
like "level list says suspended" "$(keyadm level list)" 'red.*suspended'
is "a read is not ready" "$(read_outcome "$red")" 02/04/01
is "a flush is not ready" "$(outcome flush "$red")" 02/04/01
is "a write is not ready" "$(head -c 512 /dev/zero | io write "$red" 0 2>&1)" "sense 02/04/01"
like "the key is not in tgtd's memory" "$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/red.key")" '^hits 0'
sleep 0.5
is "nothing that began after suspend's end succeeded" "$(load_count red "$suspended" . ok)" 0
isnt "and that was tried" "$(load_count red "$suspended" . '02/04/01')" 0

ok "a LUN of a suspended level can be added" lun_add 3 1 "$STATE/second.img"
is "and is not ready" "$(read_outcome "$(url 3 1)")" 02/04/01
ok "suspending again changes nothing" keyadm level suspend red
refused "no volume is made in a suspended level" 1 "suspended" \
	keyadm volume create --level red --size 16M "$STATE/none.img"
not_ok "and no file is left of it" test -e "$STATE/none.img"

ok "resume succeeds" keyadm level resume red
ok "reads succeed again" becomes 5 ok read_outcome "$red"
ok "also of the LUN that was added while it was suspended" becomes 5 ok read_outcome "$(url 3 1)"
resumed=$(io now)
io read "$red" 100000 128 >"$STATE/read"
same "with the same data" "$STATE/read" "$STATE/plain"
sleep 0.5
ok "no read of the suspended level was wrong" load_stop red
is "after resume there was no error" "$(load_count red "$resumed" . '../../..|lost')" 0
isnt "but I/O" "$(load_count red "$resumed" . ok)" 0
is "only these outcomes" "$(load_outcomes red)" "02/04/01 ok"
ok "no read of the other level was wrong" load_stop green
is "the other level saw no error" "$(load_outcomes green)" ok
ok "resuming again changes nothing" keyadm level resume red
is "as a read shows" "$(read_outcome "$red")" ok

ok "suspend survives" keyadm level suspend red
keyd_stop && keyd_start || die "keyd restarts"
ok "a restart of keyd" becomes 5 02/04/01 read_outcome "$red"
tgtd_stop && tgtd_start || die "tgtd restarts"
export_volume 1 red.img
is "a restart of tgtd" "$(read_outcome "$(url 1 1)")" 02/04/01
ok "and ends with resume" keyadm level resume red
ok "as before" becomes 5 ok read_outcome "$(url 1 1)"

done_testing
