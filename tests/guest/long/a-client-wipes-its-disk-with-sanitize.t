#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# sg_sanitize(8) on a kernel's disk: a file system and its data are gone, and the disk takes another one at once.
TEST_LIMIT=${TEST_LIMIT:-600}
# shellcheck source=tests/guest/stage.sh
. "$(dirname "$0")/../stage.sh"
# shellcheck source=tests/sanitize.sh
. "$TESTS/sanitize.sh"

GUEST_LIMIT=150
guest_image_or_skip
stage_sanitizable red
guest_load_tools
guest_boot_or_die
before=$(fingerprint red.img)

ok "the kernel logs in" guest "login $(target_iqn 1) $(guest_portal)"
disk=$(guest "disk $(target_iqn 1)") || die "the guest has the disk"
ok "makes a file system" guest "make_fs ext4 $disk"
ok "and a file in it" guest "mkdir -p /mnt/a && mount $disk /mnt/a && head -c 4000000 /dev/urandom >/mnt/a/file && umount /mnt/a"
ok "sg_sanitize has the LUN's key replaced" guest "sg_sanitize --crypto --quick --wait $disk"
isnt "it is another one" "$(fingerprint red.img)" "$before"
is "there is no file system any more" "$(guest "echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 $disk /mnt/a 2>&1")" \
	"mount: mounting $disk on /mnt/a failed: Invalid argument"
ok "the disk takes another one" guest "make_fs ext4 $disk && mount $disk /mnt/a"
ok "which holds what is written" guest 'head -c 4000000 /dev/urandom >/tmp/file && cp /tmp/file /mnt/a/ && sync'
ok "and reads it" guest 'echo 3 >/proc/sys/vm/drop_caches && cmp /tmp/file /mnt/a/file'
ok "and is whole" guest "umount /mnt/a && check_fs ext4 $disk"
ok "the certificate names the initiator" eval "keyadm certificate show $(uuid_of red.img) | grep -q 'initiator  *iqn'"
ok "the kernel logs out" guest "logout $(target_iqn 1) $(guest_portal)"
guest_log_is_clean "and has nothing to complain of"

done_testing
