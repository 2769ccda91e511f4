#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# build-image.sh DIR: puts a bootable guest into DIR (vmlinuz, initrd.cpio), made of Debian's own
# packages: downloaded and unpacked, nothing is installed. Does nothing if DIR is up to date. DIR gets
# busybox, too, which can make another cpio to append to initrd.cpio.
# Exit 0 DIR can be booted; 77 the packages cannot be had (says why); 1 anything else.
set -euo pipefail

DIR=$(realpath -m "${1:?usage: build-image.sh DIR}")
HERE=$(cd "$(dirname "$0")" && pwd)

# What the guest runs, and the packages it and its libraries come from.
PROGRAMS=(sbin/iscsid sbin/iscsiadm sbin/mke2fs sbin/e2fsck)
PACKAGES=(busybox-static open-iscsi e2fsprogs libc6 libopeniscsiusr libisns0 libkmod2 libmount1
	libblkid1 libselinux1 libpcre2-8-0 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1
	liblzma5 libzstd1 libssl3 libext2fs2 libcom-err2 libuuid1)
APT=(-o APT::Sandbox::User=root -o Acquire::Retries=2)
MODULES=(virtio_pci virtio_net virtio_console iscsi_tcp sd_mod) # ext4 is built in
# For the tests in long/.
MODULES+=(virtio_blk xfs crc32c-intel dm-multipath dm-round-robin xts)
# For lio.sh: the kernel's target, its encryption, RAM disks.
MODULES+=(iscsi_target_mod target_core_iblock brd dm-crypt essiv aesni-intel sha256-ssse3
	algif_skcipher)

unavailable() {
	echo "$*"
	exit 77
}

# Prints the kernel package that the meta package stands for, and its version.
find_kernel() {
	local package version
	package=$(apt-cache "${APT[@]}" depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
	[ -n "$package" ] || return 0
	version=$(apt-cache "${APT[@]}" show --no-all-versions "$package" | sed -n 's/^Version: //p')
	echo "$package $version"
}

download() {
	[ -n "$kernel" ] || return 1
	(cd "$work/deb" && apt-get -q "${APT[@]}" download "${kernel% *}" "${PACKAGES[@]}") \
		>>"$work/log" 2>&1
}

# For when the system's lists are missing or old: lists of our own, the system's stay as they are.
update_lists() {
	mkdir -p "$work/lists/partial"
	APT+=(-o Dir::State::Lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
	apt-get -q "${APT[@]}" update >>"$work/log" 2>&1 || return
	kernel=$(find_kernel)
}

unpack_packages() { # into $work/all
	local deb
	mkdir "$work/deb" "$work/all"
	download || { update_lists && download; } ||
		unavailable "no packages for a guest: $(tail -n 1 "$work/log")"
	for deb in "$work"/deb/*.deb; do
		dpkg-deb -x "$deb" "$work/all"
	done
}

# A program with its libraries. The unpacked loader names them, so one that is missing, or that
# only the host has, is found here and not in the guest.
add_program() { # PATH
	local lib all=$work/all root=$work/root dir=lib/x86_64-linux-gnu loader
	loader=$all/$dir/ld-linux-x86-64.so.2
	install -D "$all/$1" "$root/$1"
	while read -r lib; do
		case $lib in
		"$all"/*[[:space:]]* | [!/]*) echo "$lib: name its package in PACKAGES" >&2 && return 1 ;;
		"$all"/*) install -D "$lib" "$root/$dir/${lib##*/}" ;;
		*) echo "$1 uses the host's $lib: name its package in PACKAGES" >&2 && return 1 ;;
		esac
	done < <("$loader" --inhibit-cache --library-path "$all/$dir:$all/usr/$dir" \
		--list "$all/$1" 2>&1 | sed '/linux-vdso/d; s/ (0x.*//; s/^.* => \//\//; s/^[[:space:]]*//')
}

# The modules with what they depend on, and a modules.dep for the guest's modprobe.
add_modules() {
	local release name file from to
	release=$(basename "$work"/all/lib/modules/*)
	from=$work/all/lib/modules/$release
	to=$work/root/lib/modules/$release
	"$busybox" depmod -b "$work/all" "$release"
	for name in "${MODULES[@]}"; do
		grep "/$name\.ko:" "$from/modules.dep" >"$work/needed"
		for file in $(tr -d : <"$work/needed"); do
			install -m 644 -D "$from/$file" "$to/$file"
		done
	done
	"$busybox" depmod -b "$work/root" "$release"
}

build() {
	local program
	unpack_packages
	mkdir -p "$work"/root/{bin,dev,proc,sys,run,tmp,mnt,lib64,etc/iscsi}
	install "$busybox" "$work/root/bin/busybox"
	for program in "${PROGRAMS[@]}"; do
		add_program "$program"
	done
	ln -s /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$work/root/lib64/"
	cp "$work/all/etc/iscsi/iscsid.conf" "$work/root/etc/iscsi/"
	add_modules
	install "$HERE/init" "$work/root/init"
	(cd "$work/root" && find . | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null) \
		>"$work/initrd.cpio"
	cp -L "$work"/all/boot/vmlinuz-* "$work/vmlinuz"
	mv "$work/vmlinuz" "$work/initrd.cpio" "$busybox" "$DIR/"
}

mkdir -p "$DIR"
exec 9>"$DIR/lock"
flock 9 # tests run side by side
kernel=$(find_kernel)
recipe=$(cat "$HERE/build-image.sh" "$HERE/init" | sha256sum)
stamp="$kernel $recipe"
# Where the system has no lists, any kernel is as good as can be.
[[ ! -e $DIR/stamp || $(<"$DIR/stamp") != ${kernel:-*}" $recipe" ]] || exit 0

work=$(mktemp -d "$DIR/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
busybox=$work/all/bin/busybox
rm -f "$DIR/stamp"
build
echo "$stamp" >"$DIR/stamp"
