#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Clients that repeat SANITIZE, and a tgtd that never acknowledges one, keep nobody from suspending or destroying: what is
# under way ends within the destruction. An administrator whose request has to wait for a SANITIZE comes next.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../sanitize.sh
. "$TESTS/sanitize.sh"

REVOKE_TIMEOUT=60
sanitize_conf red
printf '[level %s]\nfetch = root\nsanitize = yes\n' blue >>"$STATE/keyd.conf"
keyd_ready --config "$STATE/keyd.conf"
tgtd_ready_or_die
level_create red
target_add 1
for n in 1 2 3 4; do
	volume_create red red$n.img 16M
	lun_add 1 $n "$STATE/red$n.img" || die "volume $n is exported"
done
state() { keyadm --json level show "$1" | sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p' | head -n 1; } # LEVEL

# --- four clients that repeat SANITIZE ---------------------------------------------------------------------------------

repeat_sanitize() { while :; do sanitize "$1"; done; } # URL
for n in 1 2 3 4; do
	repeat_sanitize "$(url 1 $n)" >"$STATE/loop$n" &
	loops+=($!)
	at_exit kill $!
done
all_loop() { for n in 1 2 3 4; do grep -q ok "$STATE/loop$n" || return; done; }
ok "four clients repeat SANITIZE" wait_for 30 all_loop
for n in 1 2; do
	ok "the level is suspended all the same" keyadm level suspend red
	ok "and resumed" keyadm level resume red
done
ok "a volume is destroyed" keyadm volume destroy "$STATE/red4.img" --yes
is "and its LUN with it" "$(read_outcome "$(url 1 4)")" 07/74/71
custody_changed() { keyadm custody change --custody file >>"$STATE/custody" 2>&1; }
ok "the custody is changed" wait_for 20 custody_changed
ok "the level is destroyed in an emergency" keyadm level destroy red --emergency --yes
kill "${loops[@]}"
for n in 1 2 3; do
	is "LUN $n is gone" "$(read_outcome "$(url 1 $n)")" 07/74/71
done
is "and no key is left" "$(find "$STATE/store/levels/red" -name '*.key' -o -name '*.sanitize' -o -name '*.intent')" ""

# --- a tgtd that does not acknowledge the SANITIZE -----------------------------------------------------------------------

level_create blue # later than the change of custody, which makes clients of every level wait
volume_create blue blue.img 16M
export_volume 2 blue.img --bsopts "shared=on"
u=$(url 2 1)
TGT=b tgtd_ready_or_die
TGT=b export_volume 1 blue.img --bsopts "shared=on"
kill -STOP "${TGTD_PID[b]}"
sanitize "$u" >"$STATE/said" &
asker=$!
sanitizing() { keyadm volume list | grep -q sanitizing; }
ok "a SANITIZE waits for a stopped tgtd" wait_for 20 sanitizing
LIMIT=90 keyadm level destroy blue --emergency --yes >"$STATE/destroyed" 2>&1 &
destroyer=$!
ok "a destruction begins all the same" becomes 20 destroying state blue
wait $asker
isnt "the SANITIZE is not said to be done" "$(<"$STATE/said")" ok
like "it was overtaken, on the record" "$(keyadm --json audit)" "sanitize-overtaken.*blue"
ok "the destruction waits for the stopped tgtd" alive $destroyer
kill -CONT "${TGTD_PID[b]}"
wait $destroyer
is "with its answer it is done" $? 0
like "and certified" "$(<"$STATE/destroyed")" "2 of 2 consumers confirmed"
is "and no key is left" "$(find "$STATE/store/levels/blue" -name '*.key' -o -name '*.sanitize')" ""
unlike "no answer counts as a late one" "$(keyadm --json audit)" revoke-ack-late

done_testing
