#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Whichever call of a change of the root key the disk fails, the store is whole under one root key, and what
# keyadm was told is true: changed, or nothing was changed; where nobody can tell, keyd stops and says so.
. "$(dirname "$0")/../lib.sh"

CALLS="fsync fdatasync renameat unlinkat"

root() { sha256sum <"$STATE/store/root.key"; }

# Not confined: a call that strace fails is made as one that there is not, for which seccomp kills.
start() { keyd_start --config "$STATE/keyd.conf"; }

# 1: there are not so many calls of this kind. $answer, $failed
change_with_failing() { # CALL N
	local tracer
	rm -f "$STATE/strace.err" "$STATE/trace"
	strace -f -p "$KEYD_PID" -o "$STATE/trace" -e "trace=$1" -e "inject=$1:error=EIO:when=$2" 2>"$STATE/strace.err" &
	tracer=$!
	wait_for 10 grep -q attached "$STATE/strace.err" || die "strace attaches"
	answer=$(keyadm custody change --custody file 2>&1)
	failed=$?
	stop_pid $tracer # it can miss the end of a process with threads, and would wait for ever
	grep -q INJECTED "$STATE/trace"
}

# $seen: what this answer comes to, or what is wrong.
judge() { # ROOT BEFORE THE CHANGE
	local now
	now=$(root)
	case $answer in
	*"nothing was changed"* | *"nothing was done"*) seen=unchanged && [ "$now" = "$1" ] || seen="unchanged, it says, and the root key is another" ;;
	*"the change was interrupted and keyd stops"*)
		seen=unclear
		wait_for 10 gone "$KEYD_PID" || seen="keyd goes on"
		;;
	*"not proven gone"*) seen=unproven && [ "$now" != "$1" ] || seen="the old root key is there" ;;
	*"has a new root key"*)
		seen=changed
		[ $failed = 0 ] || seen="it fails and says that all is well"
		[ "$now" != "$1" ] || seen="the old root key is there"
		;;
	*) seen="answers: $answer" ;;
	esac
	[ "$seen" = changed ] || [ $failed != 0 ] || seen="$seen, with exit status 0"
}

printf '[keyd]\nsandbox = no\n[roles]\nsecurity-admin = 0\nstorage-admin = 0\n' >"$STATE/keyd.conf"
start || die "keyd starts"
ok "a key store is made" keyadm init
level_create one
level_create two
ok "one of two levels is destroyed" keyadm level destroy two --yes
before=$(states)

declare -A outcomes
wrong=""
for call in $CALLS; do
	for ((n = 1; n < 100; n++)); do
		was=$(root)
		change_with_failing "$call" $n || break
		judge "$was"
		outcomes[$seen]=$((${outcomes[$seen]:-0} + 1))
		case $seen in changed | unchanged | unclear | unproven) ;; *) wrong+=" $call $n: $seen;" ;; esac
		[ "$seen" = unclear ] || keyd_stop
		KEYD_PID=
		start || die "keyd starts after $call $n ($seen)"
		[ "$(states)" = "$before" ] && [ -z "$(left_over)" ] || wrong+=" $call $n: $seen, and $(states) $(left_over);"
	done
	diag "$call: $((n - 1)) failed"
done
diag "$(for o in "${!outcomes[@]}"; do echo "${outcomes[$o]} $o"; done | xargs)"
is "what is said is so, and the store is whole" "$wrong" ""
ok "some failures changed nothing" [ "${outcomes[unchanged]:-0}" -gt 4 ]
ok "some left it to the next start" [ "${outcomes[unclear]:-0}" -gt 0 ]
like "keyd says why it stops" "$(grep -h interrupted "$STATE/keyd.log")" "the change of the root key is interrupted.*ends when keyd starts again"
ok "the audit log is whole after all that" keyadm audit --verify
ok "and the next change is made" keyadm custody change --custody file

done_testing
