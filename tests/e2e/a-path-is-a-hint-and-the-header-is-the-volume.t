#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm volume ... PATH means the volume whose header lies at PATH now. Where that is not the one that keyd has recorded
# there, nothing is done, and both UUIDs are named.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../backup.sh"

keyd_ready
level_create l
for name in a b c d; do volume_create l $name.img 1M; done
uuid() { cryptsetup luksUUID "$STATE/$1"; }
a=$(uuid a.img) b=$(uuid b.img) c=$(uuid c.img) d=$(uuid d.img)
state() { keyadm --json volume show "$1" | sed 's/.*"state":"\([^"]*\)".*/\1/'; }
path() { keyadm --json volume show "$1" | sed 's/.*"path":"\([^"]*\)".*/\1/'; }
named() { keyadm --json volume show "$1" 2>&1 | sed 's/.*"uuid":"\([^"]*\)".*/\1/'; }

# --- renamed ---------------------------------------------------------------------------------------

mv "$STATE/a.img" "$STATE/x" && mv "$STATE/b.img" "$STATE/a.img" && mv "$STATE/x" "$STATE/b.img"
both="$b.*$a.*(UUID|relocate)"
for command in "show %" "key % --out $STATE/key" "resize % 2M" "destroy % --yes" "destroy % --yes --emergency"; do
	# shellcheck disable=SC2086 # words of a command line
	refused "two images have changed places: volume $command" 1 "$both" keyadm volume ${command/\%/$STATE/a.img}
done
is "nothing was destroyed" "$(state "$a") $(state "$b")" "active active"
not_ok "and no key came out" test -e "$STATE/key"
ok "by UUID all can be done" keyadm volume key "$a" --out "$STATE/key"
ok "the key is that of the UUID" cryptsetup open --test-passphrase --type luks2 --volume-key-file "$STATE/key" --key-size 256 "$STATE/b.img"
ok "relocate takes the volume from the header" keyadm volume relocate "$STATE/a.img"
is "the path names what lies there, although another one is recorded there, too" "$(named "$STATE/a.img")" "$b"
refused "a UUID that does not lie there is not recorded there" 1 "$b, not $a" keyadm volume relocate "$a" "$STATE/a.img"
ok "a UUID that does is" keyadm volume relocate "${a^^}" "$STATE/b.img"
is "each path names its volume" "$(named "$STATE/a.img") $(named "$STATE/b.img")" "$b $a"
like "it is in the audit log" "$(keyadm --json audit)" "\"volume-relocate\".*$a"

# --- moved, linked, copied, gone -------------------------------------------------------------------

mkdir "$STATE/new" && mv "$STATE/c.img" "$STATE/new/c.img"
refused "the image is gone: the UUID is asked for" 1 "No such file.*UUID.*$c" keyadm volume destroy "$STATE/c.img" --yes
is "a moved image is known by its header" "$(named "$STATE/new/c.img")" "$c"
ln -s new/c.img "$STATE/link.img" && ln "$STATE/new/c.img" "$STATE/hard.img"
is "also through links" "$(named "$STATE/link.img") $(named "$STATE/hard.img")" "$c $c"
ok "resize goes by the path that is given" keyadm volume resize "$STATE/new/c.img" 2M
refused "and by the recorded path for a UUID" 1 "c.img: No such file" keyadm volume resize "$c" 3M
cp "$STATE/d.img" "$STATE/copy.img"
refused "a copy does not name the volume" 1 "copy.img and .*/d.img both hold volume $d" keyadm volume destroy "$STATE/copy.img" --yes
is "which lives" "$(state "$d")" active
refused "nor does a FIFO name anything" 1 "UUID|no such volume" keyadm volume show "$(mkfifo "$STATE/fifo" && echo "$STATE/fifo")"
refused "nor an image of no volume of keyd's" 1 "knows no such volume" keyadm volume show "$(
	cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --volume-key-file "$STATE/key" --key-size 256 \
		"$(truncate -s 20M "$STATE/foreign" && echo "$STATE/foreign")" <<<secret >/dev/null 2>&1
	echo "$STATE/foreign")"

# --- damaged ---------------------------------------------------------------------------------------

