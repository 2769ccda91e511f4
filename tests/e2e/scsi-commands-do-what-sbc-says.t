#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every command of the LUN (SBC-4 chapter 5), its effect checked by reading back, for both block sizes.
. "$(dirname "$0")/../lib.sh"

beX() { printf "%0$(($1 * 2))x" "$2"; } # BYTES VALUE

# A CDB of OPCODE by its size: FLAGS (byte 1), LBA, BLOCKS.
cdb() { # OPCODE FLAGS LBA BLOCKS
	case $1 in
	0[8a]) echo "$1$(beX 3 "$3")$(beX 1 $(($4 % 256)))00" ;;
	[2345]?) echo "$1$2$(beX 4 "$3")00$(beX 2 "$4")00" ;;
	a[0-9a-f]) echo "$1$2$(beX 4 "$3")$(beX 4 "$4")0000" ;;
	89) echo "$1$2$(beX 8 "$3")000000$(beX 1 "$4")0000" ;;
	*) echo "$1$2$(beX 8 "$3")$(beX 4 "$4")0000" ;;
	esac
}

send() { io cdb "$u" "$@" 2>&1; } # CDB [--in N | --out FILE]

data_is() { # NAME LBA BLOCKS FILE: read by READ (16)
	io read "$u" "$2" "$3" >"$STATE/back"
	same "$1" "$STATE/back" "$4"
}

both_ways() { # NAME WRITE-OPCODE READ-OPCODE LBA
	local n=5
	random_file "$STATE/new" $((n * bs))
	is "WRITE$1" "$(send "$(cdb "$2" 00 "$4" $n)" --out "$STATE/new")" "status 00"
	data_is "WRITE$1 wrote it" "$4" $n "$STATE/new"
	is "READ$1" "$(send "$(cdb "$3" 00 "$4" $n)" --in $((n * bs)) --to "$STATE/back")" "status 00"
	same "READ$1 read it" "$STATE/back" "$STATE/new"
}

verifies() { # NAME OPCODE
	is "VERIFY$1 of equal data" "$(send "$(cdb "$2" 02 200 4)" --out "$STATE/four")" "status 00"
	like "VERIFY$1 of other data" "$(send "$(cdb "$2" 02 200 4)" --out "$STATE/other")" '^status 02 sense 0e/1d/00'
	is "VERIFY$1 of the medium only" "$(send "$(cdb "$2" 00 200 4)")" "status 00"
	like "VERIFY$1 past the end" "$(send "$(cdb "$2" 02 "$end" 4)" --out "$STATE/four")" 'sense 05/21/00'
}

writes_and_verifies() { # NAME OPCODE LBA
	random_file "$STATE/new" $((3 * bs))
	is "WRITE AND VERIFY$1" "$(send "$(cdb "$2" 00 "$3" 3)" --out "$STATE/new")" "status 00"
	data_is "WRITE AND VERIFY$1 wrote it" "$3" 3 "$STATE/new"
	random_file "$STATE/new" $((3 * bs))
	is "WRITE AND VERIFY$1, compared byte by byte" "$(send "$(cdb "$2" 02 "$3" 3)" --out "$STATE/new")" "status 00"
	data_is "WRITE AND VERIFY$1 wrote that too" "$3" 3 "$STATE/new"
}

writes_the_same() { # NAME OPCODE LBA
	random_file "$STATE/new" $bs
	for _ in {1..40}; do cat "$STATE/new"; done >"$STATE/forty"
	io write "$u" $(($3 - 1)) <"$STATE/around"
	is "WRITE SAME$1" "$(send "$(cdb "$2" 00 "$3" 40)" --out "$STATE/new")" "status 00"
	data_is "WRITE SAME$1 wrote 40 blocks" "$3" 40 "$STATE/forty"
	head -c $bs "$STATE/around" >"$STATE/block"
	data_is "WRITE SAME$1 left the block before" $(($3 - 1)) 1 "$STATE/block"
	tail -c $bs "$STATE/around" >"$STATE/block"
	data_is "WRITE SAME$1 left the block after" $(($3 + 40)) 1 "$STATE/block"
	like "WRITE SAME$1 past the end" "$(send "$(cdb "$2" 00 "$end" 40)" --out "$STATE/new")" 'sense 05/21/00'
	like "WRITE SAME$1 cannot unmap a thick LUN" "$(send "$(cdb "$2" 08 "$3" 40)" --out "$STATE/new")" 'sense 05/24/00'
}

