#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Connections closed and reset at every stage of a command: of a write that was not sent as a whole nothing is on
# the disk. Commands aborted, also those that wait in the LUN's queue: each is answered, and the LUN goes on.
TEST_LIMIT=${TEST_LIMIT:-600}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/bystanders.sh"

hostile_stage 512
hostile_program "dropped connections leave old or new, and nothing of half a write" drops.py drops 3
hostile_program "aborts are answered, and commands, too" drops.py aborts 3
unharmed "afterwards"

done_testing
