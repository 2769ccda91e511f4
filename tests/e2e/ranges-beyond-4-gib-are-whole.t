#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# UNMAP and WRITE SAME of more than 4 GiB, where a length in 32 bits would wrap, on a thin LUN of 3 TiB.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"

# A block of known data here and there.
mark() { # LBA...
	for lba; do io write "$u" "$lba" <"$STATE/mark"; done
}

marked() { # NAME LBA...
	local name=$1 lba
	shift
	for lba; do data_is "$name ($lba)" "$lba" 1 "$STATE/mark"; done
}

bs=512
end=$(((3 << 40) / bs - 1))
truncate -s 4T "$STATE/big.img" 2>/dev/null || skip_all "no file of 4 TiB can be had here"
keyd_ready
tgtd_ready_or_die
level_create level
volume_create level big.img 3T --force --sparse
allocated() { stat -c %b "$STATE/big.img"; }
[ "$(allocated)" -lt 1000000 ] || skip_all "the file is not sparse here"
export_volume 1 big.img --bsopts discard=on
u=$(url 1 1)
random_file "$STATE/mark" $bs
zeros $bs >"$STATE/zero"
five_gib=$((5 << 21))

mark 7 8 $((8 + five_gib - 1)) $((8 + five_gib)) $((1 << 23 | 1)) "$end"
is "WRITE SAME (16) with UNMAP of 5 GiB" "$(send "$(cdb 93 08 8 $five_gib)" --out "$STATE/zero")" "status 00"
for lba in 8 $((1 << 23 | 1)) $((8 + five_gib - 1)); do reads_zeros "unmapped ($lba)" $lba 1; done
marked "not touched" 7 $((8 + five_gib)) "$end"

mark 8 $((1 << 32)) $((8 + 0xffffffff - 1)) $((8 + 0xffffffff)) $((1 << 32 | 99))
is "UNMAP of 2^32 - 1 blocks, and more" "$(unmap 8 $((0xffffffff)) $((1 << 32 | 98)) $((0x40000000)))" "status 00"
for lba in 8 $((1 << 32)) $((8 + 0xffffffff - 1)) $((1 << 32 | 99)); do reads_zeros "unmapped ($lba)" $lba 1; done
marked "not touched" 7 $((8 + 0xffffffff)) "$end"

is "GET LBA STATUS: a hole up to the page with the block that is left" "$(lba_status $((1 << 20)) | head -n 1)" "$((1 << 20))+$(((1 << 32) - (1 << 20))) 01"
mark 16
is "WRITE SAME (16) without data, with UNMAP, to the end" "$(send "$(cdb 93 09 8 0)")" "status 00"
reads_zeros "unmapped" "$end" 1
marked "not touched" 7
is "GET LBA STATUS of a longer hole: what 32 bits can tell" "$(lba_status 8 | head -n 1)" "8+4294967295 01"
is "hardly any space is left in use" $(($(allocated) < 100000)) 1

done_testing
