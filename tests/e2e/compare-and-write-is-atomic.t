#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Four initiators increment one counter with COMPARE AND WRITE while others use its neighbourhood.
. "$(dirname "$0")/../lib.sh"

stage level
u=$(url 1 1)
counter=8000
head -c 512 /dev/zero >"$STATE/zero"
io write "$u" $counter <"$STATE/zero"
load_start load "$u" --connections 1
ok "four initiators count" io count "$u" $counter 4 400
load_stop load
like "to exactly 1600" "$(<"$STATE/out")" '^counter 1600$'
ok "and they did race" [ "$(awk '/^misses/ { n += $2 } END { print n }' "$STATE/out")" -gt 0 ]
is "the load beside saw no error" "$(load_outcomes load)" ok

done_testing
