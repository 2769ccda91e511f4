#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# boot.sh WORK: boots systemd as process 1 of namespaces of its own, over the machine's files (overlayfs, changes in
# memory) and those in WORK/root, as installed by `make install`. It runs WORK/probe in there once, whose output is
# in WORK/said, and ends. Called by the test in a mount, pid, network, IPC and cgroup namespace.
set -e

work=$1
root=$work/machine
mount --make-rprivate /
mkdir -p "$root" "$work/memory"
mount -t tmpfs tmpfs "$work/memory"
mkdir "$work/memory/upper" "$work/memory/work"
mount -t overlay overlay "$root" \
	-o "lowerdir=/,upperdir=$work/memory/upper,workdir=$work/memory/work"
# Nothing of the machine's own starts.
rm -rf "$root"/etc/systemd/system/*.wants
cp -a --no-preserve=ownership "$work/root/." "$root/"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty console; do
	touch "$root/dev/$device"
	[ $device = console ] || mount --bind "/dev/$device" "$root/dev/$device"
done
mount --bind "$(tty)" "$root/dev/console"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"

install -m 755 "$work/probe" "$root/probe"
touch "$root/said"
mount --bind "$work/said" "$root/said"
cat >"$root/etc/systemd/system/probe.service" <<-UNIT
	[Unit]
	DefaultDependencies=no
	After=systemd-sysusers.service
	[Service]
	Type=oneshot
	ExecStart=/probe
	StandardOutput=append:/said
	StandardError=append:/said
	ExecStopPost=/bin/systemctl --no-block exit
UNIT
# Not chroot(2): it keeps user namespaces from being made.
cd "$root"
mkdir old
pivot_root . old
# shellcheck disable=SC2093 # it does end here
exec env -i container=test PATH="$PATH" chroot . /bin/sh -c 'umount -l /old &&
	exec /lib/systemd/systemd --unit=probe.service --log-target=console --log-level=info --show-status=no'
