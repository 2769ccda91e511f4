#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A level with a label, under a kernel with SELinux and an MLS policy (labels.conf): tgtds whose labels dominate it get its
# keys, others do not. All of it runs in a virtual machine, keyd included.
# shellcheck disable=SC2016 # what is in single quotes is for the guest's shell
TEST_LIMIT=${TEST_LIMIT:-200}
# shellcheck source=tests/guest/stage.sh
. "$(dirname "$0")/stage.sh"

[ -z "${TGTD_PRELOAD-}" ] || skip_all "the guest has no sanitizer's libraries"
guest_image_or_skip

# The host's programs with the host's libraries, apart from the guest's own.
add() { # PROGRAM
	local lib
	install -D "$1" "$STATE/root/host/bin/$(basename "$1")"
	for lib in $(ldd "$1" | grep -o '/[^ ]*'); do
		[ -e "$STATE/root/host/lib/${lib##*/}" ] || install -D "$(realpath "$lib")" "$STATE/root/host/lib/${lib##*/}"
	done
}
for program in "$BUILD/keyd" "$BUILD/keyadm" "$BUILD/bs_crypt.so" "$(command -v tgtd)" "$(command -v tgtadm)"; do
	add "$program" || die "$program is put into the guest"
done
checkpolicy -M -U allow -c 31 -o "$STATE/root/policy" "$TESTS/guest/labels.conf" >/dev/null || die "the policy is compiled"
cat >"$STATE/root/keyd.conf" <<-CONF
	[roles]
	security-admin = root
	[levels]
	fetch = root
	[level low]
	fetch = root
	label = system_u:object_r:level_t:s0
	[level secret]
	fetch = root
	label = system_u:object_r:level_t:s2:c1
CONF
mkdir -p "$STATE/root/etc/selinux" # libselinux believes in SELinux only with a configuration
printf 'SELINUX=permissive\nSELINUXTYPE=test\n' >"$STATE/root/etc/selinux/config"
install "$TESTS/guest/labels-init.sh" "$STATE/root/"
guest_boot_or_die -m 2048 -append 'console=ttyS0 quiet panic=-1 security=selinux selinux=1 enforcing=0'

must() { guest -t 60 "$1" >"$STATE/out" || die "in the guest: $1: $(<"$STATE/out")"; } # COMMAND

must 'mount -t selinuxfs selinuxfs /sys/fs/selinux'
must 'cat /policy >/sys/fs/selinux/load'
is "the guest has SELinux with MLS" "$(guest 'cat /sys/fs/selinux/mls; echo')" 1
must 'keyd_start && keyadm init'
for level in low secret open; do
	must "keyadm level create $level && keyadm volume create --level $level --size 1M /run/$level.img"
done

tgtds=0
serves() { # NAME TYPE:RANGE LEVEL WANT
	guest -t 60 "serves $((++tgtds)) system_u:system_r:$2 $3" >"$STATE/out"
	is "$1" "$(<"$STATE/out")" "$4"
}

serves "the same range" tgtd_t:s2:c1 secret yes
is "it was the label that the test meant" "$(guest 'cat /run/label; echo')" system_u:system_r:tgtd_t:s2:c1
serves "a higher one" tgtd_t:s3:c0.c3 secret yes
serves "a range up to it" tgtd_t:s0-s2:c1 secret yes
serves "not a lower sensitivity" tgtd_t:s1:c1 secret no
serves "nor another category" tgtd_t:s2:c2 secret no
serves "nor none" tgtd_t:s3 secret no
serves "nor a type that the policy says nothing of" other_t:s3:c0.c3 secret no
serves "a low level takes all" tgtd_t:s1 low yes
serves "but not another type" other_t:s3 low no
serves "a level without a label asks for none" other_t:s0 open yes
like "denials are in the audit log, with the label" "$(guest 'keyadm --json audit | grep "tgtd_t:s1:c1"')" '"detail":"system_u:system_r:tgtd_t:s1:c1".*"denied"'
must 'echo "[level x]" >>/keyd.conf; echo "label = system_u:object_r:level_t:s9" >>/keyd.conf'
like "a label that the policy does not have stops keyd" \
	"$(guest 'host keyd --config /keyd.conf --state /run/other 2>&1')" "keyd.conf:12: .*s9.* is no SELinux context"

done_testing
