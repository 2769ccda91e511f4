#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Each command on a range is one step for all others that overlap it, whatever its length: COMPARE AND WRITE counts
# in all blocks of a range or in none, no bit that ORWRITE set is lost, and no read sees a part of a write.
. "$(dirname "$0")/../lib.sh"

races() { # NAME KIND LBA BLOCKS CONNECTIONS TIMES
	local name=$1
	shift
	ok "$name" io race "$u" "$@"
	done_=$(sed -n 's/^done //p' "$STATE/out") missed=$(sed -n 's/^missed //p' "$STATE/out")
	diag "$done_ done, $missed missed"
	is "all of them" "$done_" $(($4 * $5))
}

keyd_ready
tgtd_ready_or_die
level_create l
tid=0
for bs in 512 4096; do
	volume_create l $bs.img 64M --sector-size $bs
	export_volume $((++tid)) $bs.img --blocksize $bs
	u=$(url $tid 1)
	load_start load "$u" --connections 1 --offset $((32 << 20))
	diag "blocks of $bs bytes"
	races "eight initiators count in one block" counters 0 1 8 150
	ok "and they met" [ "$missed" -gt 0 ]
	races "eight count in ranges of 16 blocks that overlap" counters 100 16 8 100
	ok "and they met" [ "$missed" -gt 0 ]
	races "four count in ranges of 128 blocks" counters 200 128 4 40
	races "eight set the bits of one block" bits 600 1 8 400
	races "eight set the bits of 32 blocks" bits 700 32 8 100
	races "eight set the bits of 600 blocks" bits 1000 600 8 12
	for blocks in 1 8 200 2048; do
		races "reads and writes of $blocks blocks do not tear" versions 4096 $blocks 8 $((blocks < 200 ? 300 : 40))
	done
	load_stop load
	is "the load beside saw no error" "$(load_outcomes load)" ok
done

done_testing
