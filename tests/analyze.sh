#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# analyze.sh FILE...: gcc -fanalyzer and clang-tidy (.clang-tidy) over each; FLAGS are the compiler's. Ends with
# "N passed, N failed": a file with a finding that is not in the list below has failed.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
. tests/pairs.sh

# FILE|FINDING (regular expressions): why it is none.
KNOWN=(
	# config_set(): gcc loses sight of the pointer that it has just seen stored.
	'keyd/config\.c|leak of .copy.'
	# target_close(): created implies a path, which gcc does not know.
	'keyd/keyadm/keyadm_target\.c|use of NULL where non-null expected'
	# open_at_line_start(): a system call that failed has set errno, which clang does not assume.
	'keyd/records/ledger\.c|Assigned value is garbage or undefined'
	# request_audit_verify(): helper_begin() takes the job over, whose first member is the whole.
	'keyd/admin/admin_records\.c|leak of .v.'
	# enqueue(): gcc loses sight of the record that it has just seen put into the queue.
	'keyd/session\.c|leak of .<unknown>.'
)

is_known() { # LINE
	local known
	for known in "${KNOWN[@]}"; do
		grep -Eq "${known%%|*}:[0-9:]* (warning|error): .*${known#*|}" <<<"$1" && return 0
	done
	return 1
}

analyze() { # FILE: its findings on stdout
	local line
	{
		# shellcheck disable=SC2086 # words of a command line
		gcc $FLAGS -O1 -fanalyzer -c -o /dev/null "$1" 2>&1
		# shellcheck disable=SC2086
		clang-tidy --quiet "$1" -- $FLAGS 2>/dev/null
	} | sed "s#^$PWD/##" >"$WORK/${1//\//_}"
	while read -r line; do
		is_known "$line" || echo "$line"
	done < <(grep -E ': (warning|error):' "$WORK/${1//\//_}") >"$WORK/${1//\//_}.findings"
	if [ -s "$WORK/${1//\//_}.findings" ]; then
		cat "$WORK/${1//\//_}.findings"
		return 1
	fi
}

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
in_pairs analyze "$@"
