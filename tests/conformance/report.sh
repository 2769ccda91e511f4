#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# make conformance: writes docs/CONFORMANCE.md.
TEST_LIMIT=600
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"
. "$(dirname "$0")/suite.sh"

conformance_stage
run_columns
conformance_page >"$STATE/page" && cp "$STATE/page" "$TOP/docs/CONFORMANCE.md"
for test in $(comm -23 <(failing_tests) <(reasons | awk '{ print $1 }')); do
	fail "$test fails without a reason in tests/conformance/reasons"
done
is "docs/CONFORMANCE.md is written" "$(<"$STATE/page")" "$(<"$TOP/docs/CONFORMANCE.md")"
done_testing
