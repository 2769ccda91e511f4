#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm zeroize: every key of the store at once, on disk and in memory, and for good. With a keyd that runs, without
# one, with a damaged store, a locked one, and when it is killed in the middle.
. "$(dirname "$0")/../lib.sh"

store=$STATE/store
key_files() { # anything that is, or wraps, a key
	find "$store" \( -name 'root.*' -o -name '*.key' -o -name '.new-*' \) -print |
		grep -vc "^$store/zeroized-"
}
document() { json "$store/zeroized" "$1"; } # EXPRESSION
zeroize() { keyadm zeroize --all --yes; }
offline() { zeroize_output=$(timeout 20 "$BUILD/keyd" --zeroize --state "$store" 2>&1); }
new_store() { # LEVEL...: with one volume each, made anew
	rm -rf "$store" "$STATE"/*.img
	keyd_ready || return
	for name; do level_create "$name" && volume_create "$name" "$name.img" 1M; done
}

stage red green
volume_create green closed.img 1M
red=$(url 1 1) green=$(url 2 1)
keyadm volume key "$STATE/red.img" --out "$STATE/vk" >/dev/null
tail -c 64 "$store/root.key" | head -c 32 >"$STATE/root"
cp -a "$store" "$STATE/copy"
memscan() { "$BUILD/tests/memscan" "$1" "$2" | head -n 1; } # PID KEYFILE
like "before, the volume key is in tgtd" "$(memscan "${TGTD_PID[a]}" "$STATE/vk")" '^hits [1-9]'
like "and the root key in keyd" "$(memscan "$KEYD_PID" "$STATE/root")" '^hits [1-9]'

not_ok "zeroize alone is not enough" keyadm zeroize --yes
keyadm certificate key --out "$STATE/signer.pem" >/dev/null
not_ok "it asks, and there is no terminal" keyadm zeroize --all </dev/null
refused "a stranger may not" 1 "role" keyadm_as 65432 zeroize --all --yes
is "nothing happened" "$(read_outcome "$red") $(read_outcome "$green")" "ok ok"

text=$(zeroize)
is "zeroize succeeds" $? 0
like "and says so" "$text" "was zeroized at 20"
is "both LUNs are denied" "$(read_outcome "$red") $(read_outcome "$green")" "07/74/71 07/74/71"
is "no key file is left" "$(key_files)" 0
is "no key is in tgtd" "$(memscan "${TGTD_PID[a]}" "$STATE/vk")" "hits 0"
is "nor the root key in keyd" "$(memscan "$KEYD_PID" "$STATE/root")" "hits 0"
is "the certificate: who acknowledged" "$(document '[(p["pid"], p["wiped"]) for p in d["acknowledged"]]')" \
	"[(${TGTD_PID[a]}, 2)]"
is "the verification" "$(document 'd["verification"]["result"], d["verification"]["key_files_left"]')" "('passed', 0)"
ok "it is signed" keyadm certificate verify "$store/zeroized" --key "$STATE/signer.pem"
is "the levels" "$(document 'sorted(l["name"] for l in d["levels"])')" "['green', 'red']"
is "the key that left" "$(document 'len(d["outstanding_exports"])')" 1
refused "there are no levels any more" 1 "was zeroized at .*keyadm init" keyadm level list
refused "nor can one be made" 1 "was zeroized at" keyadm level create blue
like "again, it is done" "$(zeroize)" "was zeroized at"
ok "the audit log has it, whole" keyadm audit --verify
like "begin and end" "$(keyadm --json audit | grep -o '"zeroize[d]*"' | xargs)" "^zeroize zeroized$"

# It is final.
keyd_stop
cp "$STATE/copy/root.key" "$store/root.key"
cp -a "$STATE/copy/levels/red/level.key" "$store/levels/red/level.key"
keyd_start || die "keyd starts on a zeroized store"
like "a new keyd says what it is" "$(tail -n 5 "$STATE/keyd.log")" "was zeroized at"
refused "old files put back bring nothing back" 1 "was zeroized at" keyadm level list
sleep 1
is "the LUN stays denied" "$(read_outcome "$red")" 07/74/71
not_ok "and cannot be opened anew" lun_add 1 2 "$STATE/closed.img"
refused "while they lie there, there is no new store" 1 "zeroize --all" keyadm init
ok "zeroize erases them, too" zeroize
is "no key file is left" "$(key_files)" 0
ok "then there can be a new store" keyadm init
ok "in which a name may be used again" keyadm level create red
is "the certificate is kept" "$(json "$store"/zeroized-*/certificate.json 'd["scope"]')" store
not_ok "the old volume is unknown to it" keyadm volume show "$STATE/red.img"
like "and works" "$(keyadm level list)" 'red.*active'
keyd_stop && keyd_start || die "keyd starts on the new store"
like "also after a restart" "$(keyadm level list)" 'red.*active'

