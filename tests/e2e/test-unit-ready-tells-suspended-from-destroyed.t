#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# TEST UNIT READY is good, not ready or access denied, as a read would be, and reads no medium for it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"

stage red blue
u=$(url 1 1)
ready() { u=${1-$u} answer 000000000000; }

is "a LUN with its key is ready" "$(ready)" ok
keyadm level suspend red >/dev/null
is "of a suspended level it is becoming ready" "$(ready)" 02/04/01
is "another level's is ready" "$(ready "$(url 2 1)")" ok
keyadm level resume red >/dev/null
is "of a resumed one it is ready" "$(ready)" ok
keyadm volume destroy "$STATE/blue.img" --yes >/dev/null
is "of a destroyed volume it is not accessible" "$(ready "$(url 2 1)")" 07/74/71
keyadm level destroy red --yes >/dev/null
is "of a destroyed level neither" "$(ready)" 07/74/71
is "INQUIRY is good for ever" "$(answer 120000006000 --in 96 | head -n 1)" ok
tgt --op update --mode logicalunit --tid 1 --lun 1 --params online=0
is "tgt's own answer goes first" "$(ready)" 02/04/01

done_testing
