#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# One volume, one opener; a cluster says shared=on at every end.
. "$(dirname "$0")/../lib.sh"

stage level
target_add 2
not_ok "a second LUN of the same tgtd" lun_add 2 1 "$STATE/level.img"
like "for a reason that is told" "$(grep 'bs_crypt: ' "$(tgtd_log)" | tail -n 1)" 'already open'
ln -s level.img "$STATE/link.img"
not_ok "through a symbolic link" lun_add 2 1 "$STATE/link.img"
ln "$STATE/level.img" "$STATE/hard.img"
not_ok "through a hard link" lun_add 2 1 "$STATE/hard.img"
not_ok "with shared=on at this end only" lun_add 2 1 "$STATE/level.img" --bsopts shared=on

TGT=b
tgtd_start || die "a second tgtd starts"
target_add 2
not_ok "of another tgtd" lun_add 2 1 "$STATE/level.img"
TGT=a
is "the first opener goes on" "$(read_outcome "$(url 1 1)")" ok

lun_delete 1 1
ok "the first with shared=on" lun_add 1 1 "$STATE/level.img" --bsopts shared=on
TGT=b
ok "the second with shared=on" lun_add 2 1 "$STATE/level.img" --bsopts shared=on
random_file "$STATE/plain" 65536
TGT=a
io write "$(url 1 1)" 77 <"$STATE/plain"
TGT=b
io read "$(url 2 1)" 77 128 >"$STATE/read"
same "what one writes the other reads" "$STATE/read" "$STATE/plain"
ok "destroy reaches both" keyadm --json level destroy level --yes
cp "$STATE/out" "$STATE/certificate"
is "and both acknowledge" "$(json "$STATE/certificate" 'sorted(a["pid"] for a in d["acknowledged"])')" \
	"[$(printf '%s\n' "${TGTD_PID[a]}" "${TGTD_PID[b]}" | sort -n | paste -sd, | sed 's/,/, /')]"
is "the second is denied" "$(read_outcome "$(url 2 1)")" 07/74/71
TGT=a
is "the first is denied" "$(read_outcome "$(url 1 1)")" 07/74/71

done_testing
