#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A kernel with auditing switched on writes keyd's records into its own log. Auditing belongs to the whole
# machine, so the test takes one of its own.
TEST_LIMIT=${TEST_LIMIT:-200}
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/guest/vm.sh
. "$TESTS/guest/vm.sh"

IMAGE=${BUILD%/sanitize*}/guest

command -v qemu-system-x86_64 >/dev/null || skip_all "no qemu-system-x86_64: make deps installs it"
[ -z "${TGTD_PRELOAD-}" ] || skip_all "a sanitizer's keyd needs more memory than the guest has"
reason=$("$TESTS/guest/build-image.sh" "$IMAGE")
case $? in
0) ;;
77) skip_all "$reason" ;;
*) die "the guest's image is built" ;;
esac

add_with_libraries() { # FILE
	local lib
	install -D "$1" "$STATE/root/bin/${1##*/}" || return
	ldd "$1" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | while read -r lib; do
		install -D "$lib" "$STATE/root/lib/x86_64-linux-gnu/${lib##*/}"
	done
}

ok "keyd and keyadm go into the guest" add_with_libraries "$BUILD/keyd"
add_with_libraries "$BUILD/keyadm"
(cd "$STATE/root" && find . | "$IMAGE/busybox" cpio -o -H newc -R 0:0 2>/dev/null) |
	cat "$IMAGE/initrd.cpio" - >"$STATE/initrd.cpio"
# shellcheck disable=SC2016 # evaluated at the end
at_exit '[ $tests_failed = 0 ] || cp "$STATE"/guest-*.log "$IMAGE/"'
at_exit guest_kill
guest_boot "$IMAGE" "$STATE" -initrd "$STATE/initrd.cpio" -append 'console=ttyS0 quiet panic=-1 audit=1' ||
	die "the guest boots"

# Without auditd(8) the kernel prints what it is told, at a limited rate.
guest "echo 0 >/proc/sys/kernel/printk_ratelimit" || die "the kernel prints everything"
K="keyadm --admin-socket /run/admin.sock"
ok "keyd starts there" guest "mkdir -p /run /var/lib && (keyd --state /var/lib/keyd --socket /run/keyd.sock --admin-socket /run/admin.sock --log-level debug >/tmp/keyd.log 2>&1 &) && within 20 '$K status >/dev/null 2>&1'"
ok "a store is made" guest -t 60 "$K init"
ok "a level" guest -t 60 "$K level create secret"
ok "and destroyed" guest -t 60 "$K level destroy secret --yes >/tmp/certificate"
guest "cat /tmp/keyd.log" >"$STATE/guest-keyd.log"
like "its log is there" "$(<"$STATE/guest-keyd.log")" "ready:"
unlike "the kernel takes every record" "$(<"$STATE/guest-keyd.log")" "Linux audit subsystem"
ok "each record is in the kernel's log" guest "within 10 'dmesg | grep -q op=level-destroyed'"
guest "dmesg | grep type=2404" >"$STATE/records" # AUDIT_CRYPTO_KEY_USER
for op in keyd-start init audit-key level-create level-destroy level-destroyed; do
	like "$op" "$(<"$STATE/records")" "audit: type=2404 audit\(.*uid=0 .*op=$op keyd-seq=[0-9]+ req-uid=0 .*res=success"
done
like "with the level" "$(<"$STATE/records")" 'op=level-destroy .*level="secret"'
guest_poweroff
done_testing
