# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception

# FUNCTION ITEM...: the function with each item, two at a time. Ends with "N passed, N failed"; 1 when one has failed,
# or there was none.
in_pairs() {
	local function=$1 passed=0 failed=0 running=() item pid
	shift
	for item; do
		"$function" "$item" &
		running+=($!)
		[ ${#running[@]} -lt 2 ] && [ $((passed + failed + ${#running[@]})) -lt $# ] && continue
		for pid in "${running[@]}"; do
			if wait "$pid"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
		done
		running=()
	done
	echo "$passed passed, $failed failed"
	[ $failed = 0 ] && [ $passed != 0 ]
}
