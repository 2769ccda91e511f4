#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Code that gets into keyd can read no file but the key store's, reach nobody over the network, start nothing; without
# systemd, too. keyd does all its work all the same, which the other tests show.
. "$(dirname "$0")/../lib.sh"

conf() { printf '[keyd]\nsandbox = %s\n[roles]\nsecurity-admin = root\n' "$1" >"$STATE/keyd.conf"; }
status_of_keyd() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$KEYD_PID/status"; }

conf required
# shellcheck disable=SC2119 # without arguments
keyd_start --config "$STATE/keyd.conf" || {
	grep -q 'sandbox = required' "$STATE/keyd.log" && skip_all "this kernel cannot: $(tail -n 1 "$STATE/keyd.log")"
	die "keyd starts"
}
is "its system calls are filtered" "$(status_of_keyd Seccomp)" 2
is "it gets no new rights" "$(status_of_keyd NoNewPrivs)" 1
like "it says so" "$(<"$STATE/keyd.log")" "confined: system calls by seccomp, files by Landlock"
keyadm init >/dev/null
ok "it works" keyadm level create l
ok "it stops" keyd_stop
not_ok "and takes its sockets away" ls "$STATE"/*.sock

# What an intruder's attempt comes to: the system's word for it, or "killed" with keyd.
intruder() { # ATTEMPT [PATH]
	local status
	: >"$STATE/intruder.log"
	env LD_PRELOAD="${TGTD_PRELOAD:+$TGTD_PRELOAD }$BUILD/tests/intruder.so" INTRUDER="$1" INTRUDER_PATH="${2-}" \
		setpriv --pdeathsig KILL "$BUILD/keyd" --config "$STATE/keyd.conf" --state "$STATE/store" \
		--socket "$STATE/keyd.sock" --admin-socket "$STATE/admin.sock" >"$STATE/intruder.log" 2>&1 &
	KEYD_PID=$!
	at_exit kill $!
	wait_for 20 eval "gone $! || grep -q ^intruder: '$STATE/intruder.log'"
	stop_pid $!
	wait $! 2>/dev/null
	status=$?
	sed -n 's/^intruder: [^:]*: //p' "$STATE/intruder.log" | grep . ||
		{ [ $status = $((128 + 31)) ] && echo killed; } || echo "status $status: $(<"$STATE/intruder.log")"
}

tried() { # SANDBOX EXPECTED...: of each attempt
	local mode=$1 attempt
	shift
	conf "$mode"
	for attempt in read-shadow write-passwd network shell run-memfd map-code make-executable map-memfd fork kill; do
		# A sanitizer's runtime looks at its process from another one before it ends, and makes code.
		if [ -n "${TGTD_PRELOAD-}" ] && [[ $attempt =~ ^(fork|kill|map-.*|make-.*)$ ]]; then
			shift
			continue
		fi
		is "with sandbox = $mode, $attempt" "$(intruder $attempt)" "$1"
		shift
	done
}

echo data >"$STATE/lun.img"
tried required "Permission denied" "Permission denied" "Address family not supported by protocol" \
	killed killed "Permission denied" "Permission denied" "Permission denied" killed killed
is "the store's mode stays" "$(intruder chmod "$STATE/store")" "Operation not permitted"
is "and its owner" "$(intruder chown "$STATE/store")" "Operation not permitted"
is "which shows" "$(stat -c %a:%U "$STATE/store")" 700:root
is "a LUN's file" "$(intruder read-volume "$STATE/lun.img")" "Permission denied"
is "the store is its own" "$(intruder read-store "$STATE/store/levels")" "it works"
echo "sandbox-paths = $STATE/lun.img" | sed -i "2r /dev/stdin" "$STATE/keyd.conf"
is "with sandbox-paths, the file" "$(intruder read-volume "$STATE/lun.img")" "it works"
echo "sandbox-network = yes" | sed -i "2r /dev/stdin" "$STATE/keyd.conf"
is "with sandbox-network, the network" "$(intruder network)" "it works"

# The intruder is able to do all that where nothing keeps it.
conf no
is "unconfined, read-shadow" "$(intruder read-shadow)" "it works"
is "unconfined, network" "$(intruder network)" "it works"
intruder shell >/dev/null
like "unconfined, shell" "$(<"$STATE/intruder.log")" "intruder: a shell"
is "unconfined, kill" "$(intruder kill)" "it works"
is "unconfined, map-memfd" "$(intruder map-memfd)" "it works"

printf '[keyd]\nsandbox = required\nsandbox-paths = /no/such/path\n' >"$STATE/keyd.conf"
like "a path that is not there is named, and keyd does not start" "$(intruder nothing)" \
	"^status 1: .*sandbox-paths: /no/such/path"

done_testing
