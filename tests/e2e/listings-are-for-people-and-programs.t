#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# status, lists and shows: the same facts as text and as JSON.
. "$(dirname "$0")/../lib.sh"

stage red green
volume_create green more.img 16M --sector-size 4096
keyadm level suspend red >/dev/null

asked() { # keyadm's arguments: text to $STATE/text, JSON to $STATE/json
	keyadm "$@" >"$STATE/text" 2>&1 && keyadm --json "$@" >"$STATE/json" 2>&1 &&
		json "$STATE/json" 'type(d).__name__' >/dev/null
}
has() { # REGEX...: in both
	local regex
	for regex; do
		like "text has $regex" "$(<"$STATE/text")" "$regex"
		like "JSON has $regex" "$(<"$STATE/json")" "$regex"
	done
}

ok "status" asked status
has file "${TGTD_PID[a]}"
ok "level list" asked level list
has red green suspended active
ok "level show" asked level show green
has green active 2
ok "volume list" asked volume list
has "$STATE/red.img" "$STATE/green.img" "$STATE/more.img"
ok "volume list --level" asked volume list --level red
has "$STATE/red.img"
not_ok "of that level only" grep -q green.img "$STATE/json"
ok "volume show" asked volume show "$STATE/more.img"
has green "$(cryptsetup luksUUID "$STATE/more.img")" aes-cbc-essiv:sha256 4096
cd "$STATE" || die "cd"
ok "a relative path names the same volume" asked volume show ./more.img
has "$STATE/more.img"
is "sizes are bytes in JSON" "$(json "$STATE/json" 'd["size_bytes"], d["sector_size"]')" "(16777216, 4096)"
refused "an unknown level" 1 "nobody" keyadm level show nobody
refused "an unknown volume" 1 "no such volume" keyadm volume show no-such.img

done_testing
