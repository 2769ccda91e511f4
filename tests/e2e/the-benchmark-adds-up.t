#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make bench: its arithmetic, one short scenario from the daemons to the report, and nothing left behind.
. "$(dirname "$0")/../lib.sh"

ok "the arithmetic and the reports of known samples are right" python3 -B "$TESTS/bench/test_stats.py"
ok "the scenarios are listed" python3 -B "$TESTS/bench/bench.py" --list
like "each with a line" "$(<"$STATE/out")" '^destroy .* runs .* s '
not_ok "an unknown scenario is refused" python3 -B "$TESTS/bench/bench.py" --only nothing

if [ -n "${TGTD_PRELOAD-}" ]; then
	skip "a run measures" "figures of a sanitizer's build mean nothing"
	done_testing
fi

export TMPDIR=$STATE/tmp
BENCH_TMPFS=$(mktemp -d /dev/shm/tgt-crypt-test.XXXXXX) || die "tmpfs is there"
export BENCH_TMPFS
at_exit "rm -rf '$BENCH_TMPFS'"
mkdir "$TMPDIR"
out=$STATE/report

bench() {
	exec timeout --foreground -k 5 60 python3 -B "$TESTS/bench/bench.py" --build "$BUILD" --out "$out" \
		--quick --rounds 1 --only "$1"
}

left_behind() { # files, and processes that know of our folders
	ls -A "$TMPDIR" "$BENCH_TMPFS"
	pgrep -af "$TMPDIR|$BENCH_TMPFS" | grep -v pgrep
}
nothing=$(left_behind)

ok "a run measures" eval "(bench destroy)"
is "it has a sample and no problem" \
	"$(json "$out/report.json" 'len(d["scenarios"]["destroy"]["samples"])' 'd["scenarios"]["destroy"]["problems"]')" "1
[]"
like "its report tells whether the target was met" "$(<"$out/report.md")" \
	'^\| destroyed and certified, p50 \| <= 50 ms \| [0-9.,]+ ms \| (yes|\*\*no\*\*) \|$'
is "nothing is left behind" "$(left_behind)" "$nothing"

(bench luns) >"$STATE/interrupted.log" 2>&1 &
pid=$!
wait_for 20 grep -q '^\[2/' "$STATE/interrupted.log"
isnt "daemons run in the middle of a run" "$(left_behind)" "$nothing"
kill -INT "$pid"
wait "$pid"
is "an interrupted run says so" $? 130
is "and leaves nothing behind either" "$(left_behind)" "$nothing"
like "but the report of what it had" "$(<"$out/report.md")" 'interrupted$'

done_testing
