#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# libiscsi's conformance tests end as docs/CONFORMANCE.md says, and on no encrypted LUN worse than on a
# plain one of tgt's own rdwr store.
TEST_LIMIT=600
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"
. "$(dirname "$0")/suite.sh"

command -v iscsi-test-cu >/dev/null || skip_all "iscsi-test-cu is not installed"
conformance_stage
ok "there are tests" [ "$(wc -l <"$STATE/tests")" -gt 200 ]
run_columns
for name in $(column_names); do
	is "all ran on $name" "$(cut -d' ' -f1 "$STATE/$name.results")" "$(<"$STATE/tests")"
	diag "$name: $(results_of "$name" passed) passed, $(results_of "$name" failed) failed, $(results_of "$name" skipped) skipped"
done
conformance_page >"$STATE/page"
is "none died on the way" "$(grep died "$STATE/joined")" ""
is "what fails has a reason, and what has one fails" "$(failing_tests)" "$(reasons | awk '{ print $1 }')"
is "nothing fails that passes on rdwr, unless rdwr is wrong" "$(worse_than_rdwr)" "$(reasons | awk '$2 == "!" { print $1 }')"
same "docs/CONFORMANCE.md says so" "$TOP/docs/CONFORMANCE.md" "$STATE/page"
[ $tests_failed = 0 ] || diag "$(diff "$TOP/docs/CONFORMANCE.md" "$STATE/page")"
for name in crypt-512 crypt-thin-4096; do
	is "tgtd is alive and serves $name" "$(read_outcome "${URL[$name]}")" ok
done

done_testing
