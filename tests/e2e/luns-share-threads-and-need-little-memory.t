#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Fifty more LUNs need no thread and at most 64 KiB each.
. "$(dirname "$0")/../lib.sh"

LUNS=50

threads() { find "/proc/${TGTD_PID[a]}/task" -mindepth 1 -maxdepth 1 | wc -l; }
resident_kib() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/${TGTD_PID[a]}/status"; }

add() { # LUN
	volume_create level "$1.img" 1M
	lun_add 1 "$1" "$STATE/$1.img"
}

keyd_ready
tgtd_ready_or_die
level_create level
target_add 1
add 1 || die "the first LUN is added"
is "it is served" "$(read_outcome "$(url 1 1)")" ok
threads=$(threads) memory=$(resident_kib)
for ((i = 2; i <= LUNS + 1; i++)); do
	add $i || die "LUN $i is added"
done
is "the last one is served" "$(read_outcome "$(url 1 $((LUNS + 1)))")" ok
is "no thread was added" "$(threads)" "$threads"
diag "$((($(resident_kib) - memory) / LUNS)) KiB a LUN"
if [ -n "${TGTD_PRELOAD-}" ]; then
	skip "memory" "a sanitizer has its own"
else
	ok "and at most 64 KiB a LUN" [ $(($(resident_kib) - memory)) -le $((64 * LUNS)) ]
fi

done_testing
