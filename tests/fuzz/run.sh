#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# run.sh TARGET...: fuzzes each target for SECONDS_EACH, two at a time, beginning with its corpus. What is found new lies
# in $BUILD/fuzz/corpus/TARGET, what crashes in $BUILD/fuzz/crashes; then the exit status is 1.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/pairs.sh

BUILD=${BUILD:-build}
SECONDS_EACH=${SECONDS_EACH:-40}
# What is lost at the end of the process is not of interest, what an input loses is: libFuzzer looks after that.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
mkdir -p "$BUILD/fuzz/crashes"

fuzz() { # TARGET
	local found=$BUILD/fuzz/corpus/$1 log=$BUILD/fuzz/$1.log words=()
	mkdir -p "$found"
	[ ! -f "tests/fuzz/$1.dict" ] || words=("-dict=tests/fuzz/$1.dict")
	"$BUILD/fuzz/fuzz_$1" -max_total_time="$SECONDS_EACH" -timeout=20 -rss_limit_mb=4096 -max_len=16384 \
		"${words[@]}" -artifact_prefix="$BUILD/fuzz/crashes/$1-" -print_final_stats=1 -verbosity=1 \
		"$found" "tests/fuzz/corpus/$1" >"$log" 2>&1
	local status=$?
	printf '%s: %s inputs tried, %s in the corpus, coverage %s%s\n' "$1" \
		"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$(find "$found" -type f | wc -l)" \
		"$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)" "$([ $status = 0 ] || echo ", FAILED: $log")"
	[ $status = 0 ] || tail -n 40 "$log"
	return $status
}

in_pairs fuzz "$@"
