#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# An initiator that clears WCE in the caching mode page gets every write on the medium before status,
# as with FUA: seen in the system calls of tgtd.
. "$(dirname "$0")/../lib.sh"

write_cdb() { io cdb "$(url 1 1)" "$1" --out "$STATE/block"; } # CDB

stage l
u=$(url 1 1)
random_file "$STATE/block" 512
is "with the cache on, a write is not" "$(durable_writes write_cdb 2a000000000000000100)" 0
is "but one with FUA is" "$(durable_writes write_cdb 2a080000000000000100)" 1

# MODE SELECT(6) of the caching page as MODE SENSE(6) gave it, WCE (bit 2 of its third byte) cleared.
ok "the caching page is read" io cdb "$u" 1a0808001800 --in 24 --to "$STATE/page"
python3 - "$STATE/page" <<'PYTHON' >"$STATE/select"
import sys
page = bytearray(open(sys.argv[1], "rb").read()[4:24])
page[0] &= 0x3f
page[2] &= ~4
sys.stdout.buffer.write(bytes(4) + page)
PYTHON
select_cdb() { io cdb "$u" 151000001800 --out "$STATE/select"; }
wce() { # as MODE SENSE (6) has it: on or off
	io cdb "$u" 1a0808001800 --in 24 --to "$STATE/page" >/dev/null
	[ $((0x$(tail -c +7 "$STATE/page" | head -c 1 | hex) & 4)) = 0 ] && echo off || echo on
}
keyadm level suspend l >/dev/null
like "MODE SELECT fails where nothing can be flushed" "$(select_cdb)" "sense 02/04/01"
is "and leaves the cache on" "$(wce)" on
keyadm level resume l >/dev/null
like "WCE is switched off" "$(select_cdb)" "status 00"
is "and stays so" "$(wce)" off
is "then every write is" "$(durable_writes write_cdb 2a000000000000000100)" 1

done_testing
