#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A backing file that fails answers with the medium's error, and what can be read still is.
. "$(dirname "$0")/../lib.sh"

stage level
u=$(url 1 1)
random_file "$STATE/plain" 65536
io write "$u" 0 <"$STATE/plain"
io write "$u" 100000 <"$STATE/plain"
truncate -s $((LUKS_DATA_OFFSET + (32 << 20))) "$STATE/level.img"

is "a read past the file's new end" "$(read_outcome "$u" 100000)" 03/11/00
is "a read across it" "$(outcome read "$u" 65530 12 --chunk 12)" 03/11/00
head -c 512 "$STATE/plain" >"$STATE/one"
like "a VERIFY past it" "$(io cdb "$u" 2f02000186a000000100 --out "$STATE/one")" '^status 02 sense 03/11/00'
io read "$u" 0 128 >"$STATE/read"
same "what is there is still read" "$STATE/read" "$STATE/plain"
ok "keyd's suspend is not delayed by it" keyadm level suspend level
is "and counts first" "$(read_outcome "$u" 100000)" 02/04/01

done_testing
