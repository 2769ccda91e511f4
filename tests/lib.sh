# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What every shell test sources: TAP, a private state folder, keyd and tgtd in it (daemons.sh), and
# clean-up that happens however the test ends. See README.md.

TEST_LIMIT=${TEST_LIMIT:-900} # seconds for one test file, many times what it needs; sanitizers are slow
[ -z "${TGTD_PRELOAD-}" ] || TEST_LIMIT=$((TEST_LIMIT * 3))
# All that the test started is ended with it, or what holds its output would keep prove waiting; on a terminal Ctrl-C does so.
foreground=()
[ ! -t 0 ] || foreground=(--foreground)
[ -n "${TEST_GUARD-}" ] || exec env TEST_GUARD=1 timeout "${foreground[@]}" -k 20 "$TEST_LIMIT" bash "$0" "$@"
unset TEST_GUARD
export LC_ALL=C

TESTS=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
TOP=$(dirname "$TESTS")
BUILD=${BUILD:-$TOP/build}
STATE=$(mktemp -d "${TMPDIR:-/tmp}/tgt-crypt-test.XXXXXX")
chmod 755 "$STATE" # strangers are meant to find the sockets, and to be refused there
# shellcheck source=daemons.sh
. "$TESTS/daemons.sh"

# --- TAP -----------------------------------------------------------------------------------------

tests_run=0
tests_failed=0

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }
pass() { echo "ok $((++tests_run)) - $1"; }
fail() { # NAME [DIAGNOSIS]
	echo "not ok $((++tests_run)) - $1"
	tests_failed=$((tests_failed + 1))
	[ -z "${2-}" ] || diag "$2"
}

ok() { # NAME COMMAND...: it succeeds
	local name=$1 status
	shift
	"$@" >"$STATE/out" 2>&1
	status=$?
	[ $status = 0 ] && pass "$name" || fail "$name" "exit $status from: $*
$(<"$STATE/out")"
}

not_ok() { # NAME COMMAND...: it fails by itself, not by a signal or a timeout
	local name=$1 status
	shift
	"$@" >"$STATE/out" 2>&1
	status=$?
	[ $status -gt 0 ] && [ $status -lt 124 ] && pass "$name" || fail "$name" "exit $status from: $*
$(<"$STATE/out")"
}

# NAME STATUS REGEX COMMAND...: exits with STATUS after exactly one line on stderr that matches.
refused() {
	local name=$1 want=$2 regex=$3 err status
	shift 3
	err=$("$@" 2>&1 >/dev/null)
	status=$?
	[ $status = "$want" ] && [ "$(wc -l <<<"$err")" = 1 ] && grep -Eq "$regex" <<<"$err" &&
		pass "$name" || fail "$name" "exit $status (want $want), stderr: $err
want one line like: $regex"
}

is() { # NAME GOT WANT
	[ "$2" = "$3" ] && pass "$1" || fail "$1" "got:  $2
want: $3"
}

isnt() { # NAME GOT UNWANTED
	[ "$2" != "$3" ] && pass "$1" || fail "$1" "got: $2"
}

like() { # NAME TEXT REGEX
	grep -Eq -- "$3" <<<"$2" && pass "$1" || fail "$1" "got:  $2
want: $3"
}

unlike() { # NAME TEXT REGEX
	grep -Eq -- "$3" <<<"$2" && fail "$1" "got: $2" || pass "$1"
}

same() { # NAME FILE FILE
	ok "$1" cmp "$2" "$3"
}

skip() { # NAME REASON
	echo "ok $((++tests_run)) - $1 # SKIP $2"
}

skip_all() { # REASON
	echo "1..0 # SKIP $1"
	tests_run=-1
	exit 0
}

die() { # REASON: the test cannot go on
	fail "$1"
	exit 1
}

done_testing() {
	echo "1..$tests_run"
	tests_run=-1
	[ $tests_failed = 0 ]
	exit
}

# --- clean-up ------------------------------------------------------------------------------------

cleanups=()
at_exit() { cleanups+=("$*"); }

finish() {
	local status=$? i
	trap '' EXIT TERM INT HUP
	[ $tests_run -lt 0 ] || diag "the test ended early"
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[i]}"
	done >/dev/null 2>&1
	for TGT in "${!TGTD_PID[@]}"; do tgtd_stop; done
	keyd_stop
	if [ -n "${KEEP_STATE-}" ] || [ $tests_failed != 0 ]; then
		logs_tail
	fi
	[ -n "${KEEP_STATE-}" ] && diag "state kept in $STATE" || rm -rf "$STATE"
	exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

logs_tail() {
	local log
	for log in "$STATE"/*.log; do
		[ ! -s "$log" ] || diag "--- ${log##*/}
