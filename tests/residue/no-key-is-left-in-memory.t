#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# After gigabytes of I/O through each engine and a destruction, neither the memory of tgtd and keyd nor
# a core of them holds 16 bytes of a key that was destroyed. Before, each key is where it is needed, and
# only there. KEYS is how many volumes there are for each engine, GIB what is moved through each.
TEST_LIMIT=${TEST_LIMIT:-600}
. "$(dirname "$0")/../lib.sh"

KEYS=${KEYS:-25}
GIB=${GIB:-2}
ENGINES="ipsec-mb-avx512 ipsec-mb-avx2 ipsec-mb-sse openssl"
XTS_EVERY=5 # volumes of openssl, which alone knows it: one of these has the cipher with two keys
ONE_COPY=17 # of 32 bytes: as many runs of 16 bytes

scan() { # PID|FILE KEYFILE...: the report is in $STATE/scan
	"$BUILD/tests/memscan" "$@" >"$STATE/scan"
}
found() { sed -n "s/^$1 //p" "$STATE/scan"; } # hits, exposed

# Every mapping was read but the kernel's own, which have no data of the process, and the shared page where it is memory of
# memfd_secret(2), which nobody else can read. no-secret-is-left-in-the-ram-of-the-machine.t has a kernel without that.
all_was_read() { ! grep '^unread' "$STATE/scan" | grep -v '\[vvar\|\[vsyscall\]\|/secretmem'; }

holds_all() { # KEYFILE...: something of each is in the last scan
	local key
	for key; do
		grep -qF "$key: " "$STATE/scan" || { echo "nothing of $key" && return 1; }
	done
}

core_of() { # PID FILE: with every protection of memory against dumping overruled
	rm -f "$2"
	timeout 60 gdb -p "$1" -batch -ex 'set use-coredump-filter off' \
		-ex 'set dump-excluded-mappings on' -ex "gcore $2" >"$STATE/gdb.log" 2>&1
	[ -s "$2" ]
}

volume() { # ENGINE NUMBER: made and served as LUN number; its key becomes known
	local file=$1.$2.img size=1M options=()
	[ "$2" != 1 ] || size=256M
	[ "$1" != openssl ] || [ $(($2 % XTS_EVERY)) != 0 ] || options=(--cipher aes-xts-plain64)
	volume_create "$1" "$file" $size "${options[@]}"
	lun_add 1 "$2" "$STATE/$file" --bsopts "engine=$1" 2>/dev/null || return
	keyadm volume key "$STATE/$file" --out "$STATE/$1.$2.key" >/dev/null
}

moves() { # LUN MILLISECONDS: writes and reads; prints MB
	local way mb=0 speed
	for way in --write ""; do
		# shellcheck disable=SC2086 # no option, or one
		speed=$(io speed "$(url 1 "$1")" --ms "$2" $way) || return
		mb=$((mb + ${speed%.*} * $2 / 1000))
	done
	echo "$mb"
}

gigabytes() { # through LUN 1
	local mb=0 more
	while [ "$mb" -lt $((GIB * 1074)) ]; do
		more=$(moves 1 1000) || return
		mb=$((mb + more))
	done
	diag "$1: $mb MB through one LUN"
}

each_is_used() {
	local lun
	for ((lun = 2; lun <= KEYS; lun++)); do
		moves "$lun" 10 >/dev/null || return
	done
}

before_destruction() { # ENGINE KEYFILE...
	local engine=$1 exposed
	shift
	scan "${TGTD_PID[a]}" "$@"
	ok "$engine: each of $# keys is in tgtd's memory" holds_all "$@"
	ok "$engine: all of it was read" all_was_read
	exposed=$(found exposed)
	# OpenSSL's contexts are on the heap, where it alone decides: docs/THREAT-MODEL.md
	[ "$engine" = openssl ] && diag "openssl: $exposed of $(found hits) pieces in memory that may be swapped" ||
		is "$engine: all in locked memory that no dump has" "$exposed" 0
	scan "$KEYD_PID" "$@" "$STATE/level"
	is "$engine: keyd holds none of them, nor the level's" "$(found hits)" 0
	scan "${TGTD_PID[a]}" "$STATE/level" "$STATE/root"
	is "$engine: tgtd holds neither the level's nor the root key" "$(found hits)" 0
}

root_key_is_in_keyd_once() {
	scan "$KEYD_PID" "$STATE/root"
	is "$1: the root key is in keyd once and unexpanded" "$(found hits)" $ONE_COPY
	is "$1: in locked memory that no dump has" "$(found exposed)" 0
}

after_destruction() { # ENGINE KEYFILE...
	local engine=$1 name pid
	shift
	for name in tgtd keyd; do
		[ $name = tgtd ] && pid=${TGTD_PID[a]} || pid=$KEYD_PID
		scan "$pid" "$@" "$STATE/level"
		is "$engine: destroyed, nothing of the keys is in $name" "$(found hits)" 0
		ok "$engine: all of it was read" all_was_read
		ok "$engine: $name leaves a core" core_of "$pid" "$STATE/core"
		scan "$STATE/core" "$@" "$STATE/level"
		is "$engine: nothing of the keys is in it" "$(found hits)" 0
	done
	scan "$STATE/core" "$STATE/root"
	is "$engine: the core of keyd has what no ordinary core has" "$(found hits)" $ONE_COPY
}

with_engine() { # NAME
	local engine=$1 lun keys=()
	level_create "$engine"
	for ((lun = 1; lun <= KEYS; lun++)); do
		volume "$engine" $lun || break
		keys+=("$STATE/$engine.$lun.key")
	done
	if [ ${#keys[@]} = 0 ]; then
		skip "$engine" "this machine has none"
		return
	fi
	is "$engine: all volumes are served" ${#keys[@]} "$KEYS"
	"$BUILD/tests/unseal" "$STATE/root" "$STATE/store/levels/$engine/level.key" >"$STATE/level" ||
		die "the level's key is known to the test"
	ok "$engine: gigabytes are moved" gigabytes "$engine"
	ok "$engine: every LUN is used" each_is_used
	before_destruction "$engine" "${keys[@]}"
	load_start "$engine" "$(url 1 1)" --connections 2
	ok "$engine: the level is destroyed under load" keyadm level destroy "$engine" --yes
	load_stop "$engine"
	after_destruction "$engine" "${keys[@]}"
	root_key_is_in_keyd_once "$engine"
	for ((lun = 1; lun <= KEYS; lun++)); do lun_delete 1 $lun; done
	rm -f "$STATE/$engine".*.img
	tested=$((tested + ${#keys[@]}))
}

tested=0
keyd_ready
tgtd_ready_or_die
target_add 1
"$BUILD/tests/unseal" root "$STATE/store/root.key" >"$STATE/root" || die "the root key is known to the test"
for engine in $ENGINES; do with_engine "$engine"; done
isnt "some engine was tested" $tested 0
diag "$tested keys"

done_testing
