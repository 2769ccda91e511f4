# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Starts, exports from and stops private keyds and tgtds. Source it after setting
#   BUILD   the folder of keyd, keyadm and bs_crypt.so
#   STATE   a folder for everything that the daemons keep: store/, keyd.sock, admin.sock, logs
# Several tgtds are told apart by a short name; functions take it from $TGT ("a" unless set).
# A daemon started here dies with the shell that started it, however that shell ends, and gets no
# Ctrl-C from the terminal: the shell stops daemons in their order.

BUILD=$(realpath "${BUILD:-build}")
TGT=a
declare -A TGTD_PID TGTD_PORT
KEYD_PID=

IQN_PREFIX=iqn.2007-06.example.tgt-crypt
# What TGT.md measures as decisive for writes; both sides of a comparison get the same.
ISCSI_TUNING=(MaxRecvDataSegmentLength=1048576 MaxXmitDataSegmentLength=1048576
	FirstBurstLength=1048576 MaxBurstLength=16776192 InitialR2T=No MaxOutstandingR2T=16)

# --- waiting -------------------------------------------------------------------------------------

# On a busy machine everything takes longer: bounds of waiting are for a quiet one, and so many times as long.
WAIT_FACTOR=${WAIT_FACTOR:-6}

wait_for() { # SECONDS COMMAND...: 0 as soon as the command succeeds
	local deadline=$((SECONDS + $1 * WAIT_FACTOR))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# The same where the time is what is promised.
within() {
	local WAIT_FACTOR=1
	wait_for "$@"
}

alive() { # PID: and not a zombie
	local state
	{ read -r _ _ state _ <"/proc/${1:-0}/stat"; } 2>/dev/null && [ "$state" != Z ]
}

gone() { ! alive "$1"; }

stop_pid() { # PID [SECONDS]: SIGTERM, SIGKILL as the last resort; 1 when that was needed
	[ -n "$1" ] && alive "$1" || return 0
	kill -TERM "$1" 2>/dev/null
	kill -CONT "$1" 2>/dev/null
	wait_for "${2:-5}" gone "$1" && wait "$1" 2>/dev/null
	alive "$1" || return 0
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 1
}

kill_pid() { # PID: as a crash would
	kill -KILL "$1" && wait "$1" 2>/dev/null
	wait_for 5 gone "$1"
}

# --- keyd ----------------------------------------------------------------------------------------

keyadm() { timeout -k 2 "${LIMIT:-20}" "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" "$@"; }

keyd_answers() { ! keyadm status 2>&1 | grep -q 'start keyd'; }

keyd_start() { # [keyd's further options]
	setsid setpriv --pdeathsig TERM "$BUILD/keyd" --state "$STATE/store" --socket "$STATE/keyd.sock" \
		--admin-socket "$STATE/admin.sock" "$@" >>"$STATE/keyd.log" 2>&1 &
	KEYD_PID=$!
	wait_for 10 keyd_answers && alive "$KEYD_PID"
}

keyd_stop() {
	local pid=$KEYD_PID
	KEYD_PID=
	stop_pid "$pid"
}

# --- tgtd ----------------------------------------------------------------------------------------

tgt() { # tgtadm for the tgtd called $TGT
	TGT_IPC_SOCKET="$STATE/tgtd-$TGT" timeout -k 2 60 tgtadm --lld iscsi "$@"
}

tgtd_log() { echo "$STATE/tgtd-$TGT.log"; }

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# tgtd lives on, listening elsewhere, when its port is taken: what it has, it says.
tgtd_has_port() {
	[ "$(tgt --op show --mode portal 2>/dev/null)" = "Portal: 127.0.0.1:${TGTD_PORT[$TGT]},1" ]
}

tgtd_answers() { tgt --op show --mode system; }

tgtd_start_at() { # PORT
	local preload=$BUILD/bs_crypt.so
	rm -f "$STATE/tgtd-$TGT".[0-9]*
	# $TGTD_PRELOAD: what has to come before the plugin, such as a sanitizer's runtime; $TGTD_PROGRAM: another build
	setsid setpriv --pdeathsig KILL env TGT_IPC_SOCKET="$STATE/tgtd-$TGT" \
		KEYD_SOCKET="${KEYD_SOCKET-$STATE/keyd.sock}" \
		LD_PRELOAD="${TGTD_PRELOAD:+$TGTD_PRELOAD }$preload" \
		"${TGTD_PROGRAM:-tgtd}" -f -C 0 --iscsi "portal=127.0.0.1:$1" >>"$(tgtd_log)" 2>&1 &
	TGTD_PID[$TGT]=$!
	TGTD_PORT[$TGT]=$1
}

tgtd_ready() {
	local i
	for ((i = 0; i < 200; i++)); do
		alive "${TGTD_PID[$TGT]}" || return 1
		if tgtd_answers >/dev/null 2>&1; then
			tgtd_has_port
			return
		fi
		sleep 0.05
	done
	return 1
}

tgtd_start() { # [PORT]: on a free port of the loopback unless one is given
	local i
	for ((i = 0; i < 20; i++)); do
		tgtd_start_at "${1:-$((20000 + RANDOM % 12000))}"
		tgtd_ready && return 0
		stop_pid "${TGTD_PID[$TGT]}" 0
	done
	return 1
}

target_ids() { tgt --op show --mode target 2>/dev/null | sed -n 's/^Target \([0-9]*\):.*/\1/p'; }

lun_ids() { # TID
	tgt --op show --mode target 2>/dev/null |
		sed -n "/^Target $1:/,/^Target /s/^ *LUN: \([1-9][0-9]*\)/\1/p"
}

# Logical units and targets first, then tgtd ends when it is told to. SIGTERM does not end it.
tgtd_stop() {
	local tid lun pid=${TGTD_PID[$TGT]-}
	unset "TGTD_PID[$TGT]"
	[ -n "$pid" ] && alive "$pid" || return 0
	kill -CONT "$pid"
	for tid in $(target_ids); do
		for lun in $(lun_ids "$tid"); do
			tgt --op delete --mode logicalunit --tid "$tid" --lun "$lun"
		done
		tgt --op delete --mode target --tid "$tid" --force
	done >/dev/null 2>&1
	tgt --op delete --mode system >/dev/null 2>&1
	wait_for 5 gone "$pid"
	stop_pid "$pid" 1
}

# --- targets and LUNs ----------------------------------------------------------------------------

target_iqn() { echo "$IQN_PREFIX:t$1"; }

target_add() { # TID [IQN]: open to everybody, tuned
	local setting
	tgt --op new --mode target --tid "$1" --targetname "${2:-$(target_iqn "$1")}" || return
	for setting in "${ISCSI_TUNING[@]}"; do
		tgt --op update --mode target --tid "$1" --name "${setting%=*}" \
			--value "${setting#*=}" || return
	done
	tgt --op bind --mode target --tid "$1" --initiator-address ALL
}

lun_add() { # TID LUN PATH [tgtadm's further options, such as --bsopts]
	local tid=$1 lun=$2 path=$3
	shift 3
	tgt --op new --mode logicalunit --tid "$tid" --lun "$lun" --backing-store "$path" \
		--bstype crypt "$@"
}

lun_delete() { # TID LUN
	tgt --op delete --mode logicalunit --tid "$1" --lun "$2"
}

url() { # TID LUN
	echo "iscsi://127.0.0.1:${TGTD_PORT[$TGT]}/$(target_iqn "$1")/$2"
}
