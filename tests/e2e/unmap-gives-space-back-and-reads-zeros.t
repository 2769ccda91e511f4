#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# discard=on: UNMAP and WRITE SAME (UNMAP) give the space back, what is unmapped reads as zeros to every
# command, its neighbours stay, and the LUN tells what it can.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"

allocated() { stat -c %b "$STATE/$bs.img"; } # in units of 512 bytes

fill() { # with random data that is in $STATE/filled: 4 MiB from block 0 on
	io write "$u" 0 --chunk 128 <"$STATE/filled"
}

filled_is_left() { # NAME LBA BLOCKS
	tail -c +$(($2 * bs + 1)) "$STATE/filled" | head -c $(($3 * bs)) >"$STATE/part"
	data_is "$1" "$2" "$3" "$STATE/part"
}

unmaps() {
	local before
	fill
	before=$(allocated)
	is "UNMAP of 2 MiB" "$(unmap $((1 << 20 >> shift)) $((2 << 20 >> shift)))" "status 00"
	reads_zeros "reads zeros" $((1 << 20 >> shift)) $((2 << 20 >> shift))
	is "the space is free" $((before - $(allocated))) 4096
	filled_is_left "what lies before is there" 0 $((1 << 20 >> shift))
	filled_is_left "and what lies behind" $((3 << 20 >> shift)) $((1 << 20 >> shift))
	is "GET LBA STATUS tells it" "$(lba_status 0 | head -n 2)" "0+$((1 << 20 >> shift)) 00
$((1 << 20 >> shift))+$((2 << 20 >> shift)) 01"
	like "and that more is mapped behind" "$(lba_status 0 | sed -n 3p)" "^$((3 << 20 >> shift))\+[0-9]* 00"
	is "from the block on that is asked for" "$(lba_status $((5 << 18 >> shift)) | head -n 1)" "$((5 << 18 >> shift))+$((7 << 18 >> shift)) 01"
	is "in the room that there is" "$(lba_status 0 24)" "0+$((1 << 20 >> shift)) 00"
}

unmaps_blocks_that_fill_no_page() {
	fill
	is "UNMAP of single blocks" "$(unmap 3 1 5 2 $((9000)) 0)" "status 00"
	reads_zeros "block 3 reads zeros" 3 1
	reads_zeros "blocks 5 and 6 do" 5 2
	filled_is_left "block 4 is left" 4 1
	filled_is_left "as are blocks 0 to 2" 0 3
	filled_is_left "and what follows" 7 50
	fill
	is "descriptors may overlap" "$(unmap 10 10 15 10 12 2)" "status 00"
	reads_zeros "all of it is unmapped" 10 15
	filled_is_left "and no more" 25 50
}

lists_are_taken_exactly() {
	local n=16
	fill
	is "no list is no error" "$(send "$(unmap_cdb 0)")" "status 00"
	unmap_list
	is "nor is one without descriptors" "$(send "$(unmap_cdb 8)" --out "$STATE/list")" "status 00"
	unmap_list 20 4 30 4
	is "a descriptor that the CDB cuts off is left out" "$(send "$(unmap_cdb 39)" --out <(head -c 39 "$STATE/list"))" "status 00"
	reads_zeros "the first was done" 20 4
	filled_is_left "the second not" 30 4
	like "a list that did not come as a whole is refused" "$(send "$(unmap_cdb 40)" --out <(head -c 24 "$STATE/list"))" 'sense 05/1a/00'
	like "as is one without a whole header" "$(send "$(unmap_cdb 7)" --out <(head -c 7 "$STATE/list"))" 'sense 05/1a/00'
	unhex "$(beX 2 6)$(beX 2 $n)00000000$(unmap_descriptors 40 4)" >"$STATE/list"
	like "or one whose lengths contradict each other" "$(send "$(unmap_cdb 24)" --out "$STATE/list")" 'sense 05/26/00'
	like "a descriptor past the end" "$(unmap 50 4 "$end" 2)" 'sense 05/21/00'
	filled_is_left "spoils the list: nothing is unmapped" 40 20
	unhex "$(beX 2 22)$(beX 2 16)00000000$(printf '%s' ffffffffffffffff 00000002 00000000)" >"$STATE/list"
	like "one that wraps at 2^64 is refused" "$(send "$(unmap_cdb 24)" --out "$STATE/list")" 'sense 05/21/00'
	is "the last block can be unmapped" "$(unmap "$end" 1)" "status 00"
	like "ANCHOR is not known" "$(send "$(unmap_cdb 8 01)" --out "$STATE/list")" 'sense 05/24/00'
	is "more data than the list is a residual" "$(unmap_list 60 2 && zeros 8 >>"$STATE/list" && send "$(unmap_cdb 24)" --out "$STATE/list")" "status 00 residual 8"
	reads_zeros "and the list is done" 60 2
}

