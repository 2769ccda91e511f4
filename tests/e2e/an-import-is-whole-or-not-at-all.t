#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyd killed during an import: at random moments, and before each of its calls that change a directory or
# make something durable. The next keyd has the whole level, or nothing of it; a level that was destroyed is
# destroyed or back, and its certificate is kept.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../backup.sh
. "$TESTS/backup.sh"

KILLS=60 VOLUMES=6
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
diag "SEED=$SEED"
LEVEL=$OTHER/store/levels/one

import() { keyadm_there import "$STATE/e" --key "$STATE/alice.key" "$@"; }

# What keyd finds after a kill, in a word or two, in $outcome. All volumes must give their keys.
look() {
	local i
	outcome="keyd does not start"
	there_start || return
	outcome=leftovers
	[ -z "$(find "$OTHER/store/levels" -name '.new-*')" ] || return
	case $(keyadm_there level show one 2>&1) in
	*"no level one"*)
		[ ! -e "$LEVEL" ] && outcome=nothing || outcome="a directory"
		return
		;;
	*"certificate of destruction"*)
		[ -z "$(find "$LEVEL" -name '*.key')" ] && outcome=destroyed || outcome="keys of a destroyed level"
		return
		;;
	esac
	keyadm_there level resume one >/dev/null
	for ((i = 1; i <= VOLUMES; i++)); do
		rm -f "$STATE/key"
		outcome="volume $i is not whole"
		keyadm_there volume key "$STATE/$i.img" --out "$STATE/key" >/dev/null 2>&1
		cmp -s "$STATE/key" "$STATE/key.$i" || return
	done
	outcome=whole
}

# A store that has never seen the level, or one where it was destroyed.
reset() { # fresh|destroyed
	there_stop
	rm -rf "$OTHER/store"
	cp -a "$STATE/store.$1" "$OTHER/store"
	there_start || die "keyd starts there"
}

keyd_ready
there_ready
person alice
level_create one
for ((i = 1; i <= VOLUMES; i++)); do
	volume_create one $i.img 1M
	keyadm volume key "$STATE/$i.img" --out "$STATE/key.$i" >/dev/null
done
keyadm export --all --recipient "$STATE/alice.pem" --out "$STATE/e" >/dev/null || die "an export"
there_stop
cp -a "$OTHER/store" "$STATE/store.fresh"
there_start && import >/dev/null && keyadm_there level destroy one --yes >/dev/null || die "a level is destroyed there"
there_stop
cp -a "$OTHER/store" "$STATE/store.destroyed"

# --- at random moments ----------------------------------------------------------------------------

# Imports, and kills keyd at a moment of the first SECONDS; tells how long the import took.
import_and_kill() { # SEED SECONDS
	python3 - "$1" "$2" "$OTHER_PID" "$BUILD/keyadm" --admin-socket "$OTHER/admin.sock" import "$STATE/e" \
		--key "$STATE/alice.key" <<-'PY'
			import os, random, signal, subprocess, sys, time
			seed, seconds, pid, command = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
			began = time.monotonic()
			keyadm = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
			if seconds:
			    time.sleep(random.Random(seed).uniform(0, seconds))
			    os.kill(pid, signal.SIGKILL)
			keyadm.wait()
			print(time.monotonic() - began)
		PY
}

reset fresh
seconds=$(import_and_kill 0 0)
declare -A outcomes
for ((n = 0; n < KILLS; n++)); do
	reset fresh
	import_and_kill "$SEED.$n" "$seconds" >/dev/null
	wait_for 5 gone "$OTHER_PID"
	look
	outcomes[$outcome]=$((${outcomes[$outcome]:-0} + 1))
done
diag "$KILLS kills within $seconds s: $(for o in "${!outcomes[@]}"; do echo "${outcomes[$o]} $o"; done | xargs)"
is "after each kill all of it is there, or nothing" "$((${outcomes[nothing]:-0} + ${outcomes[whole]:-0}))" $KILLS

# --- before each call -----------------------------------------------------------------------------

CALLS="mkdirat fsync fdatasync renameat renameat2 unlinkat"

# Kills keyd before its Nth call of this kind after the import has begun; 1 when there are not so many.
killed_before() { # CALL N [import's options]
	local call=$1 n=$2 pid=$OTHER_PID tracer status
	shift 2
	rm -f "$STATE/strace.err"
	strace -f -p "$pid" -o /dev/null -e "trace=$call" -e "inject=$call:signal=SIGKILL:when=$n" 2>"$STATE/strace.err" &
	tracer=$!
	wait_for 10 grep -q attached "$STATE/strace.err" || die "strace attaches"
	import "$@" >/dev/null 2>&1
	status=$?
	stop_pid $tracer # it can miss the end of a process with threads, and would wait for ever
	[ $status != 0 ] && wait_for 5 gone "$pid"
}

sweep() { # STORE BEFORE [import's options]: whichever call it is, the level is as BEFORE, or whole
	local store=$1 before=$2 call n wrong="" kills=0
	local -A seen=()
	shift 2
	for call in $CALLS; do
		for ((n = 1; n < 100; n++)); do
			reset "$store"
			killed_before "$call" $n "$@" || break
			look
			seen[$outcome]=$((${seen[$outcome]:-0} + 1))
			kills=$((kills + 1))
			[ "$outcome" = "$before" ] || [ "$outcome" = whole ] || wrong+=" $call $n: $outcome"
			[ "$store" = fresh ] || [ -n "$(find "$LEVEL" -name certificate.json)" ] ||
				wrong+=" $call $n: no certificate"
		done
	done
	diag "$store: $kills kills: ${seen[$before]:-0} $before, ${seen[whole]:-0} whole"
	is "killed before each of its calls, an import leaves $before or all ($store)" "$wrong" ""
	ok "both were seen" [ "${seen[$before]:-0}" -gt 10 -a "${seen[whole]:-0}" -gt 0 ]
}

sweep fresh nothing
sweep destroyed destroyed --force
ok "the audit log is whole after all the kills" keyadm_there audit --verify

done_testing
