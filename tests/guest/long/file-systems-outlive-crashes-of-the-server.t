#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A kernel's initiator with an ext4 and an xfs, both under a load that checks itself: it logs out and in, tgtd is
# killed and started again, keyd is, and the level is suspended and resumed. Nothing is lost, no file system notices.
TEST_LIMIT=${TEST_LIMIT:-900}
NAMES=(ext4 xfs)
# shellcheck source=tests/guest/loads.sh
. "$(dirname "$0")/../loads.sh"

BLOCK=([ext4]=512 [xfs]=4096)
loads_stage

# --- a load, logout, login -----------------------------------------------------------------------

load_begin
load_end
each "it unmounts and logs out" "umount /mnt/NAME && logout IQN $PORTAL"
each "logs in again" "login IQN $PORTAL"
disks_find
each "mounts it again" 'mount DISK /mnt/NAME'
each "all that was written is there" 'verify NAME'
not_ok "what was not written would be missed" guest 'verify ext4 9999'

# --- tgtd is killed ------------------------------------------------------------------------------

load_begin
kill_pid "${TGTD_PID[$TGT]}"
each "without a tgtd the load waits" 'stands_still DISK 3 && ! [ -s /tmp/NAME.status ]'
loads_serve "${TGTD_PORT[$TGT]}"
each "with a new one it goes on" 'goes_on DISK 100'
load_end
each "all that was written is there" 'verify NAME'

# --- keyd is killed ------------------------------------------------------------------------------

load_begin
kill_pid "$KEYD_PID"
each "without a keyd the load goes on" 'goes_on DISK 100'
ok "keyd starts again" keyd_start
each "with a new one, too" 'goes_on DISK 100'
load_end

# --- the level is suspended and resumed ----------------------------------------------------------

load_begin
ok "the level is suspended" keyadm level suspend data
each "the load waits" 'stands_still DISK 3 && ! [ -s /tmp/NAME.status ]'
ok "it is resumed" keyadm level resume data
each "the load goes on" 'goes_on DISK 100'
load_end
each "all that was written is there" 'verify NAME'

# --- the end -------------------------------------------------------------------------------------

each "it unmounts" 'umount /mnt/NAME'
each "its file system is whole" 'check_fs NAME DISK'
each "it logs out" "logout IQN $PORTAL"
guest_log_is_clean "its kernel and its file systems had no trouble" \
	'I/O error|EXT4-fs (error|warning)|Aborting journal|XFS .*(error|[Cc]orrupt|[Ss]hut)'
ok "it powers off" guest_poweroff
done_testing
