#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# An administrator asks for long answers on many connections and does not read them: keyd's memory stays bounded, and the
# other administrators are served.
. "$(dirname "$0")/../lib.sh"

SLOW=3001 READERS=30 VOLUMES=200 PATH_BYTES=4000
cat >"$STATE/keyd.conf" <<-CONF
	[roles]
	security-admin = root
	storage-admin = $SLOW
CONF
version=$(sed -n 's/.*PROTO_VERSION = \([0-9]*\).*/\1/p' "$TOP/keyd/common/proto.h")
slow() { # OUTPUT ARGUMENTS...: slow-readers.py
	setpriv --reuid $SLOW --regid $SLOW --clear-groups --pdeathsig KILL \
		/usr/bin/python3 - "$STATE/admin.sock" "$version" "${@:2}" <"$TESTS/tools/slow-readers.py" >"$STATE/$1" 2>"$STATE/$1.log"
}
rss_mib() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$KEYD_PID/status"; }

keyd_ready --config "$STATE/keyd.conf"
level_create many
level_create doomed
ok "a storage administrator makes $VOLUMES volumes" slow made make many $VOLUMES $PATH_BYTES
keyadm --json volume list >"$STATE/list"
is "the list of them is whole" "$(json "$STATE/list" 'len(set(v["uuid"] for v in d))')" $VOLUMES
ok "it is long" [ "$(stat -c %s "$STATE/list")" -gt 700000 ]
is "that of a level without any, too" "$(keyadm --json volume list --level doomed)" "[]"
before=$(rss_mib)

slow listed volumes many $READERS &
at_exit kill $!
wait_for 20 test -s "$STATE/listed"
is "$READERS connections have begun to read the list" "$(<"$STATE/listed")" "$READERS 0"
grown=$(($(rss_mib) - before))
diag "keyd has grown by $grown MiB"
ok "keyd keeps none of the $READERS lists in memory" [ $grown -lt 12 ]
ok "another administrator gets the whole list" eval "keyadm --json volume list >'$STATE/again'"
same "it is the same" "$STATE/list" "$STATE/again"
ok "and may destroy" keyadm level destroy doomed --yes
kill $!

# A certificate is made whole.
ok "the long level is destroyed" keyadm level destroy many --yes
before=$(rss_mib)
slow shown level many $READERS &
at_exit kill $!
wait_for 20 test -s "$STATE/shown"
read -r begun busy <"$STATE/shown"
is "each of the connections has an answer" "$((begun + busy))" $READERS
ok "some have begun to read the certificate" [ "$begun" -ge 5 ]
ok "those over the user's share are refused as busy" [ "$busy" -ge 5 ]
diag "keyd has grown by $(($(rss_mib) - before)) MiB; $busy were refused"
ok "keyd has not grown by more than that" [ $(($(rss_mib) - before)) -lt 40 ]
ok "another administrator is served" keyadm level show many
kill $!
becomes_free() { slow free level many 1 & sleep 1; kill $!; grep -q '^1 0$' "$STATE/free"; }
ok "and so is the user when the connections have ended" wait_for 10 becomes_free

done_testing
