#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A tgtd that answers nothing holds up the levels whose keys it may fetch, for a bounded time, and no
# other; and no number of tgtds keeps an administrator out.
. "$(dirname "$0")/../lib.sh"

# Debian's python and the script from stdin: the user may see neither this folder nor another python.
consumers() { # UID COUNT: sets $welcomed
	rm -f "$STATE/hello"
	setpriv --reuid "$1" --regid "$1" --clear-groups --pdeathsig KILL \
		/usr/bin/python3 - "$STATE/keyd.sock" "$2" <"$TESTS/tools/hello.py" >"$STATE/hello" 2>&1 &
	at_exit kill $!
	wait_for 20 test -s "$STATE/hello"
	welcomed=$(<"$STATE/hello")
}

cat >"$STATE/keyd.conf" <<-CONF
	[keyd]
	revoke-timeout = 2
	[roles]
	security-admin = root
	storage-admin = root
	[level mine]
	fetch = 1001
	[level other]
	fetch = 1002
CONF
keyd_ready --config "$STATE/keyd.conf"
level_create mine
level_create other
consumers 1001 1
is "a silent tgtd of level mine is welcome" "$welcomed" 1
ok "the other level is suspended as if it were not there" keyadm level suspend other
ok "and resumed" keyadm level resume other
refused "its own level names it" 1 "1 did not acknowledge.*uid 1001" keyadm level suspend mine
said=$(keyadm --json level destroy other --yes)
is "the other level is destroyed" $? 0
like "with a certificate that asks nobody" "$said" '"acknowledged": ?\[ ?\],? ?"unacknowledged": ?\[ ?\]'

consumers 1002 300
isnt "many tgtds are welcome" "$welcomed" 0
ok "not all of them" [ "$welcomed" -lt 300 ]
consumers 1001 300
ok "an administrator gets in all the same" keyadm status
said=$(keyadm level destroy mine --yes 2>&1)
is "and destroys a level" $? 1
like "which says who did not answer" "$said" "uid 1001"
like "it is destroyed" "$(keyadm level list)" "mine +destroyed"

done_testing
