#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# No key in arguments, environments, logs, the audit log, lists or the store in the clear; keyd and
# tgtd cannot be dumped or read by their own uid; after destroy not even root finds the key.
. "$(dirname "$0")/../lib.sh"

holds_key() { # KEYFILE FILE...: raw, in hex or in base64
	python3 - "$@" <<-'PY'
		import base64, sys
		key = open(sys.argv[1], "rb").read()
		forms = [key, key[:16], key[16:], key.hex().encode(), key.hex().upper().encode(),
		         base64.b64encode(key)[:-2]]
		found = [path for path in sys.argv[2:] for form in forms if form in open(path, "rb").read()]
		print(*found)
		sys.exit(not found)
	PY
}

memscan() { "$BUILD/tests/memscan" "$1" "$STATE/vk" | head -n 1; }

keyd_ready --log-level debug
tgtd_ready_or_die
level_create secret
volume_create secret secret.img 64M
export_volume 1 secret.img
u=$(url 1 1)
keyadm volume key "$STATE/secret.img" --out "$STATE/vk" >/dev/null
mkdir "$STATE/seen"
load_start load "$u"

for pid in "$KEYD_PID" "${TGTD_PID[a]}"; do
	cat "/proc/$pid/cmdline" >"$STATE/seen/cmdline.$pid"
	cat "/proc/$pid/environ" >"$STATE/seen/environ.$pid"
done
keyadm suspend 2>"$STATE/seen/usage" >&2
for command in status "level list" "level show secret" "volume list" "volume show $STATE/secret.img" audit; do
	# shellcheck disable=SC2086 # words of a command line
	keyadm --json $command >"$STATE/seen/${command//[ \/]/_}" 2>&1
done
tgt --op show --mode target >"$STATE/seen/tgtadm"
head -c $LUKS_DATA_OFFSET "$STATE/secret.img" >"$STATE/seen/header"
mapfile -t store < <(find "$STATE/store" -type f)
isnt "there is a store to look into" "${#store[@]}" 0
not_ok "the key is in nothing that can be seen" holds_key "$STATE/vk" "$STATE"/seen/* "$STATE"/*.log "${store[@]}"
cat "$STATE/vk" >"$STATE/seen/control"
ok "which would be noticed" holds_key "$STATE/vk" "$STATE"/seen/*
is "the store is private" "$(find "$STATE/store" \( -type d ! -perm 700 -o -type f ! -perm 600 \))" ""

# What root can read, the daemon's own uid cannot (prctl(2) PR_SET_DUMPABLE: /proc/PID belongs to root).
for name in keyd tgtd; do
	[ $name = keyd ] && pid=$KEYD_PID || pid=${TGTD_PID[a]}
	is "$name's core size limit is zero" "$(awk '/Max core file size/ { print $5, $6 }' "/proc/$pid/limits")" "0 0"
done
install -D -m 755 "$BUILD/keyd" "$STATE/bin/keyd"
install -d -m 755 -o 3001 -g 3001 "$STATE/user"
setpriv --reuid 3001 --regid 3001 --clear-groups --pdeathsig KILL "$STATE/bin/keyd" --state "$STATE/user/store" --socket "$STATE/user/keyd.sock" \
	--admin-socket "$STATE/user/admin.sock" >"$STATE/user.log" 2>&1 &
users_keyd=$!
at_exit stop_pid $users_keyd
ok "keyd runs as an ordinary user" wait_for 10 test -S "$STATE/user/admin.sock"
is "and its memory is not its user's" "$(stat -c %u "/proc/$users_keyd/mem")" 0
not_ok "who cannot read it" as_user 3001 dd if="/proc/$users_keyd/mem" bs=1 count=1 skip=0 status=none
not_ok "nor its environment" as_user 3001 cat "/proc/$users_keyd/environ"
ok "who may use it" as_user 3001 timeout 20 "$STATE/bin/keyd" --help

like "in use, the key is in tgtd's memory" "$(memscan "${TGTD_PID[a]}")" '^hits [1-9]'
is "keyd does not keep it" "$(memscan "$KEYD_PID")" "hits 0"
ok "the level is destroyed" keyadm level destroy secret --yes
is "then it is not in tgtd's memory" "$(memscan "${TGTD_PID[a]}")" "hits 0"
is "nor in keyd's" "$(memscan "$KEYD_PID")" "hits 0"
load_stop load
volume_key_files() { find "$STATE/store" -type f; }
mapfile -t store < <(volume_key_files)
not_ok "nor in the store or the logs" holds_key "$STATE/vk" "${store[@]}" "$STATE"/*.log

# Closing a LUN wipes its key as well.
level_create second
volume_create second second.img 16M
target_add 2
lun_add 2 1 "$STATE/second.img"
rm "$STATE/vk"
keyadm volume key "$STATE/second.img" --out "$STATE/vk" >/dev/null
like "an open LUN has its key in memory" "$(memscan "${TGTD_PID[a]}")" '^hits [1-9]'
lun_delete 2 1
is "a closed LUN has not" "$(memscan "${TGTD_PID[a]}")" "hits 0"

done_testing
