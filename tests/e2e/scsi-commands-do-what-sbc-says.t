#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every command of the LUN (SBC-4 chapter 5), its effect checked by reading back, for both block sizes.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"

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
	like "VERIFY$1 of one block against many that differ" "$(send "$(cdb "$2" 06 200 4)" --out "$STATE/block")" '^status 02 sense 0e/1d/00'
	like "VERIFY$1 with the reserved BYTCHK" "$(send "$(cdb "$2" 04 200 4)" --out "$STATE/four")" 'sense 05/24/00'
	is "VERIFY$1 of no block" "$(send "$(cdb "$2" 00 200 0)")" "status 00"
	is "VERIFY$1 of the last block" "$(send "$(cdb "$2" 00 "$end" 1)")" "status 00"
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
	is "VERIFY (16) of one block against all" "$(send "$(cdb 8f 06 "$3" 40)" --out "$STATE/new")" "status 00"
	like "VERIFY (16) of one block against all and one more" "$(send "$(cdb 8f 06 "$3" 41)" --out "$STATE/new")" \
		"^status 02 sense 0e/1d/00 info $((40 * bs))( |\$)"
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

writes_zeros_without_data() { # WRITE SAME (16) with NDOB
	io write "$u" 649 <"$STATE/around"
	is "WRITE SAME (16) without data" "$(send "$(cdb 93 01 650 40)")" "status 00"
	reads_zeros "writes zeros" 650 40
	tail -c $bs "$STATE/around" >"$STATE/block"
	data_is "and leaves the block after" 690 1 "$STATE/block"
	like "WRITE SAME (16) without data that is there" "$(send "$(cdb 93 01 650 40)" --out "$STATE/block")" 'sense 05/24/00'
	like "WRITE SAME (16) with data that is not there" "$(send "$(cdb 93 00 650 40)")" 'sense 05/1a/00'
	like "WRITE SAME (16) cannot anchor" "$(send "$(cdb 93 10 650 40)" --out "$STATE/block")" 'sense 05/24/00'
}

tells_that_it_is_thick() {
	local limits provisioning capacity
	limits=$(page b0) provisioning=$(page b2)
	capacity=$(send 9e100000000000000000000000200000 --in 32 | sed -n 's/^data //p')
	is "block limits: nothing to unmap" "$(field "$limits" 20 4) $(field "$limits" 24 4) $(field "$limits" 28 4)" "0 0 0"
	is "VPD pages 00 80 83 b0 b1 b2 have their lengths" "$(for code in 00 80 83 b0 b1 b2; do
		local body
		body=$(page $code)
		echo "$(field "$body" 2 2) $((${#body} / 2 - 4 - $(field "$body" 2 2)))"
	done | xargs)" "6 0 36 0 72 0 60 0 60 0 4 0"
	is "and are all there are" "$(page 00)" 00000006008083b0b1b2
	is "block limits: COMPARE AND WRITE of 128 blocks" "$(field "$limits" 5 1)" 128
	is "provisioning: none" "$(field "$provisioning" 5 1) $(field "$provisioning" 6 1)" "0 0"
	is "READ CAPACITY (16): not thin" "$(($(field "$capacity" 14 1) & 0xc0))" 0
	is "GET LBA STATUS: all is mapped" "$(lba_status 100)" "100+$((end - 99)) 00"
	like "GET LBA STATUS past the end" "$(send "9e12$(beX 8 $((end + 1)))0000100000" --in 4096)" 'sense 05/21/00'
	like "GET LBA STATUS at 2^63" "$(send 9e128000000000000000000010000000 --in 4096)" 'sense 05/21/00'
	like "REPORT SUPPORTED OPCODES knows no UNMAP" "$(send a30c014200000000010000000000 --in 256)" 'sense 05/24/00'
	unlike "nor in the list" "$(send a30c0000000000000800 --in 2048)" '^data .{8}(.{16})*42000000'
	ok "tgtadm cannot make it thin" test "$(tgt --op update --mode logicalunit --tid $tid --lun 1 --params thin_provisioning=1 2>&1)"
	is "and it is not" "$(page b2)" "$provisioning"
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
	random_file "$STATE/block" $bs
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
	writes_zeros_without_data
	tells_that_it_is_thick
	compares_and_writes
	ors
	caches
	refuses
	partial_transfers
	data_is "a block that nothing touched is as it was" 200 4 "$STATE/four"
done
unlike "tgtd has nothing to complain about" "$(grep 'bs_crypt: ' "$(tgtd_log)")" 'error|fail'

done_testing
