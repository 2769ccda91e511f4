#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every command of docs/KEYS.md's recovery drills runs as it is written there, and does what the text around it says.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tpm.sh"

DOC=$TOP/docs/KEYS.md
WORK=$STATE/work # the drills' current directory
export STORE=$STATE/store KEYD_ADMIN_SOCKET=$STATE/admin.sock PATH=$STATE/bin:$PATH

# The commands of block N (1, 2, …) of the drill that begins with these words.
block() { # DRILL N
	awk -v drill="### Drill: $1" -v n="$2" '
		/^###? / { here = index($0, drill) == 1 }
		here && /^```sh$/ { inside = ++count == n; next }
		/^```$/ { inside = 0 }
		here && inside' "$DOC"
}

drill() { # DRILL [N]: runs in a shell of its own, that stops at the first command that fails
	local commands
	commands=$(block "$1" "${2:-1}")
	[ -n "$commands" ] || die "there is a drill '$1', block ${2:-1}"
	drills_run=$((drills_run + 1))
	printf '%s\n' "$commands" >"$STATE/commands"
	(cd "$WORK" && exec timeout 60 bash -euo pipefail "$STATE/commands")
}
drills_run=0

# What a drill calls, with this test's sockets: systemctl works through a file that the test watches.
mkdir -p "$STATE/bin" "$WORK"
ln -s "$(realpath "$BUILD/keyadm")" "$STATE/bin/keyadm"
cat >"$STATE/bin/systemctl" <<-'SHIM'
	#!/bin/bash
	# systemctl stop|start|restart keyd: asks the test for it, and waits
	echo "$1" >"$STATE_DIR/asked.new" && mv "$STATE_DIR/asked.new" "$STATE_DIR/asked"
	for ((i = 0; i < 300; i++)); do
	    [ -e "$STATE_DIR/asked" ] || exit 0
	    sleep 0.1
	done
	exit 1
SHIM
chmod +x "$STATE/bin/systemctl"
export STATE_DIR=$STATE

new_keyd() {
	setsid setpriv --pdeathsig TERM "$BUILD/keyd" --config "$STATE/keyd.conf" --state "$STORE" --socket "$STATE/keyd.sock" \
		--admin-socket "$STATE/admin.sock" >>"$STATE/keyd.log" 2>&1 &
	echo $! >"$STATE/keyd.pid"
}

# The service manager: does what the shim asks, in the background.
manager() {
	local what
	while sleep 0.05; do
		[ -e "$STATE/asked" ] || continue
		what=$(<"$STATE/asked")
		[ "$what" = start ] || stop_pid "$(<"$STATE/keyd.pid")"
		[ "$what" = stop ] || { new_keyd && wait_for 10 keyd_answers; }
		rm "$STATE/asked"
	done
}

levels() { keyadm --json level list | python3 -c 'import json, sys
print(*sorted(level["name"] + ":" + level["state"] for level in json.load(sys.stdin)))'; }
root_of() { (cd "$STORE" && echo root.*); }
serves() { # the LUN has the data that was written at first
	tgtd_ready_or_die
	export_volume 1 work/secret.img
	io read "$(url 1 1)" 0 128 | cmp - "$STATE/plain"
	local same=$?
	tgtd_stop
	return "$same"
}
another_machine() { # the store of this one is gone
	systemctl stop keyd
	rm -rf "$STORE"
	systemctl start keyd
}

tpm_start || die "a TPM starts"
tpm_conf
new_keyd
keyd_of_drills_stop() { stop_pid "$(<"$STATE/keyd.pid")"; }
at_exit keyd_of_drills_stop
wait_for 10 keyd_answers || die "keyd starts"
manager &
at_exit kill $!
keyadm init >/dev/null
level_create secret
level_create other
volume_create secret work/secret.img 16M
random_file "$STATE/plain" 65536
tgtd_ready_or_die
export_volume 1 work/secret.img
io write "$(url 1 1)" 0 <"$STATE/plain"
tgtd_stop

ok "an officer has a certificate" drill "the officer's certificate"
ok "back up" drill "back up"
ok "what comes is a number in the ledger" eval "keyadm ledger | grep -q 'exp-'"

another_machine
ok "the server is lost" drill "the server is lost"
is "its levels are back" "$(levels)" "other:active secret:active"
ok "and the data" serves

systemctl stop keyd
printf damaged | dd of="$STORE/levels/secret/level.key" bs=1 seek=300 conv=notrunc status=none
systemctl start keyd
is "a key file is damaged" "$(levels)" "other:active secret:damaged"
ok "one level's key file is damaged" drill "one level's key file is damaged"
is "it is whole again" "$(levels)" "other:active secret:active"
ok "and so is its data" serves

ok "the TPM is lost" drill "the TPM or the token is lost"
is "the levels are in the new one" "$(root_of) $(levels)" "root.tpm2 other:active secret:active"
ok "and the data is there" serves

like "what is worth less than it was is told" "$(keyadm level show secret)" "erase class *clear"
ok "nobody remembers the passphrase" drill "nobody remembers"
systemctl stop keyd
mv "$STORE" "$STATE/kept"
cp "$STATE/kept/root.tpm2" "$STATE/root.tpm2"
systemctl start keyd
keyadm init >/dev/null
ok "two of three do" drill "nobody remembers" 2
is "and have the level" "$(levels)" "secret:active"
ok "and its data" serves
systemctl stop keyd
rm -r "$STORE"
mv "$STATE/kept" "$STORE"
systemctl start keyd

ok "an image is all there is" drill "an image is all there is"
echo "a new passphrase" >"$WORK/new-passphrase"
ok "the passphrase was seen" drill "the passphrase was seen"
is "it is another one now" "$(root_of) $(levels)" "root.passphrase other:active secret:active"

keyadm certificate key --out "$STATE/signer.pem" >/dev/null
cp "$STATE/signer.pem" "$WORK/server.pem" # the store is not the one of the first backup
keyadm audit --print-head >"$WORK/audit-head"
ok "sign for a destroyed level" drill "sign for a destroyed level"
isnt "its certificate names the exports" "$(json "$WORK/secret.json" 'len(d["outstanding_exports"])')" 0
ok "vouched for" drill "sign for a destroyed level" 2
unlike "they are named apart then" "$(keyadm level destroy other --yes)" "still exported *exp-"

is "every block of the document was run" "$drills_run" \
	"$(awk '/^## Recovery drills/ { on = 1 } on && /^```sh$/ { n++ } END { print n }' "$DOC")"

done_testing
