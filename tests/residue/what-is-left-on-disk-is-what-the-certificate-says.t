#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Key stores on several file systems, each in a file of its own that is the raw disk: after a destruction
# it is searched for the sealed keys, and what is found is tried with everything that is left. Where a
# remnant opens, the certificate must say erase class "clear"; "purge" only where none does.
TEST_LIMIT=${TEST_LIMIT:-360}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tpm.sh"
. "$(dirname "$0")/../token.sh"

DISK_SIZE=320M
# What destroying in each custody must be called.
CUSTODIES="file tpm2 pkcs11"
declare -A CLASS=([file]=clear [tpm2]=purge [pkcs11]=purge)
# File systems that overwrite in place: there a single destruction leaves nothing to be found.
declare -A MKFS=([ext4]="-q -F" [xfs]="-q -f" [btrfs]="-q -f") IN_PLACE=([ext4]=1 [xfs]=1)

# Every byte that a key could be in: the whole store, what the TPM has in readable indices, and what a
# software token keeps in its files.
all_that_is_left() {
	local slot
	find "$MOUNT/store" "$STATE/token" -type f -exec cat {} +
	[ -z "$TPM_PID" ] || for slot in $(tpm_slots); do tpm2_nvread "$slot" 2>/dev/null; done
}

# What custody needs beside the store, new.
prepare_file() {
	tpm_stop
	tpm_conf
}
prepare_tpm2() {
	tpm_stop
	rm -rf "$STATE/tpm"
	tpm_start && tpm_conf
}

prepare_pkcs11() {
	tpm_stop
	token_make && token_conf
}
init() { # CUSTODY
	case $1 in
	pkcs11) keyadm init --custody pkcs11 --passphrase-fd 3 3<<<"$PIN" ;;
	*) keyadm init --custody "$1" ;;
	esac
}

MOUNT=$STATE/mount
mkdir "$MOUNT" "$STATE/token"
unmount() { ! mountpoint -q "$MOUNT" || umount "$MOUNT"; }
at_exit unmount
at_exit keyd_stop

disk_make() { # FS
	rm -f "$STATE/disk"
	truncate -s "$DISK_SIZE" "$STATE/disk" || return
	# shellcheck disable=SC2086 # options
	"mkfs.$1" ${MKFS[$1]} "$STATE/disk" && mount -t "$1" -o loop "$STATE/disk" "$MOUNT"
}

keyd_on_disk() {
	mkdir -m 700 "$MOUNT/store"
	setsid setpriv --pdeathsig TERM "$BUILD/keyd" --config "$STATE/keyd.conf" --state "$MOUNT/store" --socket "$STATE/keyd.sock" \
		--admin-socket "$STATE/admin.sock" >>"$STATE/keyd.log" 2>&1 &
	KEYD_PID=$!
	wait_for 10 keyd_answers && alive "$KEYD_PID"
}

remnants() { # NAME-OF-DIR FILE...: how many; what the disk has once nothing of it is in memory alone
	local dir=$STATE/$1
	shift
	sync -f "$MOUNT/store" 2>/dev/null
	rm -rf "$dir"
	"$TESTS/residue/remnants.py" "$STATE/disk" "$dir" "$@"
}

copies() { # a copy of every sealed key that there is now, under a name of its own
	local file
	while IFS= read -r file; do
		cp "$file" "$STATE/sealed/$((++copied)).key"
	done < <(find "$MOUNT/store/levels" -name '*.key')
}

a_life() { # level with volumes; every version of every sealed file is remembered
	rm -rf "$STATE/sealed" && mkdir "$STATE/sealed"
	copied=0
	level_create red
	volume_create red one.img 1M
	volume_create red two.img 1M
	copies
	keyadm level suspend red >/dev/null && copies
	keyadm level resume red >/dev/null && copies
	rm -f "$STATE"/*.img
}

try_remnants() { # NAME-OF-DIR: how many of them open with all that is left
	local remnant opened=0
	all_that_is_left >"$STATE/left"
	for remnant in "$STATE/$1"/*; do
		[ ! -f "$remnant" ] || ! "$BUILD/tests/unseal" "$STATE/left" "$remnant" >/dev/null 2>&1 ||
			opened=$((opened + 1))
	done
	echo $opened
}

on() { # FS CUSTODY
	local name="$1, custody $2" found opened class reason
	ok "$name: a disk" disk_make "$1" || return
	"prepare_$2" || die "custody $2 is there"
	keyd_on_disk || die "keyd starts on $1"
	init "$2" >/dev/null || die "a store is made on $1"
	a_life
	isnt "$name: the search finds sealed keys that are there" "$(remnants before "$STATE"/sealed/*)" 0
	# No bytes open what a token sealed: it does that itself, as long as it has the key.
	if [ "$2" = pkcs11 ]; then
		ok "$name: and they open" keyadm volume key "$STATE/one.img" --out "$STATE/vk"
		rm -f "$STATE/vk"
	else
		isnt "$name: and they open" "$(try_remnants before)" 0
	fi
	ok "$name: destroy" keyadm --json level destroy red --yes
	cp "$STATE/out" "$STATE/certificate"
	keyd_stop
	found=$(remnants found "$STATE"/sealed/*)
	opened=$(try_remnants found)
	mapfile -t said < <(json "$STATE/certificate" 'd["erase_class"]' 'd["erase_class_reason"]')
	class=${said[0]} reason=${said[1]}
	diag "$name: $found remnants, of which $opened open; the certificate says $class"
	is "$name: class" "$class" "${CLASS[$2]}"
	isnt "$name: with its reason" "$reason" ""
	[ -z "${IN_PLACE[$1]-}" ] || is "$name: nothing is found" "$found" 0
	[ "$class" = clear ] || is "$name: nothing that is found opens" "$opened" 0
	ok "$name: the disk goes" umount "$MOUNT"
	[ -z "${IN_PLACE[$1]-}" ] || is "$name: nor afterwards" "$(remnants found "$STATE"/sealed/*)" 0
}

truncate -s 8M "$STATE/probe"
mkfs.ext4 -q -F "$STATE/probe" && mount -t ext4 -o loop "$STATE/probe" "$MOUNT" 2>/dev/null &&
	umount "$MOUNT" || skip_all "this kernel mounts no file system from a file"
for fs in ext4 xfs btrfs; do
	grep -qw "$fs" /proc/filesystems || modprobe -q "$fs" || {
		skip "$fs" "this kernel has none"
		continue
	}
	for custody in $CUSTODIES; do on "$fs" "$custody"; done
done

done_testing
