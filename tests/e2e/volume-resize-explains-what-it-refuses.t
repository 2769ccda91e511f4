#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm volume resize: what cannot be is refused in one line and changes nothing; a crash leaves the volume
# as it was or as it is to be.
. "$(dirname "$0")/../lib.sh"

SEED=${SEED:-$RANDOM}
KILLS=${KILLS:-25}
keyd_ready
level_create l
volume_create l a.img 16M
volume_create l b.img 16M --sector-size 4096
resize() { keyadm volume resize "$@"; }
a=$STATE/a.img
recorded() { keyadm --json volume show "$(cryptsetup luksUUID "$1")" | sed 's/.*"size_bytes":\([0-9]*\).*/\1/'; }
as_it_was() { is "$1: nothing changed" "$(recorded "$a") $(stat -c %s "$a")" "$((16 << 20)) $(((16 << 20) + LUKS_DATA_OFFSET))"; }

# --- what is asked for -----------------------------------------------------------------------------

refused "smaller" 1 "do not shrink" resize "$a" 15M
refused "no number" 1 "such as 10G" resize "$a" big
refused "a difference" 1 "such as 10G" resize "$a" +1M
refused "beyond every bound" 1 "between" resize "$a" 99999999999999999999
refused "part of a sector" 1 "multiple" resize "$a" 17000001
refused "part of a sector of 4096" 1 "multiple" resize "$STATE/b.img" $(((17 << 20) + 512))
refused "larger than file systems can" 1 "allows no file|cannot be allocated|no room" resize "$a" 4000000T
refused "a volume that is none" 1 "No such file.*knows no such volume" resize "$STATE/none.img" 17M
for usage in "" "$a" "$a 17M 18M" "$a 17M --force"; do
	# shellcheck disable=SC2086 # words of a command line
	resize $usage >"$STATE/usage" 2>&1
	is "volume resize $usage: usage, exit status 2" $? 2
done
as_it_was "of all these"
is "nothing of it is in the audit log" "$(grep -c '"volume-resize"' "$STATE/store/audit.log")" 0

# --- who asks --------------------------------------------------------------------------------------

kill_pid "$KEYD_PID"
cat >"$STATE/keyd.conf" <<-CONF
	[roles]
	security-admin = root
	storage-admin = 2002
	auditor = 2003
	[levels]
	fetch = root
CONF
keyd_start --config "$STATE/keyd.conf" || die "keyd starts with a configuration"
uuid=$(cryptsetup luksUUID "$a")
refused "the auditor" 1 "does not have the role" keyadm_as 2003 volume resize "$uuid" 17M
refused "a storage administrator who may not write the file" 1 "a.img: Permission denied" keyadm_as 2002 volume resize "$uuid" 17M
as_it_was "both"
chown 2002 "$STATE/b.img"
ok "one who may" keyadm_as 2002 volume resize "$STATE/b.img" 17M
is "it is larger" "$(recorded "$STATE/b.img")" $((17 << 20))

# --- what is there ---------------------------------------------------------------------------------

exec 8<"$a"
flock 8
refused "while another one changes it" 1 "another keyadm" resize "$a" 17M
exec 8<&-
mv "$a" "$STATE/away"
refused "the file is gone" 1 "No such file" resize "$a" 17M
mkfifo "$a"
refused "something else is there" 1 "no LUKS2 header.*UUID" resize "$a" 17M
refused "also for the UUID" 1 "neither a file nor a block device" resize "$uuid" 17M
rm "$a"
cp "$STATE/b.img" "$a"
refused "another volume's image is there" 1 "a.img holds volume .* but keyd has $uuid" resize "$a" 17M
refused "also for the UUID" 1 "does not hold volume" resize "$uuid" 17M
is "it is not touched" "$(stat -c %s "$a")" $(((17 << 20) + LUKS_DATA_OFFSET))
mv "$STATE/away" "$a"
as_it_was "all these"
keyadm level suspend l >/dev/null
refused "a suspended level" 1 "level resume l" resize "$a" 17M
keyadm level resume l >/dev/null
as_it_was "suspended"

