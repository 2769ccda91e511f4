#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# An export under a passphrase that is split among people: any K of them open it, fewer or others do not, and
# gfcombine(1), which others wrote, puts the same passphrase together.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../backup.sh
. "$TESTS/backup.sh"

shares() { # NUMBER...: the options that give them
	local n
	for n; do echo "--share $STATE/e.share-$n"; done
}

# Takes the level away again, so that the next import has something to do.
forget() {
	there_stop
	rm -r "$OTHER/store/levels/one"
	there_start || die "keyd starts there"
}

# The passphrase, from the shares' numbers, by gfcombine alone.
combined() {
	local n
	for n; do
		unhex "$(cut -d' ' -f5 "$STATE/e.share-$n")" >"$STATE/raw.$(printf %03d "$n")"
	done
	gfcombine -o "$STATE/secret" "$STATE"/raw.* >/dev/null && hex <"$STATE/secret"
	rm -f "$STATE"/raw.*
}

keyd_ready
there_ready
level_create one
volume_create one one.img 1M

for split in 1/3 4/3 2/17 2-3 x; do
	refused "--split $split is refused" 1 "give K/N, such as 3/5" \
		keyadm export --all --out "$STATE/e" --split "$split"
done
refused "with recipients there is nothing to split" 1 "choose one" \
	keyadm export --all --out "$STATE/e" --split 2/3 --recipient "$STATE/none"
touch "$STATE/e.share-3"
refused "a share's file is never overwritten" 1 "share-3 exists" keyadm export --all --out "$STATE/e" --split 2/3
is "and then nothing else is left" "$(cd "$STATE" && echo e e.*)" "e e.share-3"
rm "$STATE/e.share-3"
ok "an export is split" keyadm export --all --out "$STATE/e" --split 3/5
is "into five files that are private" "$(stat -c %a "$STATE"/e.share-* | xargs)" "600 600 600 600 600"
is "of one line each" "$(cat "$STATE"/e.share-* | wc -l)" 5
like "the ledger says so" "$(keyadm ledger)" "passphrase, split 3 of 5"

# shellcheck disable=SC2046,SC2086 # words of a command line
{
	refused "without shares or passphrase it stays shut" 1 "give --passphrase-fd" \
		setsid "$BUILD/keyadm" --admin-socket "$OTHER/admin.sock" import "$STATE/e"
	refused "two of three are too few" 1 "2 shares: 3 of 5 are needed" \
		keyadm_there import "$STATE/e" $(shares 1 4)
	refused "one twice is not two" 1 "there twice" keyadm_there import "$STATE/e" $(shares 1 4 4)
	sed 'h; s/.*\(.\)$/\1/; y/0123456789abcdef/123456789abcdef0/; x; s/.$//; G; s/\n//' \
		"$STATE/e.share-2" >"$STATE/typo" # its last digit
	refused "a typing error is noticed" 1 "typo is no share, or has an error" \
		keyadm_there import "$STATE/e" $(shares 1 4) --share "$STATE/typo"
	keyadm export --all --out "$STATE/f" --split 3/5 >/dev/null
	refused "another export's share does not help" 1 "not all of one export" \
		keyadm_there import "$STATE/e" $(shares 1 4) --share "$STATE/f.share-2"
	refused "nor do all of another's" 1 "shares of exp-.*, and the file is exp-" \
		keyadm_there import "$STATE/f" $(shares 1 2 4)
	is "nothing of this came in" "$(keyadm_there --json level list)" "[]"
	for three in "1 2 3" "5 3 1" "2 4 5" "1 2 3 4 5"; do
		ok "shares $three open it" keyadm_there import "$STATE/e" $(shares $three)
		like "and the level is there" "$(keyadm_there level list)" "one +active"
		forget
	done
}

is "gfcombine puts the same together from any three" "$(combined 1 2 3)" "$(combined 3 4 5)"
words=$(combined 1 3 5)
isnt "and another from two" "$(combined 1 3)" "$words"
ok "it is the passphrase" keyadm_there import "$STATE/e" --passphrase-fd 3 3<<<"$words"
is "which no keyd keeps" "$(words_in_memory "$KEYD_PID" "$words") $(words_in_memory "$OTHER_PID" "$words")" "0 0"

done_testing
