#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A kernel with auditing switched on writes keyd's records into its own log. Auditing belongs to the whole
# machine, so the test takes one of its own.
TEST_LIMIT=${TEST_LIMIT:-200}
# shellcheck source=tests/guest/stage.sh
. "$(dirname "$0")/stage.sh"

[ -z "${TGTD_PRELOAD-}" ] || skip_all "a sanitizer's keyd needs more memory than the guest has"
guest_image_or_skip

ok "keyd and keyadm go into the guest" guest_programs "$BUILD/keyd" "$BUILD/keyadm"
guest_boot_or_die -append 'console=ttyS0 quiet panic=-1 audit=1'

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
