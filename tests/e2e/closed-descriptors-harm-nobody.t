#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm and keyd started with descriptors 0 to 2 closed: what they say gets into no image, log or socket, and an answer
# that does not arrive is no success.
. "$(dirname "$0")/../lib.sh"

keyd_start && keyadm init >/dev/null && keyadm level create red >/dev/null || die "keyd starts"
run() { "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" "$@"; }
zeros() { cmp -n $((32 << 20)) "$1" /dev/zero; }

# A refusal that keyadm makes while it has the image open: somebody else has locked it.
head -c 32M /dev/zero >"$STATE/image"
python3 -c 'import fcntl, sys, time
f = open(sys.argv[1], "r+"); fcntl.lockf(f, fcntl.LOCK_EX); print("locked", flush=True); time.sleep(600)' "$STATE/image" >"$STATE/locked" &
locker=$!
at_exit stop_pid $locker
wait_for 10 grep -q locked "$STATE/locked" || die "the image is locked"
refused "a locked image is refused" 1 "in use" keyadm volume create --level red --size 1M --force "$STATE/image"
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
	eval "run volume create --level red --size 1M --force '$STATE/image' $closed"
	ok "a refusal with $closed leaves the image" zeros "$STATE/image"
	rm -f "$STATE/new"
	eval "run volume create --level red --size 1M '$STATE/new' $closed"
	uuid=$(blkid -p -o value -s UUID "$STATE/new")
	ok "what is made with $closed is whole" cryptsetup luksDump "$STATE/new"
	is "and known to keyd" "$(keyadm volume show "$uuid" | sed -n 's/^state *//p')" active
	keyadm volume destroy "$uuid" --yes >/dev/null
done 2>/dev/null

strace -e trace=openat,open,socket,memfd_create,dup,pidfd_open -o "$STATE/strace" "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" \
	volume create --level red --size 1M "$STATE/traced" <&- >&- 2>&-
is "what keyadm opens first is /dev/null, three times" "$(grep -c '/dev/null' "$STATE/strace")" 3
is "and nothing else has a number below 3 from then on" \
	"$(sed '0,/\/dev\/null/d' "$STATE/strace" | grep -v /dev/null | grep -c ' = [0-2]$')" 0

# Not through keyadm(): its timeout(1) would be between them.
full() { run "$@" >/dev/full 2>"$STATE/err"; }
nobody() { run "$@" 2>"$STATE/err" >&-; }
for reader in full nobody; do
	for command in "volume list" "--json status" "audit" "level show red" "--help" "audit --print-head"; do
		# shellcheck disable=SC2086 # words
		$reader $command
		is "$command to $reader: exit status" $? 1
		like "one line says why" "$(<"$STATE/err")" "^keyadm: the answer cannot be written to standard output: "
	done
done
mkfifo "$STATE/fifo"
(exec 3<"$STATE/fifo") &
run --json status >"$STATE/fifo" 2>"$STATE/err" || status=$?
wait $!
like "a reader who has gone is told, or has read all" "${status:-0}$(<"$STATE/err")" "^0$|^1keyadm: the answer cannot be written.*Broken pipe"
full level create blue
is "a change that is not told of" $? 1
like "is made all the same, and that is said" "$(<"$STATE/err")" "has been made"
ok "as it is" keyadm level show blue
keyd_stop

# keyd's log has no descriptor: its lines are lost, not written into the first file that keyd opens.
records=$(wc -l <"$STATE/store/audit.log")
"$BUILD/keyd" --state "$STATE/store" --socket "$STATE/keyd.sock" --admin-socket "$STATE/admin.sock" <&- >&- 2>&- &
KEYD_PID=$!
at_exit stop_pid $KEYD_PID
wait_for 10 keyd_answers || die "keyd starts without descriptors"
ok "keyd with 0 to 2 closed works" keyadm level suspend blue
ok "its log is not in the audit log" keyadm audit --verify
not_ok "nor in any file of the store" grep -rqa "keyd: \|ready: " "$STATE/store"
ok "which has its records" [ "$(wc -l <"$STATE/store/audit.log")" -gt "$records" ]
keyd_stop
done_testing
