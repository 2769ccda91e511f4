#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# An initiator may expect data of a command that returns none. tgt would send what its buffer held
# before: other clients' plaintext, even of a destroyed level. From an encrypted LUN it gets zeros.
. "$(dirname "$0")/../lib.sh"

MARK=plaintext-of-the-other-level

stage other mine
yes "$MARK" | head -c 65536 >"$STATE/text"
ok "the other level's client writes" io write "$(url 1 1)" 0 <"$STATE/text"

# Its reads leave the text in tgtd's heap, where the next buffer of that size comes from.
asked() { # CDB
	local i
	for i in 1 2 3; do
		[ -n "${destroyed-}" ] || io read "$(url 1 1)" 0 128 --chunk 128 >"$STATE/read"
		rm -f "$STATE/got"
		io cdb "$(url 2 1)" "$1" --in 65536 --to "$STATE/got" >/dev/null 2>&1
		[ ! -e "$STATE/got" ] || ! grep -q "$MARK" "$STATE/got" || { grep -c "$MARK" "$STATE/got"; return; }
	done
	echo none
}

all_commands() { # WHEN
	is "PRE-FETCH(10) $1" "$(asked 34000000000000000100)" none
	is "WRITE(10) $1" "$(asked 2a000000000000000100)" none
	is "VERIFY(10) $1" "$(asked 2f000000000000000100)" none
	is "WRITE AND VERIFY(10) $1" "$(asked 2e000000000000000100)" none
	is "COMPARE AND WRITE $1" "$(asked 89000000000000000000000000010000)" none
	is "SYNCHRONIZE CACHE(10) $1" "$(asked 35000000000000000000)" none
	is "TEST UNIT READY $1" "$(asked 000000000000)" none
	is "PREVENT ALLOW MEDIUM REMOVAL $1" "$(asked 1e0000000000)" none
	is "RESERVE(6) $1" "$(asked 160000000000)" none
	is "RELEASE(6) $1" "$(asked 170000000000)" none
	is "MODE SENSE(6) $1" "$(asked 1a003f000400)" none
	is "an unknown command $1" "$(asked ff0000000000)" none
}

all_commands "while the other level is read"
ok "the other level is destroyed" keyadm level destroy other --yes
destroyed=yes
all_commands "after it was destroyed"

done_testing