compares_and_writes() {
	random_file "$STATE/old" $((2 * bs))
	random_file "$STATE/new" $((2 * bs))
	io write "$u" 700 <"$STATE/old"
	cat "$STATE/old" "$STATE/new" >"$STATE/pair"
	is "COMPARE AND WRITE, equal" "$(send "$(cdb 89 00 700 2)" --out "$STATE/pair")" "status 00"
	data_is "it wrote" 700 2 "$STATE/new"
	cp "$STATE/new" "$STATE/almost"
	printf '\x5a' | dd of="$STATE/almost" bs=1 seek=$((bs + 17)) conv=notrunc status=none
	cmp -s "$STATE/almost" "$STATE/new" && printf '\xa5' | dd of="$STATE/almost" bs=1 seek=$((bs + 17)) conv=notrunc status=none
	cat "$STATE/almost" "$STATE/old" >"$STATE/pair"
	like "COMPARE AND WRITE, one byte differs" "$(send "$(cdb 89 00 700 2)" --out "$STATE/pair")" \
		"^status 02 sense 0e/1d/00 info $((bs + 17))( |$)"
	data_is "it wrote nothing" 700 2 "$STATE/new"
	like "COMPARE AND WRITE of more blocks than VPD B0 allows" \
		"$(send "$(cdb 89 00 700 200)" --out "$STATE/big")" 'sense 05/24/00'
}

ors() {
	random_file "$STATE/a" $((4 * bs))
	random_file "$STATE/b" $((4 * bs))
	io write "$u" 800 <"$STATE/a"
	is "ORWRITE" "$(send "$(cdb 8b 00 800 4)" --out "$STATE/b")" "status 00"
	python3 -c 'import sys
a, b = (open(p, "rb").read() for p in sys.argv[1:])
sys.stdout.buffer.write(bytes(x | y for x, y in zip(a, b)))' "$STATE/a" "$STATE/b" >"$STATE/ored"
	data_is "ORWRITE set the bits" 800 4 "$STATE/ored"
}

caches() {
	is "SYNCHRONIZE CACHE (10)" "$(send "$(cdb 35 00 0 0)")" "status 00"
	is "SYNCHRONIZE CACHE (16)" "$(send "$(cdb 91 00 0 0)")" "status 00"
	is "SYNCHRONIZE CACHE of a range" "$(send "$(cdb 35 00 200 4)")" "status 00"
	like "PRE-FETCH (10)" "$(send "$(cdb 34 00 200 4)")" '^status 0[04]$'
	like "PRE-FETCH (16)" "$(send "$(cdb 90 00 200 4)")" '^status 0[04]$'
	like "PRE-FETCH past the end" "$(send "$(cdb 34 00 "$end" 4)")" 'sense 05/21/00'
	random_file "$STATE/new" $bs
	is "WRITE (10) with FUA" "$(send "$(cdb 2a 08 900 1)" --out "$STATE/new")" "status 00"
	data_is "FUA wrote it" 900 1 "$STATE/new"
	is "READ (10) with FUA and DPO" "$(send "$(cdb 28 18 900 1)" --in $bs --to "$STATE/back")" "status 00"
	same "reads it" "$STATE/back" "$STATE/new"
	# MODE SENSE (6) of page 8 without block descriptors: header of 4 bytes, page code, length, WCE in bit 2
	like "the caching page says that there is a write cache" "$(send 1a0808002400 --in 36)" \
		'data .{8}[08]8..[0-9a-f][4-7c-f]'
}