$(tail -n 15 "$log")"
	done
}

# --- the product ---------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || skip_all "needs root: other users' rights are tested"

io() { timeout -k 2 "${LIMIT:-60}" "$BUILD/tests/iscsi-io" "$@"; }

# A command's outcome in one word: "ok", a sense such as 07/74/71, or "lost".
outcome() { # io's arguments
	local err
	err=$(io "$@" 2>&1 >/dev/null </dev/null)
	case $? in
	0) echo ok ;;
	3) sed -n 's/.*sense //p' <<<"$err" ;;
	*) echo lost ;;
	esac
}

read_outcome() { outcome read "$1" "${2:-0}" 1; } # URL [LBA]

becomes() { # SECONDS WANT COMMAND...: its output becomes WANT
	local deadline=$((SECONDS + $1 * WAIT_FACTOR)) want=$2 got
	shift 2
	while :; do
		got=$("$@" 2>/dev/null)
		[ "$got" = "$want" ] && return 0
		[ $SECONDS -lt $deadline ] || { echo "is '$got', not '$want'" && return 1; }
		sleep 0.1
	done
}

random_file() { head -c "$2" /dev/urandom >"$1"; } # FILE BYTES

keyd_ready() { # keyd runs and has a store
	keyd_start "$@" && keyadm init >/dev/null || die "keyd starts and makes a store"
}

tgtd_ready_or_die() { tgtd_start "$@" || die "tgtd starts"; }

level_create() { keyadm level create "$1" >/dev/null || die "level $1 is created"; }

volume_create() { # LEVEL FILE SIZE [options]: the file is in $STATE
	local level=$1 file=$2 size=$3
	shift 3
	keyadm volume create --level "$level" --size "$size" "$@" "$STATE/$file" >/dev/null ||
		die "volume $file is created"
}

export_volume() { # TID FILE [tgtadm's further options]: as LUN 1
	local tid=$1 file=$2
	shift 2
	target_add "$tid" && lun_add "$tid" 1 "$STATE/$file" "$@" || die "volume $file is exported"
}

# The usual beginning: keyd, a tgtd, and for each NAME a level with a volume NAME.img of 64 MiB as
# target 1, 2, … LUN 1.
stage() { # NAME...
	local tid=0 name
	keyd_ready
	tgtd_ready_or_die
	for name; do
		level_create "$name"
		volume_create "$name" "$name.img" 64M
		export_volume $((++tid)) "$name.img"
	done
}

as_user() { # UID COMMAND...: with no group but the one of the same number
	setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}

# A stranger cannot look into the build folder of somebody else's home; it brings its own copy.
keyadm_as() { # UID ARGUMENTS...
	[ -x "$STATE/bin/keyadm" ] || install -D -m 755 "$BUILD/keyadm" "$STATE/bin/keyadm"
	as_user "$1" timeout 60 "$STATE/bin/keyadm" --admin-socket "$STATE/admin.sock" "${@:2}"
}

# --- load ----------------------------------------------------------------------------------------

declare -A LOAD_PID

load_start() { # NAME URL [stress's options]: in the background, for LOAD_SECONDS; log and state in $STATE
	local name=$1
	shift
	rm -f "$STATE/$name.ops"
	setpriv --pdeathsig KILL "$BUILD/tests/iscsi-io" stress "$@" --seconds "${LOAD_SECONDS:-60}" \
		--log "$STATE/$name.ops" --state "$STATE/$name.state" >"$STATE/$name.report" \
		2>"$STATE/$name.load.log" &
	LOAD_PID[$name]=$!
	wait_for 10 test -s "$STATE/$name.ops" || die "load $name runs"
}

load_stop() { # NAME: 1 when a read returned wrong data
	local pid=${LOAD_PID[$1]}
	kill -TERM "$pid" 2>/dev/null
	wait_for 15 gone "$pid" || kill -KILL "$pid"
	wait "$pid"
}

load_report() { # NAME FIELD: "reads", "slowest_ms", "outcome 07/74/71"; 0 when there is none
	sed -n "s#^$2 ##p" "$STATE/$1.report" | grep . || echo 0
}

load_outcomes() { sed -n 's/^outcome \(.*\) .*/\1/p' "$STATE/$1.report" | sort | xargs; }

# How many commands that started after NS, and of this kind (R, W, F; all: .), had this outcome.
load_count() { # NAME NS KIND OUTCOME-REGEX
	awk -v t="$2" -v kind="$3" -v how="$4" \
		'$1 > t && $4 ~ kind && $6 ~ "^(" how ")$" { n++ } END { print n + 0 }' "$STATE/$1.ops"
}

