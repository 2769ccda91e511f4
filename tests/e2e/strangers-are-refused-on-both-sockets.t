#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Without a configuration only root and keyd's own uid may ask for anything; a refusal is in the log.
. "$(dirname "$0")/../lib.sh"

STRANGER=65432

stage secret
for command in "status" "level list" "level create mine" "level destroy secret --yes" "audit" \
	"volume list" "volume key $STATE/secret.img --out /tmp/never-$$" "volume destroy $STATE/secret.img --yes"; do
	# shellcheck disable=SC2086 # words of a command line
	refused "a stranger's $command" 1 "role|denied|allow|permi" keyadm_as $STRANGER $command
done
not_ok "no key file was made" test -e "/tmp/never-$$"
unlike "no level was made" "$(keyadm level list)" mine
is "the level is as it was" "$(read_outcome "$(url 1 1)")" ok
like "the audit log names the uid" "$(keyadm --json audit)" "\"uid\": *$STRANGER"

# A tgtd of the stranger's, with a copy of the file: keyd gives it no key.
install -D -m 755 "$BUILD/bs_crypt.so" "$STATE/bin/bs_crypt.so"
install -d -o $STRANGER -g $STRANGER "$STATE/stranger"
install -o $STRANGER -m 600 "$STATE/secret.img" "$STATE/stranger/copy.img"
port=$((20000 + RANDOM % 12000))
setpriv --reuid $STRANGER --regid $STRANGER --clear-groups --pdeathsig KILL \
	env TGT_IPC_SOCKET="$STATE/stranger/tgtd" KEYD_SOCKET="$STATE/keyd.sock" \
	LD_PRELOAD="${TGTD_PRELOAD:+$TGTD_PRELOAD }$STATE/bin/bs_crypt.so" \
	tgtd -f -C 0 --iscsi portal=127.0.0.1:$port >"$STATE/stranger.log" 2>&1 &
stranger=$!
at_exit stop_pid $stranger
stranger_tgt() {
	as_user $STRANGER env TGT_IPC_SOCKET="$STATE/stranger/tgtd" timeout 20 tgtadm --lld iscsi "$@"
}
ok "a stranger's tgtd runs" wait_for 10 stranger_tgt --op show --mode system
stranger_tgt --op new --mode target --tid 1 --targetname iqn.2000-01.example:stranger
stranger_tgt --op bind --mode target --tid 1 --initiator-address ALL
not_ok "it cannot open the volume" stranger_tgt --op new --mode logicalunit --tid 1 --lun 1 \
	--backing-store "$STATE/stranger/copy.img" --bstype crypt
is "after one line that says why" "$(grep -c 'bs_crypt: .*keyd' "$STATE/stranger.log")" 1
keyadm volume key "$STATE/secret.img" --out "$STATE/vk" >/dev/null
like "no key is in its memory" "$("$BUILD/tests/memscan" $stranger "$STATE/vk")" '^hits 0'
like "the refusal is in the audit log" \
	"$(keyadm --json audit | grep "\"uid\": *$STRANGER" | grep -ci 'denied\|refused')" '^[1-9]'

# Of the two sockets only admin.sock takes administrators, whoever they are.
refused "keyd.sock takes no admin request" 1 . \
	timeout 20 "$BUILD/keyadm" --admin-socket "$STATE/keyd.sock" level create mine
unlike "and obeys none" "$(keyadm level list)" mine
is "keyd goes on" "$(read_outcome "$(url 1 1)")" ok

done_testing
