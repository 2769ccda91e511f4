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

refused "a path that is not UTF-8, shown escaped" 1 'x\\xe4.img: the path is not UTF-8' keyadm volume create --level nobody --size 16M "$STATE/x"$'\xe4.img'
refused "one that reads in another direction" 1 'x\\u\{202e\}gmi.live: the path holds .*direction' keyadm volume create --level nobody --size 16M "$STATE/x"$'\xe2\x80\xaegmi.live'
refused "one with a control character of Latin-1" 1 'x\\u\{9b\}2J: the path holds' keyadm volume create --level nobody --size 16M "$STATE/x"$'\xc2\x9b2J'
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


# --- what is in use, whoever uses it -----------------------------------------------------------------

truncate -s 100M "$STATE/busy.img" "$STATE/disk.img"
head -c 1M /dev/urandom >"$STATE/noise" && dd if="$STATE/noise" of="$STATE/busy.img" conv=notrunc status=none
in_use() { # NAME USER-REGEX PATH
	refused "$1" 1 "in use.* $2" create --force "$3"
	ok "it is as it was: $1" cmp -n 1048576 "$STATE/noise" "$STATE/busy.img"
}
sleep 1000 9<>"$STATE/busy.img" &
sleeper=$!
wait_for 10 grep -q sleep /proc/$sleeper/comm
in_use "a file that a process has open" "sleep \(pid $sleeper\)" "$STATE/busy.img"
kill $sleeper
wait $sleeper 2>/dev/null
tgtd_ready_or_die
target_add 1 && lun_add 1 1 "$STATE/busy.img" --bstype rdwr || die "a plaintext LUN is exported"
in_use "the file of a plaintext LUN" "tgtd \(pid ${TGTD_PID[$TGT]}\)" "$STATE/busy.img"
lun_delete 1 1
if loop=$(loop_device "$STATE/busy.img"); then
	at_exit losetup -d "$loop"
	in_use "a file behind a loop device" "loop device $loop" "$STATE/busy.img"
	sleep 1000 9<"$loop" &
	sleeper=$!
	wait_for 10 grep -q sleep /proc/$sleeper/comm
	in_use "a device that a process has open" "sleep \(pid $sleeper\)" "$loop"
	kill $sleeper
	wait $sleeper 2>/dev/null
	losetup -d "$loop"
else
	skip "loop devices" "there is none to be had here"
fi
ok "a file that nobody uses" wait_for 10 create --force "$STATE/busy.img"

# --- where another user could lead root ---------------------------------------------------------------

install -d -m 777 "$STATE/open"
install -d -m 1777 "$STATE/shared"
install -d -o 2004 "$STATE/theirs"
truncate -s 100M "$STATE/victim" "$STATE/open/lun.img"
before=$(stat -c '%y %b' "$STATE/victim")
as_user 2004 ln -s "$STATE/victim" "$STATE/shared/planted.img"
as_user 2004 ln -s "$STATE/full" "$STATE/shared/folder"
refused "a symbolic link that another user made" 1 "symbolic link of uid 2004" create --force "$STATE/shared/planted.img"
refused "also as a directory on the way" 1 "symbolic link of uid 2004" create --size 16M "$STATE/shared/folder/new.img"
refused "a file in a directory that all can change" 1 "other users can replace" create --force "$STATE/open/lun.img"
refused "a new file in another user's directory" 1 "owner uid 2004" create --size 16M "$STATE/theirs/new.img"
refused "a key's new file there" 1 "owner uid 2004" keyadm volume key "$new" --out "$STATE/theirs/key"
refused "a certificate key's, too" 1 "owner uid 2004" keyadm certificate key --out "$STATE/theirs/key"
is "the file that the link named is untouched" "$(stat -c '%y %b' "$STATE/victim")" "$before"
mkfifo "$STATE/fifo"
refused "a pipe is not opened" 1 "neither a file nor" timeout 60 "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" \
	volume create --level l --force "$STATE/fifo"
ln -s "$STATE/victim" "$STATE/shared/mine.img"
ok "the administrator's own link works" create --force "$STATE/shared/mine.img"
ok "and again for the volume's next size" bash -c "truncate -s 116M '$STATE/victim' && '$BUILD/keyadm' --admin-socket '$STATE/admin.sock' volume resize '$STATE/shared/mine.img' max"
ln -sfn "$STATE/victim" "$STATE/shared/mine.img" && chown -h 2004 "$STATE/shared/mine.img"
refused "unless it is another user's by then" 1 "symbolic link of uid 2004" keyadm volume resize "$(cryptsetup luksUUID "$STATE/victim")" max

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
# Copy-on-write would need new space for each write, of which there is none left.
truncate -s 128M "$STATE/btrfs.disk"
mkdir "$STATE/btrfs"
if mkfs.btrfs -q --mixed "$STATE/btrfs.disk" 2>/dev/null && mount -o loop "$STATE/btrfs.disk" "$STATE/btrfs" 2>/dev/null; then
	at_exit umount "$STATE/btrfs"
	ok "a thick volume on btrfs" create --size 32M "$STATE/btrfs/lun.img"
	like "is written in place" "$(lsattr "$STATE/btrfs/lun.img")" "^[^ ]*C"
	head -c 1G /dev/zero >"$STATE/btrfs/rest" 2>/dev/null
	sync -f "$STATE/btrfs"
	ok "all of it can be overwritten on a full disk" dd if=/dev/urandom of="$STATE/btrfs/lun.img" bs=1M seek=16 count=32 conv=notrunc,fsync
	rm "$STATE/btrfs/rest"
	head -c 20M /dev/zero >"$STATE/btrfs/cow.img"
	refused "a file with data that is not" 1 "btrfs would copy" create --force "$STATE/btrfs/cow.img"
	ok "its volume goes" keyadm volume destroy "$STATE/btrfs/lun.img" --yes
else
	skip "a thick volume on btrfs" "btrfs cannot be made or mounted here"
fi
keyadm --json volume list >"$STATE/list"
made=("$STATE/busy.img" "$STATE/new.img" "$STATE/shared/mine.img" "$STATE/thin.img" "$STATE/used.img" "$STATE/xts.img")
[ ! -e "$STATE/full/lun.img" ] || made+=("$STATE/full/lun.img")
is "only what was made is on record" "$(json "$STATE/list" '"\n".join(sorted(v["path"] for v in d if v["state"] == "active"))')" \
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