# --- what tgtd asks of the kernel ----------------------------------------------------------------

# How many of tgtd's writes were RWF_DSYNC while the command ran; "none seen" without any write.
durable_writes() { # COMMAND...
	rm -f "$STATE/trace" "$STATE/strace.err" # an earlier call's would be taken for this one's
	timeout -k 2 60 strace -f -e trace=pwritev2 -p "${TGTD_PID[$TGT]}" -o "$STATE/trace" 2>"$STATE/strace.err" &
	wait_for 10 grep -q attached "$STATE/strace.err"
	"$@" >/dev/null
	wait_for 5 grep -q pwritev2 "$STATE/trace"
	stop_pid $!
	grep -q pwritev2 "$STATE/trace" || { echo none seen && return; }
	grep -c RWF_DSYNC "$STATE/trace"
}

# --- independent decryption ----------------------------------------------------------------------

LUKS_DATA_OFFSET=16777216

hex() { od -An -v -tx1 | tr -d ' \n'; }

# shellcheck disable=SC2001 # for every pair
unhex() { printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"; }

# Decrypts sectors of a volume's file with openssl(1) alone: AES-256-CBC for each, with
# IV = AES-256-ECB(SHA-256(key), sector number in 512-byte units, little-endian, zero-padded).
openssl_sectors() { # FILE KEYFILE LBA BLOCKS BLOCK_BYTES
	local key ivs unit=$(($5 / 512)) i
	key=$(hex <"$2")
	ivs=$(sector_numbers "$3" "$4" "$unit" |
		openssl enc -aes-256-ecb -K "$(openssl dgst -sha256 -binary "$2" | hex)" -nopad | hex)
	for ((i = 0; i < $4; i++)); do
		dd if="$1" bs=512 count="$unit" status=none \
			skip=$((LUKS_DATA_OFFSET / 512 + ($3 + i) * unit)) |
			openssl enc -d -aes-256-cbc -K "$key" -iv "${ivs:i * 32:32}" -nopad
	done
}

sector_numbers() { # LBA BLOCKS UNIT: 16 bytes each
	local i number
	for ((i = 0; i < $2; i++)); do
		printf -v number '%016x' $((($1 + i) * $3))
		unhex "${number:14:2}${number:12:2}${number:10:2}${number:8:2}${number:6:2}${number:4:2}$(
		)${number:2:2}${number:0:2}0000000000000000"
	done
}

# In how many places of a process's memory the bytes of the file are.
bytes_in_memory() { # PID FILE
	python3 - "$1" "$2" <<-'PY'
		import re, sys
		pid, wanted, hits = sys.argv[1], open(sys.argv[2], "rb").read(), 0
		with open(f"/proc/{pid}/mem", "rb", 0) as mem:
		    for line in open(f"/proc/{pid}/maps"):
		        start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
		        start, end = int(start, 16), int(end, 16)
		        if rights[0] != "r" or end - start > 1 << 32 or "[v" in line:
		            continue
		        mem.seek(start)
		        try:
		            hits += mem.read(end - start).count(wanted)
		        except OSError:
		            pass
		print(hits)
	PY
}

words_in_memory() { bytes_in_memory "$1" <(printf %s "$2"); } # PID WORDS

# --- loop devices ----------------------------------------------------------------------------------

# A loop device over FILE, for the caller to take away. Others look for a free one at the same time, and a kernel with much
# to write refuses another sector size for a while, so it is tried again. 1: there are none here.
loop_device() { # FILE [losetup's further options]
	losetup --find >/dev/null 2>&1 && wait_for 5 loop_set_up "$@" && cat "$STATE/loop"
}
loop_set_up() { losetup --find --show "${@:2}" "$1" >"$STATE/loop"; }

# --- The key store -------------------------------------------------------------------------------

# The levels and their states, by name.
states() { keyadm --json level list | python3 -c 'import json, sys
print(*sorted(level["name"] + ":" + level["state"] for level in json.load(sys.stdin)))'; }
class_of() { keyadm --json level show "$1" | sed -n 's/.*"erase_class": *"\([a-z]*\)".*/\1/p'; } # LEVEL: how its key is erased
locked() { keyadm --json status | grep -o '"locked": *[a-z]*' | grep -o '[a-z]*$'; }
# What a change of the root key has put beside the store.
left_over() { find "$STATE/store" -name '.next-*' -o -name '.new-*' -o -name rewrap; }

# --- JSON ----------------------------------------------------------------------------------------

# One line for each Python expression over the document "d".
json() { # FILE EXPRESSION...
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
for expression in sys.argv[2:]: print(eval(expression))' "$@"
}
