#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make bench-guest: tgt-crypt next to what the kernel has for the same job, LIO over dm-crypt, in one
# virtual machine with one client. Prints a table and writes $BUILD/bench/guest.json. See README.md.
#   ROUNDS       of all contestants, at most (default 5; the medians count)
#   CELL_MS      for one contestant, size, direction and depth (default 500)
#   GUEST_ACCEL  qemu's accelerator (default tcg, which every machine has)
#   KEEP_STATE   not empty: keeps the folder with the guest's logs
set -u
LIMIT_S=300
ENOUGH_S=185 # no further round is begun after that
[ -n "${BENCH_GUARD-}" ] || exec env BENCH_GUARD=1 timeout --foreground -k 10 $LIMIT_S bash "$0"
export LC_ALL=C

GUEST=$(dirname "$(realpath "$0")")
BUILD=$(realpath "${BUILD:-build}")
STATE=$(mktemp -d "${TMPDIR:-/tmp}/tgt-crypt-lio.XXXXXX")
# shellcheck source=tests/guest/vm.sh
. "$GUEST/vm.sh"
# shellcheck source=tests/daemons.sh
. "$GUEST/../daemons.sh"

GUEST_ACCEL=${GUEST_ACCEL:-tcg}
IMAGE=$BUILD/guest
ROUNDS=${ROUNDS:-5}
CELL_MS=${CELL_MS:-500}
CONTESTANTS=(lio lio_dmcrypt tgtd tgt_crypt)
SIZES=(4096 65536 1048576)
# From this machine; the plugin is built for exactly the tgt that is installed here.
PROGRAMS=(tgtd tgtadm cryptsetup openssl dd "$BUILD/keyd" "$BUILD/keyadm" "$BUILD/tests/iscsi-io")
PLUGIN=/lib/bs_crypt.so
# What ISCSI_TUNING says, as far as the client, libiscsi, goes along.
LIO_TUNING=(MaxRecvDataSegmentLength=262144 MaxXmitDataSegmentLength=262144
	FirstBurstLength=262144 MaxBurstLength=16776192 InitialR2T=No MaxOutstandingR2T=16)

finish() {
	local status=$?
	trap '' EXIT TERM INT HUP
	guest_kill
	[ -n "${KEEP_STATE-}" ] && echo "state kept in $STATE" >&2 || rm -rf "$STATE"
	exit "$status"
}
trap finish EXIT
trap 'echo "bench-guest: took longer than $LIMIT_S s, or was stopped" >&2; exit 1' TERM INT HUP

fail() {
	echo "bench-guest: $*" >&2
	guest 'tail -n 5 /run/bench/*.log' >/dev/null # into guest-commands.log
	tail -n 20 "$STATE"/guest-*.log >&2
	exit 1
}

# --- the guest -----------------------------------------------------------------------------------

fill_guest() {
	local program
	for program in "${PROGRAMS[@]}"; do
		guest_add "$STATE" "$(command -v "$program")" || return
	done
	guest_add "$STATE" "$BUILD/bs_crypt.so" "$PLUGIN" &&
		install "$GUEST/lio-init.sh" "$STATE/root/"
}

boot() {
	"$GUEST/build-image.sh" "$IMAGE" || fail "there is no guest to boot"
	fill_guest || fail "the guest cannot be filled"
	guest_boot "$IMAGE" "$STATE" -smp 2 -m 2048 ||
		fail "the guest does not boot"
}

must() { # COMMAND: in the guest
	guest -t 60 "$1" >"$STATE/out" || fail "in the guest: $1"
}

serve() {
	must bench_prepare
	must "lio_serve lio /dev/ram0 ${LIO_TUNING[*]}"
	must "dmcrypt_open /dev/ram1 && lio_serve lio_dmcrypt /dev/mapper/crypted ${LIO_TUNING[*]}"
	must "tgtd_start tgtd && tgtd_target tgtd ${ISCSI_TUNING[*]} && lun_add tgtd rdwr /dev/ram2"
	must "keyd_start && volume_make /dev/ram3"
	must "tgtd_start tgt_crypt $PLUGIN && tgtd_target tgt_crypt ${ISCSI_TUNING[*]}"
	must "engine_of_plugin /dev/ram3"
	engine=$(<"$STATE/out")
	must "lun_add tgt_crypt crypt /dev/ram3"
}

# --- measuring -----------------------------------------------------------------------------------

measure_aes() { # key=value lines for the report
	must "cryptsetup benchmark -c aes-cbc -s 256"
	awk '/aes-cbc/ { printf "kernel_encrypt_MB_s=%.1f\nkernel_decrypt_MB_s=%.1f\n",
		$3 * 1.048576, $5 * 1.048576 }' "$STATE/out"
	aes_line openssl_encrypt_MB_s "openssl_speed 65536"
	aes_line openssl_decrypt_MB_s "openssl_speed 65536 -decrypt"
	aes_line openssl_encrypt_512_MB_s "openssl_speed 512"
	aes_line openssl_decrypt_512_MB_s "openssl_speed 512 -decrypt"
	aes_line dmcrypt_write_MB_s "dd_speed if=/dev/zero of=/dev/mapper/crypted oflag=direct"
	aes_line dmcrypt_read_MB_s "dd_speed if=/dev/mapper/crypted of=/dev/null iflag=direct"
}

aes_line() { # NAME COMMAND
	must "$2"
	echo "$1=$(<"$STATE/out")"
}

# Every round starts with another contestant.
measure_cell() { # ROUND SIZE OP DEPTH
	local i name
	for ((i = 0; i < ${#CONTESTANTS[@]}; i++)); do
		name=${CONTESTANTS[(i + $1) % ${#CONTESTANTS[@]}]}
		must "cell $name $2 $3 $4 $CELL_MS"
		echo "$1 $name $2 $3 $4 $(<"$STATE/out")"
	done
}

measure_round() { # ROUND
	local size op depth
	for size in "${SIZES[@]}"; do
		for op in read write; do
			for depth in 32 1; do
				measure_cell "$1" "$size" "$op" "$depth"
			done
		done
	done
}

# --- how much of the machine was ours ------------------------------------------------------------

ticks_busy() { awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }
ticks_of_guest() { sed 's/.*) //' "/proc/$guest_pid/stat" | awk '{ print $12 + $13 }'; }

# Prints which part of this machine's CPUs other processes took meanwhile, in percent.
others_share() { # TICKS-BUSY TICKS-OF-GUEST SECONDS: of when it began
	local all=$(((SECONDS - $3) * $(getconf CLK_TCK) * $(nproc)))
	echo $((100 * ($(ticks_busy) - $1 - $(ticks_of_guest) + $2) / all))
}

measure() {
	local name round since
	for name in "${CONTESTANTS[@]}"; do
		must "fill $name"
	done
	must drivers
	cp "$STATE/out" "$STATE/drivers"
	measure_aes >"$STATE/aes"
	since=("$(ticks_busy)" "$(ticks_of_guest)" $SECONDS)
	for ((round = 0; round < ROUNDS && SECONDS < ENOUGH_S; round++)); do
		echo "round $((round + 1)) begins after $SECONDS s" >&2
		measure_round $round >>"$STATE/rows"
	done
	others=$(others_share "${since[@]}")
}

boot
serve
measure
guest_poweroff || fail "the guest does not power off"
mkdir -p "$BUILD/bench"
python3 "$GUEST/lio-report.py" "$STATE" "$BUILD/bench/guest.json" "accel=$GUEST_ACCEL" \
	"engine=$engine" "cpu_percent_of_others=$others" "seconds=$SECONDS"