cp "$STATE/d.img" "$STATE/whole"
dd if=/dev/zero of="$STATE/d.img" bs=4096 count=1 conv=notrunc status=none
is "the second copy of the header names it, too" "$(named "$STATE/d.img")" "$d"
ok "and is read only" cmp -s -n 4096 "$STATE/d.img" /dev/zero
dd if=/dev/zero of="$STATE/d.img" bs=4096 count=8 conv=notrunc status=none
refused "without a header nothing is named" 1 "UUID.*$d" keyadm volume show "$STATE/d.img"
cp "$STATE/whole" "$STATE/d.img"

# --- loop devices ----------------------------------------------------------------------------------

one=$STATE/one two=$STATE/two
truncate -s 20M "$one" "$two"
if loop1=$(losetup -f --show "$one" 2>/dev/null) && loop2=$(losetup -f --show "$two"); then
	at_exit losetup -d "$loop1" "$loop2"
	keyadm volume create --level l --force "$loop1" >/dev/null && keyadm volume create --level l --force "$loop2" >/dev/null ||
		die "volumes on loop devices"
	u1=$(uuid one) u2=$(uuid two)
	is "the file below a loop device is the same volume" "$(named "$one")" "$u1"
	losetup -d "$loop1" "$loop2"
	if losetup "$loop1" "$two" && losetup "$loop2" "$one"; then
		refused "the devices have changed their numbers" 1 "$u2.*$u1" keyadm volume destroy "$loop1" --yes
		is "nothing was destroyed" "$(state "$u1") $(state "$u2")" "active active"
		ok "relocate" keyadm volume relocate "$loop1" && ok "both" keyadm volume relocate "$loop2"
		is "and they are known" "$(named "$loop1") $(named "$loop2")" "$u2 $u1"
	else
		skip "the devices have changed their numbers" "somebody else has taken one"
	fi
else
	skip "loop devices" "there is none to be had here"
fi

# --- what tgtd finds is learned --------------------------------------------------------------------

tgtd_ready_or_die
target_add 1
mv "$STATE/d.img" "$STATE/new/d.img"
ok "a LUN of a moved image" lun_add 1 1 "$STATE/new/d.img"
is "its path is on record now" "$(path "$d")" "$STATE/new/d.img"
like "and in the audit log" "$(keyadm --json audit)" "\"volume-relocate\".*new/d.img"
lun_delete 1 1

# --- equal paths -----------------------------------------------------------------------------------

old=$(uuid a.img) && mv "$STATE/a.img" "$STATE/old.img"
ok "a new volume may lie where an old one was" keyadm volume create --level l --size 1M "$STATE/a.img"
is "both are listed there" "$(keyadm volume list | grep -c " $STATE/a.img\$")" 2
is "the path names the new one" "$(named "$STATE/a.img")" "$(uuid a.img)"
refused "but not over a volume that lives" 1 "holds volume $old.*destroy that volume first" \
	keyadm volume create --level l --force "$STATE/old.img"
there_ready
keyadm_there level create m >/dev/null && mv "$STATE/a.img" "$STATE/here.img"
keyadm_there volume create --level m --size 1M "$STATE/a.img" >/dev/null || die "a volume there"
person alice
keyadm_there export --all --recipient "$STATE/alice.pem" --out "$STATE/export" >/dev/null || die "an export there"
ok "a level of another server with an equal path is imported" keyadm import "$STATE/export" --key "$STATE/alice.key"
is "all three are listed there" "$(keyadm volume list | grep -c " $STATE/a.img\$")" 3
is "the path names the one that lies there" "$(named "$STATE/a.img")" "$(uuid a.img)"

# --- what tgt cannot serve -------------------------------------------------------------------------

# shellcheck disable=SC2016 # they are names
for name in 'a,b' 'a"b' 'a$b' 'a`b' 'a\b' 'a#b' 'a '; do
	refused "no volume at '$name'" 1 "tgt could not serve" keyadm volume create --level l --size 1M "$STATE/$name"
	not_ok "and no file" test -e "$STATE/$name"
done
ln -s here.img "$STATE/here,.img"
refused "nor is such a path recorded" 1 "tgt could not serve" keyadm volume relocate "$STATE/here,.img"

done_testing
