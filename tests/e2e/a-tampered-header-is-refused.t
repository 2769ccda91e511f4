#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Whoever can write the storage can write the LUKS2 header, checksums and all. keyd's record decides.
. "$(dirname "$0")/../lib.sh"

keyd_ready
tgtd_ready_or_die
level_create l
level_create other
volume_create l good.img 16M
volume_create l lun.img 16M
volume_create other stolen.img 16M
target_add 1
ok "the untouched volume opens" lun_add 1 1 "$STATE/lun.img"
lun_delete 1 1
head -c 1M "$STATE/lun.img" >"$STATE/untouched"
untouched() { dd if="$STATE/untouched" of="$STATE/lun.img" conv=notrunc status=none; }
victim=$(cryptsetup luksUUID "$STATE/stolen.img")

tampered() { # NAME STATEMENT REGEX
	local lines
	untouched
	python3 "$TESTS/tools/luks2-edit.py" "$STATE/lun.img" "$2" || die "the header is edited: $1"
	cryptsetup isLuks "$STATE/lun.img" || diag "cryptsetup itself takes this header for wrong: $1"
	lines=$(wc -l <"$(tgtd_log)")
	not_ok "$1: refused" lun_add 1 1 "$STATE/lun.img"
	lun_delete 1 1 2>/dev/null
	tail -n +$((lines + 1)) "$(tgtd_log)" | grep 'bs_crypt: ' >"$STATE/said"
	is "$1: in one line" "$(wc -l <"$STATE/said")" 1
	like "$1: that says what" "$(<"$STATE/said")" "lun.img.*$3"
}
segment='meta["segments"]["0"]'
tampered "encryption turned off" "${segment}['encryption'] = 'cipher_null-ecb'" 'cipher'
tampered "another cipher" "${segment}['encryption'] = 'aes-cbc-plain'" 'cipher'
tampered "the other cipher of the table" "${segment}['encryption'] = 'aes-xts-plain64'" 'cipher|key'
tampered "data elsewhere" "${segment}['offset'] = str(16777216 + 4096)" 'offset'
tampered "another UUID" 'uuid = "12345678-1234-1234-1234-123456789abc"' 'UUID|no such|not known|unknown'
tampered "another volume's UUID" "uuid = \"$victim\"" 'UUID|digest|key'
tampered "a plain segment" "meta['segments'] = {'0': {'type': 'linear', 'offset': '16777216', 'size': 'dynamic'}}; meta['digests'] = {}" .
tampered "an IV that is shifted" "${segment}['iv_tweak'] = '8'" 'IV|tweak'
tampered "another sector size" "${segment}['sector_size'] = 4096" 'sector'
tampered "another digest" \
	'd = meta["digests"]["0"]; d["digest"] = ("A" if d["digest"][0] != "A" else "B") + d["digest"][1:]' 'digest'
ok "a good LUN can still be added" lun_add 1 2 "$STATE/good.img"
is "and works" "$(read_outcome "$(url 1 2)")" ok
untouched
ok "the header put back, the volume opens" lun_add 1 1 "$STATE/lun.img"
is "and works again" "$(read_outcome "$(url 1 1)")" ok

# A header changed while keyd restarts is caught when the key is asked for again: not silently used.
printf garbage | dd of="$STATE/lun.img" bs=1 seek=4096 conv=notrunc status=none
keyd_stop && keyd_start || die "keyd restarts"
sleep 1.5
is "a header damaged under an open LUN does not matter to it" "$(read_outcome "$(url 1 1)")" ok

done_testing
