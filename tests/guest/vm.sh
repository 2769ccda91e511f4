# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A virtual machine with the kernel's initiator; it sees the host's loopback as 10.0.2.2. GUEST_ACCEL is
# qemu's accelerator; tcg, emulation, unless set: that works everywhere.
#   guest_add DIR FILE [PATH]
#                         puts a program of this machine, with its libraries, into DIR/root, as bin/NAME
#                         unless PATH says otherwise
#   guest_boot IMAGE DIR [qemu's further options]
#                         boots what build-image.sh put into IMAGE, and over it DIR/root, which it takes
#                         away; 0 when it takes commands. DIR gets guest-console.log (its kernel's),
#                         guest-commands.log (all that was said)
#   guest [-t SEC] CMD    runs CMD (one line) there, prints what it prints, returns its status; 124
#                         when there is no answer within SEC (default GUEST_LIMIT, 20): the machine is
#                         then killed
#   guest_poweroff        0 when the machine has gone off by itself
#   guest_kill            for the clean-up; harmless when there is none

guest_add() {
	local lib
	install -D "$2" "$1/root/${3:-bin/${2##*/}}" || return
	ldd "$2" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | while read -r lib; do
		install -D "$lib" "$1/root/lib/x86_64-linux-gnu/${lib##*/}"
	done
}

# The kernel takes several archives in one file; later ones win.
guest_initrd() { # IMAGE DIR: prints the file to boot
	[ -d "$2/root" ] || { echo "$1/initrd.cpio" && return; }
	(cd "$2/root" && find . | "$1/busybox" cpio -o -H newc -R 0:0 2>/dev/null) |
		cat "$1/initrd.cpio" - >"$2/initrd.cpio"
	rm -rf "$2/root"
	echo "$2/initrd.cpio"
}

# A second CPU that never comes: with one alone qemu leaves out the memory barriers between it and the devices' thread,
# and now and then a device waits for ever for what it was told.
guest_boot() {
	local port=$2/guest-port
	guest_log=$2/guest-commands.log
	mkfifo "$port.in" "$port.out"
	exec {guest_in}<>"$port.in" {guest_out}<>"$port.out"
	setpriv --pdeathsig KILL qemu-system-x86_64 -accel "${GUEST_ACCEL:-tcg}" -cpu max -m 1024 -smp 1,maxcpus=2 \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$1/vmlinuz" -initrd "$(guest_initrd "$1" "$2")" -append 'console=ttyS0 quiet panic=-1' \
		-serial "file:$2/guest-console.log" -nic user,model=virtio-net-pci \
		-chardev "pipe,id=port,path=$port" -device virtio-serial-pci \
		-device virtserialport,chardev=port "${@:3}" >"$2/guest-qemu.log" 2>&1 &
	guest_pid=$!
	guest_answer 60
}

guest_answer() { # SECONDS
	local line='' part deadline=$((SECONDS + $1))
	while [ $SECONDS -lt $deadline ] && kill -0 "$guest_pid" 2>/dev/null; do
		IFS= read -r -t 1 -u "$guest_out" part || { line+=$part && continue; }
		line+=$part
		echo "$line" >>"$guest_log"
		case $line in
		'@@ '*) return "${line#@@ }" ;;
		*) printf '%s\n' "$line" ;;
		esac
		line=''
	done
	kill -KILL "$guest_pid" 2>/dev/null # a late answer would be taken for the next command's
	return 124
}

guest() {
	local seconds=${GUEST_LIMIT:-20}
	[ "$1" != -t ] || { seconds=$2 && shift 2; }
	echo "> $1" >>"$guest_log"
	echo "$1" >&"$guest_in"
	guest_answer "$seconds"
}

guest_poweroff() {
	local i
	echo 'poweroff -f' >&"$guest_in"
	for ((i = 0; i < 200; i++)); do
		kill -0 "$guest_pid" 2>/dev/null || break
		sleep 0.1
	done
	guest_kill
}

guest_kill() { # returns how the machine ended
	local status
	[ -n "${guest_pid-}" ] || return 0
	kill -KILL "$guest_pid" 2>/dev/null
	wait "$guest_pid" 2>/dev/null
	status=$?
	guest_pid=
	return "$status"
}
