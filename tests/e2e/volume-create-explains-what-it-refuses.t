#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm volume create: what cannot be is refused in one line, and leaves nothing behind.
. "$(dirname "$0")/../lib.sh"

keyd_start || die "keyd starts"
refused "without a store" 1 "keyadm init" keyadm level create l
ok "init" keyadm init
refused "init twice" 1 "already|exist" keyadm init
level_create l
create() { keyadm volume create --level l "$@"; }
new=$STATE/new.img

refused "a level that does not exist" 1 "nobody" keyadm volume create --level nobody --size 16M "$new"
refused "a folder that does not exist" 1 "no/such" create --size 16M "$STATE/no/such/lun.img"
bad_size() { # SIZE [options]: refused with status 1 or 2 and one line
	local err status
	err=$(create --size "$@" "$new" 2>&1 >/dev/null)
	status=$?
	ok "size $*: exit status" [ $status = 1 -o $status = 2 ]
	like "size $*: a reason" "$err" 'size|multiple|SIZE'
}
for size in 0 -1 16Q abc '' 1000; do bad_size "$size"; done
bad_size 512 --sector-size 4096
bad_size 99999999999999999999
refused "another sector size" 1 'sector' create --size 16M --sector-size 1024 "$new"
refused "an unknown cipher" 1 'cipher' create --size 16M --cipher rot13 "$new"
not_ok "no file is left of all these" test -e "$new"

printf precious >"$STATE/precious"
refused "an existing file" 1 "exist|--force" create --size 16M "$STATE/precious"
is "is not touched" "$(<"$STATE/precious")" precious
ok "a volume is made" create --size 16M "$new"
is "privately" "$(stat -c %a "$new")" 600
is "and fully allocated" "$(($(stat -c '%b * %B' "$new") >= (16 << 20) + LUKS_DATA_OFFSET))" 1
refused "twice at one path" 1 "exist|--force" create --size 16M "$new"
refused "with --force over a volume that is in keyd's records" 1 "." create --force "$new"

truncate -s 100M "$STATE/used.img"
ok "an existing file with --force" create --force "$STATE/used.img"
like "is used whole" "$(keyadm --json volume show "$STATE/used.img")" "$(((100 << 20) - LUKS_DATA_OFFSET))"
is "and keeps its size" "$(stat -c %s "$STATE/used.img")" $((100 << 20))
truncate -s 20M "$STATE/small.img"
refused "more than an existing file holds" 1 "small|fit|larger|room|bytes" create --force --size 16M "$STATE/small.img"
truncate -s 1M "$STATE/tiny.img"
refused "a file smaller than the header" 1 "small|header|room" create --force "$STATE/tiny.img"

ok "a thin volume" create --size 16M --sparse "$STATE/thin.img"
is "has its length, and space for its header" "$(stat -c %s "$STATE/thin.img") $(($(stat -c %b "$STATE/thin.img") < 40000))" "33554432 1"
ok "the other cipher of the table" create --size 16M --cipher aes-xts-plain64 "$STATE/xts.img"
like "is in the header" "$(cryptsetup luksDump "$STATE/xts.img")" 'aes-xts-plain64'

mkdir "$STATE/full"
if mount -t tmpfs -o size=20M tmpfs "$STATE/full" 2>/dev/null; then
	at_exit umount "$STATE/full"
	refused "a full file system" 1 "space" create --size 16M "$STATE/full/lun.img"
	not_ok "keeps no half file" test -e "$STATE/full/lun.img"
	ok "what fits is made" create --size 1M "$STATE/full/lun.img"
else
	skip "a full file system" "mount is not permitted here"
fi
keyadm --json volume list >"$STATE/list"
made=("$STATE/new.img" "$STATE/thin.img" "$STATE/used.img" "$STATE/xts.img")
[ ! -e "$STATE/full/lun.img" ] || made+=("$STATE/full/lun.img")
is "only what was made is on record" "$(json "$STATE/list" '"\n".join(sorted(v["path"] for v in d))')" \
	"$(printf '%s\n' "${made[@]}" | sort)"

for name in '' . .. a/b -x 'a b' "$(printf 'x%.0s' {1..64})" $'new\nline' 'ü'; do
	not_ok "a level cannot be called '$(head -n 1 <<<"$name")'" keyadm level create "$name"
done
ok "a level can have a name of 63 characters" keyadm level create "$(printf 'x%.0s' {1..63})"
refused "a level's name is taken once" 1 "exist" keyadm level create l

for usage in "" "nonsense" "level" "level create" "level create a b" "volume create" "status extra" \
	"--nonsense status" "volume create --level l --size" "audit --nonsense"; do
	# shellcheck disable=SC2086 # words of a command line
	keyadm $usage >"$STATE/usage" 2>&1
	is "keyadm $usage: usage, exit status 2" $? 2
done
ok "keyadm --help" keyadm --help
STATE=$STATE/nowhere refused "no keyd: it says so" 1 "keyd" keyadm status

done_testing
