# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# All of libiscsi's conformance tests, on tgt's own rdwr store and on encrypted LUNs, thick and thin, for
# both block sizes, and the page that tells the results. Source lib.sh and cdb.sh first.

# NAME BLOCK-BYTES STORE THIN: the columns of the page. rdwr has a tgtd of its own.
COLUMNS_TABLE='rdwr-512 512 rdwr 0
rdwr-4096 4096 rdwr 0
rdwr-thin-512 512 rdwr 1
rdwr-thin-4096 4096 rdwr 1
crypt-512 512 crypt 0
crypt-4096 4096 crypt 0
crypt-thin-512 512 crypt 1
crypt-thin-4096 4096 crypt 1'

column_names() { cut -d' ' -f1 <<<"$COLUMNS_TABLE"; }

export_plain() { # TID BLOCK-BYTES THIN
	truncate -s 64M "$STATE/plain-$1.img"
	target_add "$1" && tgt --op new --mode logicalunit --tid "$1" --lun 1 --bstype rdwr \
		--backing-store "$STATE/plain-$1.img" --blocksize "$2" &&
		tgt --op update --mode logicalunit --tid "$1" --lun 1 --params "thin_provisioning=$3" ||
		die "a plain LUN is exported"
}

export_crypt() { # TID BLOCK-BYTES THIN
	local discard=off
	[ "$3" = 0 ] || discard=on
	volume_create level "volume-$1.img" 64M --sector-size "$2"
	export_volume "$1" "volume-$1.img" --blocksize "$2" --bsopts "discard=$discard"
}

# The daemons and a LUN for each column; URL[NAME] is where.
declare -A URL
conformance_stage() {
	local tid=0 name bytes store thin TGT
	keyd_ready
	level_create level
	for TGT in rdwr crypt; do tgtd_ready_or_die; done
	while read -r name bytes store thin; do
		TGT=$store
		tid=$((tid + 1))
		[ "$store" = rdwr ] && export_plain $tid "$bytes" "$thin" || export_crypt $tid "$bytes" "$thin"
		URL[$name]=$(url $tid 1)
	done <<<"$COLUMNS_TABLE"
	iscsi-test-cu -l | grep -E '^i?SCSI\.[^.]+\.' | sort -u >"$STATE/tests"
}

# "TEST passed|failed|skipped" for each test of a family. CUnit counts a skipped test as passed, and
# says SKIPPED before it does. A run that dies leaves its last test without a result. Both paths that the
# multipath tests want lead to the same portal.
run_family() { # FAMILY|TEST NAME
	timeout -k 2 60 iscsi-test-cu -d -v -t "$1" "${URL[$2]}" "${URL[$2]}" 2>&1 | tee -a "$STATE/$2.said" |
		awk -v family="$(cut -d. -f1,2 <<<"$1")" '
			/^  Test: / { test = $2; skipped = 0 }
			/\[SKIPPED\]/ { skipped = 1 }
			test && /(\.\.\.|^)FAILED/ { print family "." test, "failed"; test = "" }
			test && /(\.\.\.|^)passed/ { print family "." test, skipped ? "skipped" : "passed"; test = "" }
			END { if (test) print family "." test, "died" }'
}

# One after the other, but for those of a family whose outcome depends on what the one before left.
families() { sed '/MultipathIO/!s/\.[^.]*$//' "$STATE/tests" | sort -u; }

run_column() { # NAME: into $STATE/NAME.results
	local family
	families | while read -r family; do
		zeros $((2 << 20)) | io write "${URL[$1]}" 0 # as on a disk that was never written
		run_family "$family" "$1" </dev/null
	done | sort >"$STATE/$1.results"
}

# Four at a time: most of the time they wait for an answer that is not to come.
run_columns() {
	local name running=()
	for name in $(column_names); do
		run_column "$name" &
		running+=($!)
		[ ${#running[@]} -lt 4 ] || { wait "${running[0]}" && running=("${running[@]:1}"); }
	done
	wait "${running[@]}"
}

results_of() { # NAME RESULT: how many
	grep -c " $2\$" "$STATE/$1.results"
}

# TEST and its result in each column.
all_results() {
	local name
	cp "$STATE/tests" "$STATE/joined"
	for name in $(column_names); do
		join "$STATE/joined" "$STATE/$name.results" >"$STATE/joined.next"
		mv "$STATE/joined.next" "$STATE/joined"
	done
	cat "$STATE/joined"
}

failing_tests() { awk '/ (failed|died)/ { print $1 }' "$STATE/joined" | sort; }
reasons() { grep -v '^#' "$TESTS/conformance/reasons" | sort; }

# TEST for each that fails on an encrypted LUN and passes on the rdwr LUN of the same kind.
worse_than_rdwr() {
	awk '{ for (i = 2; i <= 5; i++) if ($i == "passed" && $(i + 4) ~ /failed|died/) { print $1; next } }' "$STATE/joined"
}

markdown_row() { printf '| %s ' "$@" && echo '|'; }

totals_table() {
	local name result
	# shellcheck disable=SC2046
	markdown_row '' $(column_names)
	# shellcheck disable=SC2046
	markdown_row '---' $(column_names | sed 's/.*/---:/')
	for result in passed failed skipped; do
		# shellcheck disable=SC2046
		markdown_row "$result" $(for name in $(column_names); do results_of "$name" $result; done)
	done
}

reasons_table() {
	markdown_row test why
	markdown_row --- ---
	# shellcheck disable=SC2016 # Markdown
	reasons | sed -E 's/^(\S+)\s+!?\s*(.*)$/| `\1` | \2 |/'
}

tests_table() {
	# shellcheck disable=SC2046
	markdown_row test $(column_names)
	# shellcheck disable=SC2046
	markdown_row --- $(column_names | sed 's/.*/:---:/')
	# shellcheck disable=SC2016 # Markdown
	sed 's/ passed/ | ✓/g; s/ failed/ | **✗**/g; s/ died/ | **died**/g; s/ skipped/ | –/g; s/^\(\S*\)\(.*\)/| `\1`\2 |/' "$STATE/joined"
}

conformance_page() {
	all_results >/dev/null
	cat <<-EOF
		# SCSI and iSCSI conformance

		All tests of libiscsi's \`iscsi-test-cu\` (Debian 12's libiscsi-bin, \`-d\`, two initiators, two paths), on plaintext LUNs of tgt's own
		\`rdwr\` store and on encrypted ones, thick and thin (\`thin_provisioning=1\`, \`discard=on\`), with blocks of 512 and 4096 bytes. \`make conformance\`
		writes this page; \`tests/conformance/conformance.t\` runs the tests again and compares. A test that says \`[SKIPPED]\` counts as skipped, although
		CUnit counts it as passed: what it asks for is not there, as a removable medium or protection information.

		$(totals_table)

		## What fails, and why

		$(reasons_table)

		## Every test

		✓ passed, **✗** failed, – skipped.

		$(tests_table)
	EOF
}
