#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What one initiator can do to stock tgt with its own rdwr by right or nearly right commands, and not to one with
# an encrypted LUN: bs_crypt/guard.h.
TEST_LIMIT=${TEST_LIMIT:-300}
. "$(dirname "$0")/../lib.sh"

does() { # WHAT BSTYPE FILE
	tgtd_ready_or_die
	target_add 1
	tgt --op new --mode logicalunit --tid 1 --lun 1 --backing-store "$STATE/$3" --bstype "$2"
	timeout -k 2 60 python3 "$TESTS/hostile/limits.py" "$1" 127.0.0.1 "${TGTD_PORT[a]}" "$(target_iqn 1)" 2>&1 |
		paste -sd,
	stop_pid "${TGTD_PID[a]}" 0
}

both() { # WHAT RDWR'S-END CRYPT'S-END
	like "$1, rdwr: $2" "$(does "$1" rdwr plain.img 2>/dev/null)" "$2"
	is "$1, crypt: $3" "$(does "$1" crypt l.img 2>/dev/null)" "$3"
}

keyd_ready
level_create l
volume_create l l.img 1G --sparse
truncate -s 1G "$STATE/plain.img"
both mode_sense_without_data "tgtd is dead" ok
both abort_in_the_queue "tgtd is dead" ok
both abort_twice_in_the_queue "tgtd is dead" ok
if [ -z "${TGTD_PRELOAD-}" ]; then
	both a_refusal_with_old_memory "old memory" nothing
else
	skip "a_refusal_with_old_memory, rdwr" "a sanitizer keeps freed memory from being used again"
	is "a_refusal_with_old_memory, crypt: nothing" "$(does a_refusal_with_old_memory crypt l.img 2>/dev/null)" nothing
fi

done_testing
