#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Key stores on several file systems, each in a file of its own that is the raw disk: after a destruction
# it is searched for the sealed keys, and what is found is tried with everything that is left. Where a
# remnant opens, the certificate must say erase class "clear"; "purge" only where none does.
. "$(dirname "$0")/../lib.sh"

DISK_SIZE=320M
# How a key store is made with each custody, and what destroying in it must be called. opens_with_CUSTODY
# FILE: a sealed level key opens with what is left of the store in $MOUNT/store.
CUSTODIES="file"
declare -A INIT=([file]="--custody file") CLASS=([file]=clear)
# File systems that overwrite in place: there a single destruction leaves nothing to be found.
declare -A MKFS=([ext4]="-q -F" [xfs]="-q -f" [btrfs]="-q -f") IN_PLACE=([ext4]=1 [xfs]=1)

opens_with_file() {
	"$BUILD/tests/unseal" root "$MOUNT/store/root.key" >"$STATE/root" &&
		"$BUILD/tests/unseal" "$STATE/root" "$1"
}

MOUNT=$STATE/mount
mkdir "$MOUNT"
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
	rm -f "$STATE/store"
	ln -s mount/store "$STATE/store"
	mkdir -m 700 "$MOUNT/store"
	setsid setpriv --pdeathsig TERM "$BUILD/keyd" --state "$MOUNT/store" --socket "$STATE/keyd.sock" \
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

try_remnants() { # NAME-OF-DIR CUSTODY: how many of them open
	local remnant opened=0
	for remnant in "$STATE/$1"/*; do
		[ ! -f "$remnant" ] || ! "opens_with_$2" "$remnant" >/dev/null 2>&1 || opened=$((opened + 1))
	done
	echo $opened
}

on() { # FS CUSTODY
	local name="$1, custody $2" found opened class reason
	ok "$name: a disk" disk_make "$1" || return
	keyd_on_disk || die "keyd starts on $1"
	# shellcheck disable=SC2086 # options
	keyadm init ${INIT[$2]} >/dev/null || die "a store is made on $1"
	a_life
	isnt "$name: the search finds sealed keys that are there" "$(remnants before "$STATE"/sealed/*)" 0
	isnt "$name: and they open" "$(try_remnants before "$2")" 0
	ok "$name: destroy" keyadm --json level destroy red --yes
	cp "$STATE/out" "$STATE/certificate"
	keyd_stop
	found=$(remnants found "$STATE"/sealed/*)
	opened=$(try_remnants found "$2")
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