# A tgtd that does not answer.
volume_create red new.img 1M
TGT=b && tgtd_ready_or_die
export_volume 1 new.img
kill -STOP "${TGTD_PID[b]}"
refused "a silent tgtd is named" 1 "tgtd pid ${TGTD_PID[b]}" zeroize
is "and changes nothing for the keys" "$(key_files)" 0
kill -CONT "${TGTD_PID[b]}"
ok "awake, it wipes" becomes 5 07/74/71 read_outcome "$(url 1 1)"
TGT=b && tgtd_stop
TGT=a && tgtd_stop
keyd_stop

# A locked store, by a keyd that knows no key of it.
rm -rf "$store"
keyd_start || die "keyd starts"
keyadm init --custody passphrase --passphrase-fd 3 3<<<"correct horse" >/dev/null || die "a passphrase store"
level_create locked && volume_create locked locked.img 1M
keyd_stop && keyd_start || die "keyd starts locked"
like "a locked store" "$(keyadm --json status)" '"locked": *true'
ok "is zeroized without its passphrase" zeroize
is "no key file is left" "$(key_files)" 0
refused "and cannot be unlocked" 1 "was zeroized at" keyadm unlock --passphrase-fd 3 3<<<"correct horse"
keyd_stop

# No keyd, and a store on which none would start.
new_store one two
refused "keyd --zeroize leaves a running keyd's store alone" 1 "is running on it" \
	"$BUILD/keyd" --zeroize --state "$store"
isnt "no key is gone" "$(key_files)" 0
keyd_stop
echo garbage >"$store/root.key"
rm -rf "$store/levels/two" && echo garbage >"$store/levels/one/level.key"
not_ok "a keyd does not start on a damaged store" timeout 5 "$BUILD/keyd" --state "$store" \
	--socket "$STATE/keyd.sock" --admin-socket "$STATE/admin.sock"
ok "keyadm finds the way without it" keyadm zeroize --all --yes --state "$store"
like "and says which" "$(<"$STATE/out")" "keyd --zeroize"
is "no key file is left" "$(key_files)" 0
is "the certificate is true" "$(document 'd["verification"]["result"]')" passed
keyd_start || die "keyd starts on the zeroized store"
refused "it is a zeroized one" 1 "was zeroized at" keyadm level list
ok "and can be made anew" keyadm init
keyd_stop
mkdir "$STATE/no-store" && echo mine >"$STATE/no-store/file"
refused "a folder that is no store is left alone" 1 "there is none" "$BUILD/keyd" --zeroize --state "$STATE/no-store"
is "as it was" "$(ls "$STATE/no-store")" file