refuses() {
	local op
	for op in 02 13 39 46 57 8c 94 9c c0 ff; do
		like "opcode $op is not implemented" "$(send "$op"000000000000000000000000000000)" 'sense 05/20/00'
	done
	like "READ (10) past the end" "$(send "$(cdb 28 00 "$end" 2)" --in $((2 * bs)))" 'sense 05/21/00'
	like "WRITE (16) past the end" "$(send "$(cdb 8a 00 "$end" 2)" --out "$STATE/pair")" 'sense 05/21/00'
	like "READ (16) at 2^63" "$(send 88008000000000000000000000010000 --in $bs)" 'sense 05/21/00'
	like "READ (10) with protection information" "$(send "$(cdb 28 20 0 1)" --in $bs)" 'sense 05/24/00'
	like "UNMAP of a thick LUN" "$(send 42000000000000001800)" 'sense 05/2[04]/00'
}

partial_transfers() { # the initiator expects less or more than the CDB says
	random_file "$STATE/new" $((4 * bs))
	io write "$u" 950 <"$STATE/new"
	send "$(cdb 28 00 950 4)" --in $bs --to "$STATE/back" >/dev/null
	head -c $bs "$STATE/new" >"$STATE/block"
	same "READ of 4 blocks into room for one" "$STATE/back" "$STATE/block"
	is "READ of one block into room for four" \
		"$(send "$(cdb 28 00 950 1)" --in $((4 * bs)) --to "$STATE/back")" "status 00 residual $((3 * bs))"
	same "gives one" "$STATE/back" "$STATE/block"
	random_file "$STATE/short" $((bs + bs / 2))
	send "$(cdb 2a 00 950 4)" --out "$STATE/short" >/dev/null
	io read "$u" 952 2 >"$STATE/back"
	tail -c $((2 * bs)) "$STATE/new" >"$STATE/block"
	same "WRITE with less data than the CDB says leaves the blocks that got none" "$STATE/back" "$STATE/block"
	is "the LUN goes on" "$(read_outcome "$u" 950)" ok
}

keyd_ready
tgtd_ready_or_die
level_create l
tid=0
for bs in 512 4096; do
	volume_create l $bs.img 64M --sector-size $bs
	export_volume $((++tid)) $bs.img --blocksize $bs
	u=$(url $tid 1)
	end=$(((64 << 20) / bs - 1))
	random_file "$STATE/four" $((4 * bs))
	random_file "$STATE/other" $((4 * bs))
	random_file "$STATE/big" $((400 * bs))
	random_file "$STATE/around" $((42 * bs))
	io write "$u" 200 <"$STATE/four"
	diag "blocks of $bs bytes"
	both_ways " (6)" 0a 08 300
	both_ways " (10)" 2a 28 310
	both_ways " (12)" aa a8 320
	both_ways " (16)" 8a 88 330
	random_file "$STATE/page" $((256 * bs))
	is "WRITE (6) with length 0 writes 256" "$(send "$(cdb 0a 00 1100 0)" --out "$STATE/page")" "status 00"
	data_is "all of them" 1100 256 "$STATE/page"
	is "READ (10) of no block" "$(send "$(cdb 28 00 0 0)")" "status 00"
	verifies " (10)" 2f
	verifies " (12)" af
	verifies " (16)" 8f
	writes_and_verifies " (10)" 2e 400
	writes_and_verifies " (12)" ae 410
	writes_and_verifies " (16)" 8e 420
	writes_the_same " (10)" 41 500
	writes_the_same " (16)" 93 600
	compares_and_writes
	ors
	caches
	refuses
	partial_transfers
	data_is "a block that nothing touched is as it was" 200 4 "$STATE/four"
done
unlike "tgtd has nothing to complain about" "$(grep 'bs_crypt: ' "$(tgtd_log)")" 'error|fail'

done_testing