writes_same_with_unmap() { # NAME OPCODE
	local before
	fill
	zeros $bs >"$STATE/zero"
	before=$(allocated)
	is "WRITE SAME$1 of zeros with UNMAP" "$(send "$(cdb "$2" 08 $((1 << 20 >> shift)) $((1 << 20 >> shift)))" --out "$STATE/zero")" "status 00"
	reads_zeros "reads zeros" $((1 << 20 >> shift)) $((1 << 20 >> shift))
	is "and gives space back" $((before - $(allocated))) 2048
	random_file "$STATE/block" $bs
	is "WRITE SAME$1 of other data with UNMAP" "$(send "$(cdb "$2" 08 100 2)" --out "$STATE/block")" "status 00"
	data_is "writes" 101 1 "$STATE/block"
	like "WRITE SAME$1 with ANCHOR" "$(send "$(cdb "$2" 18 100 2)" --out "$STATE/zero")" 'sense 05/24/00'
}

every_command_finds_zeros() {
	unmap 0 $((1 << 20 >> shift)) >/dev/null
	zeros $((8 * bs)) >"$STATE/zeros"
	random_file "$STATE/new" $((8 * bs))
	is "VERIFY finds zeros" "$(send "$(cdb 8f 02 0 8)" --out "$STATE/zeros")" "status 00"
	head -c $bs "$STATE/zeros" >"$STATE/zero"
	is "VERIFY against one block, too" "$(send "$(cdb 8f 06 0 200)" --out "$STATE/zero")" "status 00"
	cat "$STATE/zeros" "$STATE/new" >"$STATE/pair"
	is "COMPARE AND WRITE compares with zeros" "$(send "$(cdb 89 00 8 8)" --out "$STATE/pair")" "status 00"
	data_is "and writes" 8 8 "$STATE/new"
	is "ORWRITE sets bits in zeros" "$(send "$(cdb 8b 00 20 8)" --out "$STATE/new")" "status 00"
	data_is "and in no others" 20 8 "$STATE/new"
	head -c $((bs + bs / 2)) "$STATE/new" >"$STATE/short"
	send "$(cdb 2a 00 40 8)" --out "$STATE/short" >/dev/null
	zeros $((8 * bs)) >"$STATE/merged"
	dd if="$STATE/short" of="$STATE/merged" conv=notrunc status=none
	data_is "a write that ends inside a block merges with zeros" 40 8 "$STATE/merged"
	is "WRITE AND VERIFY" "$(send "$(cdb 8e 00 60 8)" --out "$STATE/new")" "status 00"
	data_is "works there" 60 8 "$STATE/new"
	reads_zeros "what nothing touched still reads zeros" 100 100
}

tells_that_it_is_thin() {
	local limits provisioning capacity
	limits=$(page b0) provisioning=$(page b2)
	capacity=$(send 9e100000000000000000000000200000 --in 32 | sed -n 's/^data //p')
	is "block limits: any number of blocks, 4095 descriptors" "$(field "$limits" 20 4) $(field "$limits" 24 4)" "4294967295 4095"
	local granularity="8 $((1 << 31))" # qemu aborts where larger blocks come with one
	[ $bs = 512 ] || granularity="0 0"
	is "block limits: given back in pages, from the first block on" "$(field "$limits" 28 4) $(field "$limits" 32 4)" "$granularity"
	is "block limits: no limit to transfers or WRITE SAME" "$(field "$limits" 8 4) $(field "$limits" 36 8)" "0 0"
	is "provisioning: UNMAP, both WRITE SAME, zeros; thin" "$(field "$provisioning" 5 1) $(field "$provisioning" 6 1)" "$((0xe4)) 2"
	is "READ CAPACITY (16): LBPME, LBPRZ" "$(($(field "$capacity" 14 1) & 0xc0))" $((0xc0))
	like "REPORT SUPPORTED OPCODES knows UNMAP" "$(send a30c014200000000010000000000 --in 256)" '^data 0003000a42'
	ok "tgtadm cannot make it thick" test "$(tgt --op update --mode logicalunit --tid $tid --lun 1 --params thin_provisioning=0 2>&1)"
	is "and it is not" "$(page b2)" "$provisioning"
	# 4095 descriptors, which is what it tells: all but the last are of no block
	unhex "$(beX 2 $((4095 * 16 + 6)))$(beX 2 $((4095 * 16)))00000000" >"$STATE/list"
	zeros $((4094 * 16)) >>"$STATE/list"
	unhex "$(unmap_descriptors 100 1)" >>"$STATE/list"
	fill
	is "and as many are taken" "$(send "$(unmap_cdb $((4095 * 16 + 8)))" --out "$STATE/list")" "status 00"
	reads_zeros "to the last" 100 1
}