mkdir "$STATE/full"
if mount -t tmpfs -o size=40M tmpfs "$STATE/full" 2>/dev/null; then
	at_exit umount "$STATE/full"
	volume_create l full/c.img 16M
	refused "no space" 1 "no room" resize "$STATE/full/c.img" 30M
	is "the file is as long as before" "$(stat -c %s "$STATE/full/c.img")" $(((16 << 20) + LUKS_DATA_OFFSET))
	is "its space is free again" "$(df --output=avail -B1M "$STATE/full" | tail -n 1 | xargs)" 8
	is "and the record" "$(recorded "$STATE/full/c.img")" $((16 << 20))
	ok "what fits is done" resize "$STATE/full/c.img" 20M
else
	skip "no space" "mount is not permitted here"
fi
truncate -s 100M "$STATE/disk"
if loop=$(loop_device "$STATE/disk"); then
	at_exit losetup -d "$loop"
	ok "a block device becomes a volume" keyadm volume create --level l --size 16M --force "$loop"
	refused "more than it has" 1 "make the device larger" resize "$loop" 90M
	is "what it has is what max is" "$(resize "$loop" max >/dev/null && recorded "$loop")" $(((100 << 20) - LUKS_DATA_OFFSET))
	truncate -s 120M "$STATE/disk" && losetup -c "$loop"
	ok "it became larger" resize "$loop" 104M
else
	skip "a block device" "there is no loop device to be had here"
fi

# --- crashes ---------------------------------------------------------------------------------------

diag "SEED=$SEED KILLS=$KILLS"
RANDOM=$SEED
size=$((17 << 20)) killed=0 wrong=0
ok "to start with" resize "$a" $size
for ((i = 0; i < KILLS; i++)); do
	old=$size size=$((size + (1 << 20)))
	if ((RANDOM % 3)); then
		setpriv --pdeathsig KILL "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" volume resize "$a" $size >/dev/null 2>&1 &
		sleep "0.00$((RANDOM % 9))$((RANDOM % 10))"
		kill -KILL $! 2>/dev/null && killed=$((killed + 1))
		wait $! 2>/dev/null
	else
		keyadm volume resize "$a" $size >/dev/null 2>&1 &
		sleep "0.00$((RANDOM % 9))$((RANDOM % 10))"
		kill_pid "$KEYD_PID" && killed=$((killed + 1))
		wait $! 2>/dev/null
		keyd_start --config "$STATE/keyd.conf" || die "keyd starts after kill $i"
	fi
	now=$(recorded "$a")
	[ "$now" = $old ] || [ "$now" = $size ] || { wrong=$((wrong + 1)) && diag "kill $i: record $now, not $old or $size"; }
	[ "$(stat -c %s "$a")" -ge $((now + LUKS_DATA_OFFSET)) ] || { wrong=$((wrong + 1)) && diag "kill $i: the file is too short"; }
	wait_for 5 resize "$a" $size && [ "$(recorded "$a")" = $size ] || { wrong=$((wrong + 1)) && diag "kill $i: the same command does not end it"; }
done
ok "there were kills" [ $killed -gt 0 ]
is "after each the volume was as before or as it was to be, and the same command ended it" $wrong 0
like "the log is whole" "$(keyadm audit --verify)" "unbroken"
ok "the volume's key is as it was" keyadm volume key "$a" --out "$STATE/key"
ok "and fits the header" cryptsetup open --test-passphrase --type luks2 --volume-key-file "$STATE/key" --key-size 256 "$a"

keyadm volume destroy "$a" --yes >/dev/null
refused "a destroyed volume" 1 "already destroyed" resize "$a" 99M
keyadm level destroy l --yes >/dev/null
refused "a volume of a destroyed level" 1 "destroyed" resize "$STATE/b.img" 99M

done_testing
