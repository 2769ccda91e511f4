#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A consumer that acknowledges a suspension after it was given up, and after the key was given out again, has not said
# that it wiped that key: it still counts as a holder until it acknowledges the REVOKE that concerns it.
. "$(dirname "$0")/../lib.sh"

tell() { printf '%s\n' "$*" >&"${CONSUMER[1]}"; }
told() { sed -n "s/^$1 //p" "$STATE/told" | tail -n 1; } # hello|attach|revoke|restore
times() { grep -c "^$1 " "$STATE/told"; }
holders() { keyadm --json volume show "$STATE/one.img" | grep -o '"pid": *[0-9]*' | wc -l; }

printf '[keyd]\nrevoke-timeout = 1\n[roles]\nsecurity-admin = 0\nstorage-admin = 0\n[levels]\nfetch = 0\n' >"$STATE/conf"
keyd_ready --config "$STATE/conf"
level_create one
volume_create one one.img 16M
uuid=$(keyadm --json volume show "$STATE/one.img" | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p')

coproc CONSUMER { exec python3 "$TESTS/tools/consumer.py" "$STATE/keyd.sock" >"$STATE/told" 2>&1; }
at_exit kill "$CONSUMER_PID"
ok "a consumer is welcome" becomes 5 0 told hello
tell attach "$uuid"
ok "and gets the key" becomes 5 0 told attach
is "so it holds it" "$(holders)" 1

refused "a suspension that it does not acknowledge is unproven" 1 "did not acknowledge" keyadm level suspend one
first=$(told revoke)
ok "resumed" keyadm level resume one
tell attach "$uuid"
ok "it gets the key again" becomes 5 2 times attach
refused "and does not acknowledge the next one either" 1 "did not acknowledge" keyadm level suspend one
second=$(told revoke)
isnt "they have serials of their own" "$first" "$second"

tell ack "$first" 1
ok "the first is acknowledged late" becomes 5 1 eval "keyadm --json audit | grep -c revoke-ack-late"
is "that is not about the key that it holds" "$(holders)" 1
tell ack "$second" 1
ok "the second is" becomes 5 0 holders

done_testing