qemu_uses_it() {
	command -v qemu-io >/dev/null && [ -n "$(find /usr/lib/*/qemu/block-iscsi.so 2>/dev/null)" ] ||
		{ skip "qemu" "qemu-utils and qemu-block-extra are not installed" && return; }
	ok "qemu reads, writes and discards 64 KiB at a time, and finds zeros where nothing is" qemu-io -f raw \
		-c 'discard 0 4M' -c 'read -P 0 0 64k' -c 'read -P 0 1M 1M' -c 'write -P 7 64k 64k' -c 'read -P 7 64k 64k' \
		-c 'read -P 0 128k 64k' -c 'write -z -u 64k 64k' -c 'read -P 0 0 4M' -c 'write -P 9 3M 12k' -c flush "$u"
	ok "and its map says what is mapped" qemu-img map --output=json -f raw "$u"
	like "blocks that were written are" "$(<"$STATE/out")" '"start": 3145728, "length": 12288.*"zero": false'
	ok "qemu-img reads the same" qemu-img convert -f raw -O raw "$u" "$STATE/copy"
	ok "as it wrote" cmp <(tail -c +$(((3 << 20) + 1)) "$STATE/copy" | head -c 12288) <(head -c 12288 /dev/zero | tr '\0' '\t')
}

stays_unmapped() {
	fill
	unmap 0 2048 >/dev/null
	lun_delete $tid 1
	lun_add $tid 1 "$STATE/$bs.img" --blocksize $bs --bsopts discard=on >/dev/null
	reads_zeros "after the LUN was closed and opened it still reads zeros" 0 200
	lun_delete $tid 1
	not_ok "without discard=on the volume is refused" lun_add $tid 1 "$STATE/$bs.img" --blocksize $bs
	like "for a reason" "$(grep 'bs_crypt: ' "$(tgtd_log)" | tail -n 1)" 'was used with discard=on, .*: add discard=on$'
	like "cryptsetup sees the flag" "$(cryptsetup luksDump "$STATE/$bs.img")" 'Flags: *.*allow-discards'
	lun_add $tid 1 "$STATE/$bs.img" --blocksize $bs --bsopts discard=on >/dev/null
	is "with it, it is served again" "$(read_outcome "$u")" ok
	volume_create l$bs "other-$bs.img" 16M --sector-size $bs
	other() { lun_add "$tid" 2 "$STATE/other-$bs.img" --blocksize "$bs" --bsopts "$1"; }
	not_ok "a volume does not become thin while others may have it open" other "discard=on;shared=on"
	like "for a reason" "$(grep 'bs_crypt: ' "$(tgtd_log)" | tail -n 1)" 'open it once without shared=on$'
	ok "it becomes so alone" other discard=on
	lun_delete $tid 2
	ok "and can be shared then" other "discard=on;shared=on"
}

obeys_the_key() {
	local before
	fill
	io flush "$u" # a file system that allocates late does it now
	keyadm level suspend "l$bs" >/dev/null
	before=$(allocated)
	like "of a suspended level nothing is unmapped" "$(unmap 0 2048)" 'sense 02/04/01'
	is "what is unmapped is not read either" "$(read_outcome "$u" 100)" 02/04/01
	like "nor told of" "$(send 9e120000000000000000000010000000 --in 4096)" 'sense 02/04/01'
	keyadm level resume "l$bs" >/dev/null
	filled_is_left "all is there after it" 0 200
	keyadm level destroy "l$bs" --yes >/dev/null
	like "nor of a destroyed one" "$(unmap 0 2048)" 'sense 07/74/71'
	is "the image stands still" "$(allocated)" "$before"
}

keyd_ready
tgtd_ready_or_die
tid=0
for bs in 512 4096; do
	level_create l$bs
	volume_create l$bs $bs.img 64M --sector-size $bs
	export_volume $((++tid)) $bs.img --blocksize $bs --bsopts discard=on
	u=$(url $tid 1)
	shift=$((bs == 512 ? 9 : 12))
	end=$(((64 << 20) / bs - 1))
	random_file "$STATE/filled" $((4 << 20))
	diag "blocks of $bs bytes"
	unmaps
	unmaps_blocks_that_fill_no_page
	lists_are_taken_exactly
	writes_same_with_unmap " (10)" 41
	writes_same_with_unmap " (16)" 93
	every_command_finds_zeros
	tells_that_it_is_thin
	qemu_uses_it
	stays_unmapped
	obeys_the_key
done

done_testing
