#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# The model of the session and destroy protocol (docs/model) keeps its promises whatever crashes when,
# the planted mistakes break them, and the functions that the model speaks of exist.
TEST_LIMIT=${TEST_LIMIT:-1500}
. "$(dirname "$0")/../lib.sh"

[ -z "${SANITIZE-}" ] || skip_all "nothing of it is built with sanitizers"
model=$TOP/docs/model/destroy.pml
command -v spin >/dev/null || die "spin is installed: make deps"

# NAME|FLAGS OF SPIN|FLAGS OF GCC|OPTIONS OF PAN|…: what they say goes to NAME/out.
verify() {
	local name spin gcc pan
	IFS='|' read -r name spin gcc pan _ <<<"$1"
	mkdir "$STATE/$name" && cd "$STATE/$name" || return
	# shellcheck disable=SC2086 # flags are words
	spin -a $spin "$model" >out 2>&1 &&
		gcc -w -DCOLLAPSE -DMEMLIM=3000 $gcc -o pan pan.c >>out 2>&1 &&
		timeout 800 ./pan -n -m400000 -w24 $pan >>out 2>&1
	echo "exit $?" >>out
	rm -f pan pan.*
}

# RUN WHAT: no error was found, and nothing was left out of the search.
holds() {
	local out
	out=$(<"$STATE/$1/out")
	if grep -q 'errors: 0' <<<"$out" && grep -qx 'exit 0' <<<"$out" && grep -q '^pan: elapsed time' <<<"$out" &&
		! grep -qiE 'max search depth|out of memory|not completed|interrupted|resource limit' <<<"$out"; then
		pass "$2"
		diag "$(sed -nE 's/^ *([0-9]+) states, stored.*/\1 states/p; s/^pan: elapsed time/in/p
			s/^ *([0-9.]+)\ttotal actual memory.*/\1 MB/p' <<<"$out" | paste -sd ' ')"
	else
		fail "$2" "$out"
	fi
}

# MISTAKE PROMISE: spin finds it, and the promise that is broken is this one.
caught() {
	local out
	out=$(<"$STATE/$1/out")
	if grep -q 'errors: 1' <<<"$out" && grep -q "assertion violated.*$2" <<<"$out"; then
		pass "caught: ${1//_/ }"
	else
		fail "caught: ${1//_/ }" "want: $2
$out"
	fi
}

# Lines of FILE FUNCTION for each "function() @ file" in the documents.
claims() {
	perl -ne 'while (/\G(.*?)@ `?([\w\/]+\.c)/g) {
		my ($before, $file) = ($1, $2);
		print "$file $1\n" while $before =~ /(\w+)\(\)/g;
	}' "$@" | sort -u
}

missing=$(claims "$TOP"/docs/model/* | while read -r file function; do
	grep -sqE "^[a-z].*[ *]$function\(" "$TOP/$file" || echo "$file has no $function()"
done)
is "each function that the model names is in the file that it names" "$missing" ""
is "there are many of them" "$(($(claims "$model" | wc -l) > 50))" 1

# Name, flags of spin, flags of gcc, options of pan, promise. The longest first: two run at a time.
read -rd '' runs <<'END'
destroy|-DCLOSES=0|-O2 -DSAFETY||destroying: what is confirmed is wiped for ever, nothing comes back, who did not confirm is named, it completes
ends|-DTGTD_FAULTS=0 -DCLOSES=0|-O2 -DNP|-l|every run comes to an end
restarts|-DKEYD_CRASHES=2 -DLOST_CONNECTIONS=0|-O2 -DSAFETY||the same with two crashes of keyd
closes|-DTGTD_FAULTS=0|-O2 -DSAFETY||the same with LUNs that are closed
three|-DTGTDS=3 -DLOST_CONNECTIONS=0 -DTGTD_FAULTS=0 -DCLOSES=0|-O2 -DSAFETY||the same with three tgtds
suspend|-DSUSPENSIONS=1 -DKEYD_CRASHES=0 -DTGTD_FAULTS=0 -DCLOSES=0|-O2 -DSAFETY||the same after a suspension and a resumption, with a lost connection
suspend-twice|-DSUSPENSIONS=2 -DKEYD_CRASHES=0 -DTGTD_FAULTS=0 -DLOST_CONNECTIONS=0 -DCLOSES=0 -DROOM=2|-O2 -DSAFETY||the same after two suspensions and resumptions
suspend-crash|-DSUSPENSIONS=1 -DLOST_CONNECTIONS=0 -DTGTD_FAULTS=0 -DCLOSES=0|-O2 -DSAFETY||the same after a suspension and a resumption, with a crash of keyd
END

# Mistake, promise that it breaks, flags of spin that are needed to see it.
read -rd '' mistakes <<'END'
key_sent_before_the_holder_is_recorded a_key_outlives_the_confirmation
holders_forgotten_in_a_restart a_key_outlives_the_confirmation
intent_written_after_the_revocation no_way_back -DUNFINISHED_IS_FINE
intent_not_looked_for_in_a_restart certificate
intent_forgets_the_answers a_key_outlives_the_confirmation
intent_removed_before_the_certificate certificate
tombstone_written_last no_way_back -DUNFINISHED_IS_FINE
key_given_while_destroying no_way_back
acknowledged_before_the_wipe a_key_outlives_the_confirmation
timeout_taken_for_an_answer a_key_outlives_the_confirmation
disconnected_not_waited_for a_key_outlives_the_confirmation
reconnected_tgtd_starts_anew a_key_outlives_the_confirmation
serial_of_an_answer_not_compared a_key_outlives_the_confirmation -DSUSPENSIONS=1
late_answer_taken_for_the_last a_key_outlives_the_confirmation -DSUSPENSIONS=2 -DKEYD_CRASHES=0 -DTGTD_FAULTS=0 -DLOST_CONNECTIONS=0 -DCLOSES=0 -DROOM=2
waits_for_ever certificate
END

export -f verify
export STATE model
# shellcheck disable=SC2016 # the inner bash expands it
{
	echo "$runs"
	while read -r mistake _ flags; do
		echo "$mistake|-DMISTAKE_$mistake $flags|-O1 -DSAFETY||"
	done <<<"$mistakes"
} | xargs -P2 -d '\n' -n1 bash -c 'verify "$1"' verify

while IFS='|' read -r run _ _ _ promise; do
	holds "$run" "$promise"
done <<<"${runs%$'\n'}"
while read -r mistake promise _; do
	caught "$mistake" "$promise"
done <<<"${mistakes%$'\n'}"
is "every mistake in the model is planted here" "$(grep -o 'MISTAKE_[a-z_]*' "$model" | sort -u | cut -d_ -f2-)" \
	"$(cut -d' ' -f1 <<<"${mistakes%$'\n'}" | sort)"

done_testing
