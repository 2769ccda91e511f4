# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What a test with a virtual machine (vm.sh) begins with.
#   guest_image_or_skip   builds what the machine boots, if it is not there
#   guest_programs NAME|FILE...
#                         programs of this machine that it gets besides
#   guest_load_tools      what the tests in long/ use: programs, and the functions in load-init.sh
#   guest_boot_or_die [qemu's options]
#   guest_log_is_clean PROMISE [REGEX]
#                         its kernel tells of no trouble of its own, nor of what REGEX says
#   guest_portal          prints how it reaches the tgtd called $TGT
# The machine ends with the test. Its logs stay in $IMAGE when that has failed.

# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=tests/guest/vm.sh
. "$TESTS/guest/vm.sh"

IMAGE=${BUILD%/sanitize-*}/guest

guest_image_or_skip() {
	local reason
	command -v qemu-system-x86_64 >/dev/null || skip_all "no qemu-system-x86_64: make deps installs it"
	reason=$("$TESTS/guest/build-image.sh" "$IMAGE")
	case $? in
	0) ;;
	77) skip_all "$reason" ;;
	*) die "the guest's image is built" ;;
	esac
}

guest_programs() {
	local program
	for program; do
		guest_add "$STATE" "$(command -v "$program")" || { echo "no $program: make deps installs it" && return 1; }
	done
}

guest_load_tools() {
	guest_programs fio mkfs.xfs xfs_repair cryptsetup dmsetup cmp blkdiscard fstrim sg_unmap sg_sanitize &&
		install "$TESTS/guest/load-init.sh" "$STATE/root/" || die "the guest gets its programs"
}

guest_boot_or_die() {
	# shellcheck disable=SC2016 # evaluated at the end
	at_exit '[ $tests_failed = 0 ] || cp "$STATE"/guest-*.log "$IMAGE/"'
	at_exit guest_kill
	guest_boot "$IMAGE" "$STATE" "$@" || die "the guest boots"
}

guest_log_is_clean() {
	unlike "$1" "$(guest dmesg)" "BUG|WARNING|Oops|Call Trace|blocked for more than|soft lockup${2:+|$2}"
}

guest_portal() { echo "10.0.2.2:${TGTD_PORT[$TGT]}"; }
