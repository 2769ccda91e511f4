#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What the unit and the end-to-end tests reach of bs_crypt/ and keyd/: runs them (SUITES) on the build in BUILD, made with
# COVERAGE=1, and fails below LINES or BRANCHES percent. The report: $BUILD/report.txt, $BUILD/branches.txt, html/.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

BUILD=${BUILD:-build/coverage}
LINES_MIN=${LINES_MIN:-90}
BRANCHES_MIN=${BRANCHES_MIN:-80}
SUITES=${SUITES:-unit e2e}

# What other users' processes count goes into the same files (counts.c).
find "$BUILD" -name '*.gcda' -delete
find "$BUILD" -type d -exec chmod a+rwx {} +

# What cannot be written is not said on a stderr that a test compares. Tests that install take this build as it is.
unset COVERAGE MAKEFLAGS MAKEOVERRIDES MFLAGS
# shellcheck disable=SC2086 # a list
TEST_LIMIT=${TEST_LIMIT:-900} GCOV_ERROR_FILE=/dev/null BUILD=$BUILD bash tests/run-tests.sh $SUITES | tee "$BUILD/tests.log"
tests=$?

# With several threads gcovr 5.2 waits for ever after an error in one. It removes what --output names first, devices, too.
mkdir -p "$BUILD/html"
timeout -k 5 300 gcovr --root . --filter 'bs_crypt/' --filter 'keyd/' --json "$BUILD/coverage.json" \
	--txt "$BUILD/report.txt" --html-details "$BUILD/html/index.html" "$BUILD/pic" "$BUILD/pie" &&
	timeout -k 5 120 gcovr --root . --add-tracefile "$BUILD/coverage.json" --branches --txt "$BUILD/branches.txt" &&
	python3 tests/coverage/folders.py "$BUILD/coverage.json" &&
	timeout -k 5 120 gcovr --root . --add-tracefile "$BUILD/coverage.json" --print-summary --output "$BUILD/summary.txt" \
		--fail-under-line "$LINES_MIN" --fail-under-branch "$BRANCHES_MIN"
covered=$?
tail -n 1 "$BUILD/tests.log"
[ $tests = 0 ] && [ $covered = 0 ]
