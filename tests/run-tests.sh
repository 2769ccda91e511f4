#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Runs the named suites (unit, model, e2e, conformance, guest, guest-long, crash, residue, linear,
# fault, powercut, soak, hostile) and ends with one line: N passed, N failed.
# BUILD is the build folder; SANITIZE is what it was built with.
set -u -o pipefail

cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
passed=0 failed=0

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
case ${SANITIZE:-} in
	*address*) TGTD_PRELOAD=$(gcc -print-file-name=libasan.so) ;;
	*thread*) TGTD_PRELOAD=$(gcc -print-file-name=libtsan.so) ;;
	*) TGTD_PRELOAD= ;;
esac
export TGTD_PRELOAD

# Where tgt's own code matters as well, it is built with the sanitizer.
sanitized_tgtd()
{
	[ -z "${SANITIZE:-}" ] || TGTD_PROGRAM=$(bash tests/hostile/build-tgtd.sh "$SANITIZE" "$BUILD/..") || exit 1
	export TGTD_PROGRAM=${TGTD_PROGRAM:-tgtd}
}

run_unit()
{
	local test out
	for test in "$BUILD"/tests/test_*; do
		[ -x "$test" ] || continue
		# Thousands of runs of one thread: the thread sanitizer would find nothing in a quarter of an hour.
		case ${SANITIZE:-}:$test in *thread*:*/test_faults_*) continue ;; esac
		out=$(timeout 600 "$test" 2>&1)
		local rc=$?
		local ok bad
		ok=$(grep -c '^\[       OK \]' <<< "$out")
		bad=$(sed -n 's/^ *\([0-9]*\) FAILED TEST(S).*/\1/p' <<< "$out")
		bad=${bad:-0}
		[ $rc = 0 ] || [ "$bad" != 0 ] || bad=1
		passed=$((passed + ok)) failed=$((failed + bad))
		echo "$(basename "$test"): $ok passed, $bad failed"
		[ "$bad" = 0 ] || echo "$out"
	done
}

# Two files at a time: every test has its own folder, ports and daemons. What they say is seen as they say it.
run_tap()
{
	local dir=$1 jobs=$2 said=$BUILD/said-${1##*/}
	compgen -G "$dir/*.t" > /dev/null || return 0
	prove -j"$jobs" --comments --timer --merge --verbose "$dir"/*.t 2>&1 </dev/null | tee "$said" |
		grep --line-buffered -vE '^ok |^1\.\.'
	local rc=${PIPESTATUS[0]}
	local ok bad
	ok=$(grep -cE '^ok ' "$said")
	bad=$(grep -cE '^not ok ' "$said")
	[ "$rc" = 0 ] || [ "$bad" != 0 ] || bad=1
	passed=$((passed + ok)) failed=$((failed + bad))
}

for suite in "$@"; do
	echo "== $suite"
	case $suite in
		unit) run_unit ;;
		model) run_tap tests/model 1 ;;
		e2e) run_tap tests/e2e 2 ;;
		conformance) run_tap tests/conformance 1 ;;
		guest) run_tap tests/guest 1 ;;
		guest-long) run_tap tests/guest/long 2 ;;
		crash) run_tap tests/crash 2 ;;
		residue) run_tap tests/residue 1 ;;
		linear) run_tap tests/linear 1 ;;
		fault) run_tap tests/fault 1 ;;
		powercut) run_tap tests/powercut 1 ;;
		soak | hostile) sanitized_tgtd && run_tap "tests/$suite" 1 ;;
		*) echo "unknown suite: $suite" >&2; exit 2 ;;
	esac
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