# Killed in the middle: before and after each file is erased.
new_store one two
keyd_stop
rm -rf "$STATE/copy" && cp -a "$store" "$STATE/copy"
killed_at() { # N: at its Nth unlink, or it ran to the end
	rm -rf "$store" && cp -a "$STATE/copy" "$store"
	timeout 60 strace -f -o /dev/null -e trace=unlinkat -e inject=unlinkat:signal=SIGKILL:when="$1" \
		"$BUILD/keyd" --zeroize --state "$store" >/dev/null 2>&1
	return $?
} 2>/dev/null # the shell would tell of every kill
zeros() { cmp -s "$1" /dev/zero 2>/dev/null || [ "$(tr -d '\0' <"$1" | wc -c)" = 0 ]; } # FILE
for ((kills = 1; kills < 30; kills++)); do
	killed_at $kills && break
	if [ -e "$store/root.key" ] && ! zeros "$store/root.key"; then # before the first erasure
		[ -e "$store/levels/one/level.key" ] || fail "killed at $kills: a level's key went before the root key"
		continue
	fi
	[ -e "$store/zeroized" ] || fail "killed at $kills: the root key went before the marker"
	if ((kills % 2)); then
		offline || fail "killed at $kills: keyd --zeroize goes on" "$zeroize_output"
	else
		keyd_start || fail "killed at $kills: keyd starts"
		becomes 10 True document 'bool(d["completed_at"])' >/dev/null || fail "killed at $kills: keyd goes on"
		keyd_stop
	fi
	[ "$(key_files) $(document 'd["verification"]["result"]')" = "0 passed" ] ||
		fail "killed at $kills: no key is left" "$(find "$store")"
done
ok "killed at each of $((kills - 1)) points it was finished afterwards" [ $kills -gt 4 ]

# And a keyd that is killed while it waits for a tgtd.
new_store one two
TGT=c && tgtd_ready_or_die
export_volume 1 one.img
kill -STOP "${TGTD_PID[c]}"
zeroize >/dev/null 2>&1 &
zeroizer=$!
ok "the root key goes before anybody is waited for" within 3 test ! -e "$store/root.key"
kill_pid "$KEYD_PID"
wait $zeroizer
isnt "keyadm reports that it does not know" $? 0
keyd_start || die "keyd starts again"
ok "which finishes" becomes 15 True document 'bool(d["completed_at"])'
is "and names the silent tgtd" "$(document '[p["pid"] for p in d["unacknowledged"]]')" "[${TGTD_PID[c]}]"
is "no key file is left" "$(key_files)" 0
kill -CONT "${TGTD_PID[c]}"
ok "which, awake, has its LUN denied" becomes 10 07/74/71 read_outcome "$(url 1 1)"

# Root, whatever keyd.conf says: who the administrators are, where keyd listens, or nothing that makes sense.
TGT=c && tgtd_stop
ALICE=2001
alice() { keyadm_as $ALICE "$@"; }
cat >"$STATE/keyd.conf" <<-CONF
	[keyd]
	state = $store
	admin-socket = $STATE/admin.sock
	emergency = no
	[roles]
	security-admin = $ALICE
	[levels]
	fetch = root
CONF
chmod 644 "$STATE/keyd.conf"
keyd_answers() { ! alice status 2>&1 | grep -q 'start keyd'; }
alices_store() {
	keyd_stop
	rm -rf "$store"
	keyd_start --config "$STATE/keyd.conf" && alice init >/dev/null && alice level create red >/dev/null ||
		die "alice makes a store"
}
elsewhere() { # keyadm zeroize, and nobody listens where it looks
	timeout 20 "$BUILD/keyadm" --admin-socket "$STATE/no.sock" zeroize --all --yes --config "$STATE/keyd.conf"
}
alices_store
refused "root has no role that the file does not give" 1 "role" keyadm level create blue
refused "with emergency = no an administrator may not zeroize" 1 "emergency = no" alice zeroize --all --yes
isnt "no key is gone" "$(key_files)" 0
like "root sees the status" "$(keyadm --json status)" '"initialized": *true'
ok "root may always zeroize" zeroize
is "no key file is left" "$(key_files)" 0
like "which is on record" "$(alice --json audit | grep '"zeroize"')" '"uid":0'
alices_store
ok "a keyd that listens elsewhere is found" elsewhere
like "and asked" "$(<"$STATE/out")" "a keyd is running"
is "no key file is left" "$(key_files)" 0
alices_store
keyd_stop
printf '%s\n' "nonsense" "[kyed]" "[keyd]" "log-level = loud" "state = $store" "[roles]" "auditor = no-such-user" >"$STATE/keyd.conf"
refused "a keyd.conf with errors stops keyd" 1 "keyd.conf:" "$BUILD/keyd" --config "$STATE/keyd.conf"
ok "but not the zeroizing" elsewhere
like "which says so" "$(<"$STATE/out")" "zeroizing all the same"
is "no key file is left" "$(key_files)" 0

done_testing
