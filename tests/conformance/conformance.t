#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# libiscsi's conformance tests on an encrypted LUN and on a plain one of tgt's own rdwr store: each
# test passes, fails or is skipped on both alike. Differences that are meant are in known-differences.
TEST_LIMIT=240
. "$(dirname "$0")/../lib.sh"

FAMILIES='Read6|Read10|Read12|Read16|ReadCapacity10|ReadCapacity16|Write10|Write12|Write16|WriteAtomic16|Verify10|Verify12|Verify16'
FAMILIES+='|WriteVerify10|WriteVerify12|WriteVerify16|CompareAndWrite|OrWrite|WriteSame10|WriteSame16|Mandatory|Prefetch10'
FAMILIES+='|Prefetch16|GetLBAStatus|Inquiry|ModeSense6|NoMedia|ReportSupportedOpcodes|TestUnitReady|Unmap|iSCSIResiduals|iSCSITMF'

# "TEST passed|failed|skipped" for each test of a family. CUnit counts a skipped test as passed, and
# says SKIPPED before it does. A run that dies leaves its last test without a result.
run_family() { # FAMILY URL NAME
	timeout -k 2 60 iscsi-test-cu -d -v -t "$1" "$2" 2>&1 | tee -a "$STATE/$3.said" |
		awk -v family="$1" '
			/^  Test: / { test = $2; skipped = 0 }
			/\[SKIPPED\]/ { skipped = 1 }
			test && /(\.\.\.|^)FAILED/ { print family "." test, "failed"; test = "" }
			test && /(\.\.\.|^)passed/ { print family "." test, skipped ? "skipped" : "passed"; test = "" }
			END { if (test) print family "." test, "died" }'
}

run_all() { # URL NAME
	local family
	sed 's/\.[^.]*$//' "$STATE/tests" | sort -u | while read -r family; do
		run_family "$family" "$@" </dev/null
	done | sort
}

command -v iscsi-test-cu >/dev/null || skip_all "iscsi-test-cu is not installed"
stage level
truncate -s 64M "$STATE/plain.img"
target_add 2
tgt --op new --mode logicalunit --tid 2 --lun 1 --backing-store "$STATE/plain.img" --bstype rdwr ||
	die "a plain LUN is exported"
iscsi-test-cu -l | grep -E "^(SCSI|iSCSI)\.($FAMILIES)\." | sort >"$STATE/tests"
ok "there are tests" [ "$(wc -l <"$STATE/tests")" -gt 100 ]

run_all "$(url 2 1)" rdwr >"$STATE/rdwr" &
plain=$!
run_all "$(url 1 1)" crypt >"$STATE/crypt"
wait $plain
is "all ran on rdwr" "$(cut -d' ' -f1 "$STATE/rdwr")" "$(<"$STATE/tests")"
is "all ran on crypt" "$(cut -d' ' -f1 "$STATE/crypt")" "$(<"$STATE/tests")"
is "none died on the way" "$(cat "$STATE/rdwr" "$STATE/crypt" | grep died)" ""
for result in passed skipped failed; do
	diag "$result: rdwr $(grep -c " $result" "$STATE/rdwr"), crypt $(grep -c " $result" "$STATE/crypt")"
done

# TEST RDWR CRYPT for each test that differs; the list says the same, then why.
join "$STATE/rdwr" "$STATE/crypt" 2>/dev/null | awk '$2 != $3' >"$STATE/differ"
grep -v '^#' "$TESTS/conformance/known-differences" | awk 'NF { print $1, $2, $3 }' >"$STATE/known"
is "no difference that is not known" "$(grep -vxFf "$STATE/known" "$STATE/differ")" ""
is "no known difference that is none any more" "$(grep -vxFf "$STATE/differ" "$STATE/known")" ""
is "nothing fails that passes on rdwr" "$(awk '$2 != "failed" && $3 ~ /failed|died/' "$STATE/differ")" ""
[ $tests_failed = 0 ] || diag "$(grep -E '^  Test|FAILED|^ +[0-9]+\.' "$STATE/crypt.said" | grep -B1 -A3 'FAILED' | uniq | head -n 100)"
is "tgtd is alive and serves" "$(read_outcome "$(url 1 1)")" ok

done_testing
