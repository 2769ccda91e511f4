#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# CDBs of all opcodes with wrong ranges, lengths, fields, directions and parameters: the sense is the right one,
# nothing that was in a buffer before comes back, and not a byte of the image changes. Then COUNT random ones.
TEST_LIMIT=${TEST_LIMIT:-600}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/bystanders.sh"

peak_kib() { awk '/VmHWM/ { print $2 }' "/proc/$pid/status"; }

for bs in 512 4096; do
	hostile_stage $bs
	random_file "$STATE/data" $((4 << 20))
	io write "$(url 3 1)" 0 --chunk 256 <"$STATE/data"
	io flush "$(url 3 1)"
	cp "$STATE/victim.img" "$STATE/victim.before"
	hostile_program "blocks of $bs: malformed commands end as they must" commands.py refused 3
	same "blocks of $bs: and the image is the same" "$STATE/victim.img" "$STATE/victim.before"
	resident=$(peak_kib)
	hostile_program "blocks of $bs: random commands are all answered, and no refusal has data" commands.py random 3
	grown=$(($(peak_kib) - resident))
	diag "tgtd's peak has grown by $grown KiB"
	ok "blocks of $bs: tgtd's memory is bounded" [ $grown -lt $((300 + ${TGTD_PRELOAD:+5}00))000 ]
	unharmed "blocks of $bs:"
	tgtd_stop
	keyd_stop
	rm -rf "${STATE:?}"/*
done

done_testing
