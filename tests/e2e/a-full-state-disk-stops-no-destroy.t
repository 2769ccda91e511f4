#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# On a state disk that is full to the last byte and file, levels and volumes are suspended, destroyed and zeroized, with
# record and certificate, over a restart of keyd; what is ordinary is refused and does not eat the reserve.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../tpm.sh
. "$TESTS/tpm.sh"

STORE=$STATE/store
# shellcheck disable=SC2016 # evaluated at the end
at_exit '! mountpoint -q "$STORE" || umount -l "$STORE"'

fill() { # bytes first, then files
	mkdir -p "$STORE/filler"
	dd if=/dev/zero of="$STORE/filler/bytes" bs=64k status=none
	dd if=/dev/zero of="$STORE/filler/rest" bs=1 count=65536 status=none
	local i
	for ((i = 0; i < 20000; i++)); do : >"$STORE/filler/$i" || break; done
	not_ok "$disk: nothing can be written" cp /etc/passwd "$STORE/filler/more"
} 2>/dev/null
whole() { [ "$(keyadm --json status >"$STATE/status" && json "$STATE/status" 'd["reserve"]')" = whole ]; }
pieces() { find "$STORE/reserve" -name '[0-9]*' | wc -l; }
certified() { # NAME: with a signature
	cp "$STORE/levels/$1/certificate.json" "$STATE/certificate" && keyadm certificate verify "$STATE/certificate" --key "$STATE/key.pem"
}

try() { # DISK CUSTODY
	disk=$1
	chmod 700 "$STORE"
	tpm_conf
	keyd_start --config "$STATE/keyd.conf" || die "$disk: keyd starts"
	keyadm init --custody "$2" >/dev/null || die "$disk: a store"
	keyadm certificate key >"$STATE/key.pem"
	local level kept
	for level in a b c d; do
		level_create $level
		volume_create $level $level.img 1M
	done
	volume_create a other.img 1M
	ok "$disk: there is a reserve" wait_for 15 whole
	fill
	kept=$(pieces)

	refused "$disk: no level is made" 1 "[Nn]o space" keyadm level create more
	is "$disk: the reserve is for other things" "$(pieces)" "$kept"
	ok "$disk: a level is suspended" keyadm level suspend a
	ok "$disk: a volume is destroyed" keyadm volume destroy "$STATE/other.img" --yes
	ok "$disk: a level is destroyed" keyadm level destroy b --yes
	ok "$disk: its certificate is signed" certified b
	like "$disk: and says that all was erased" "$(<"$STATE/certificate")" '"result":"passed"'
	refused "$disk: still no level is made" 1 "[Nn]o space" keyadm level create more
	like "$disk: status says that the reserve was used" "$(keyadm status)" "^disk reserve +not whole"
	keyd_stop
	keyd_start --config "$STATE/keyd.conf" || die "$disk: keyd starts on a full disk"
	ok "$disk: another one is destroyed after a restart" keyadm level destroy c --yes
	ok "$disk: with a certificate" certified c
	refused "$disk: a restart changes nothing for what is ordinary" 1 "[Nn]o space" keyadm level create more
	rm -r "$STORE/filler"
	ok "$disk: with room, the reserve is made again" wait_for 30 whole
	ok "$disk: and a level" keyadm level create more
	ok "$disk: the audit log is whole" keyadm audit --verify
	like "$disk: and has what was done on the full disk" "$(keyadm --json audit | tr '\n' ' ')" \
		'"event":"level-suspend".*"volume-destroyed".*"event":"level-destroyed"[^}]*"subject":"b"[^}]*"result":"ok"'
	wait_for 15 whole
	fill
	ok "$disk: everything is zeroized" keyadm zeroize --all --yes
	like "$disk: with a signed certificate" "$(<"$STORE/zeroized")" '"result":"passed".*"signature":'
	keyd_stop
	umount "$STORE" || die "$disk: the disk goes"
	rm -f "$STATE"/*.img
}

mkdir "$STORE"
mount -t tmpfs -o size=16m,nr_inodes=300 tmpfs "$STORE" 2>/dev/null || skip_all "mount is not permitted here"
try tmpfs file
if truncate -s 24M "$STATE/disk" && mkfs.ext4 -q -F -N 512 "$STATE/disk" && mount -o loop "$STATE/disk" "$STORE" 2>/dev/null; then
	try ext4 file
else
	skip "ext4" "this kernel mounts no file system from a file"
fi
mount -t tmpfs -o size=16m,nr_inodes=300 tmpfs "$STORE"
tpm_start || die "a TPM starts"
try "tmpfs, TPM" tpm2

done_testing
