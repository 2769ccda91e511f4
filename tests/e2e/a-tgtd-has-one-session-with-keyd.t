#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A tgtd that knows keyd's socket by two names has no second session: what each held could not be told
# apart after a restart of keyd, and a destroy would be confirmed that left a key alive.
. "$(dirname "$0")/../lib.sh"

stage level
volume_create level two.img 16M
target_add 2
ln -s "$STATE/keyd.sock" "$STATE/other.sock"
not_ok "a LUN that names keyd in another way is not opened" \
	lun_add 2 1 "$STATE/two.img" --bsopts "keyd=$STATE/other.sock"
like "and its administrator told what to do" "$(<"$(tgtd_log)")" "connected already: name keyd's socket in the same way"
ok "in the same way it is" lun_add 2 1 "$STATE/two.img"
ok "both are served" becomes 5 ok read_outcome "$(url 2 1)"
keyadm volume key "$STATE/two.img" --out "$STATE/key" >/dev/null

kill_pid "$KEYD_PID"
keyd_start || die "keyd starts again"
ok "tgtd is back" becomes 10 1 eval "keyadm --json status | grep -c '\"pid\": *${TGTD_PID[a]}'"
like "everybody confirms a destroy" "$(keyadm level destroy level --yes)" "1 of 1 consumers confirmed"
is "and the first LUN is gone" "$(read_outcome "$(url 1 1)")" 07/74/71
is "and the second" "$(read_outcome "$(url 2 1)")" 07/74/71
like "with its key" "$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/key")" '^hits 0'

done_testing
