#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A thousand logins one after the other and many at a time, with a logout or without, and connections that send
# what is no iSCSI: tgtd has as many descriptors and as much memory as before, and the others see nothing.
TEST_LIMIT=${TEST_LIMIT:-600}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/bystanders.sh"

hostile_stage 512
hostile_program "a thousand logins leave neither descriptors nor memory" wire.py logins 3 "$pid"
hostile_program "nonsense is cut off, and others log in" wire.py garbage 3
unharmed "afterwards"

done_testing
