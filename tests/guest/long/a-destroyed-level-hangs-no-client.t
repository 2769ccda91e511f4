#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A level dies under file systems that are written to, and another while their I/O waits, suspended. I/O fails, file
# systems stop, nothing hangs: they are unmounted, the client logs out, and both it and the server go on with the rest.
# shellcheck disable=SC2016 # what is in single quotes is for the guest's shell
TEST_LIMIT=${TEST_LIMIT:-900}
NAMES=(ext4 xfs ext4-waiting xfs-waiting ext4-kept)
# shellcheck source=tests/guest/loads.sh
. "$(dirname "$0")/../loads.sh"

LEVEL=([ext4]=doomed [xfs]=doomed [ext4-waiting]=waiting [xfs-waiting]=waiting [ext4-kept]=kept)
loads_stage
load_begin

dies() { # NAME...: the level that was just destroyed was theirs
	each "its load fails" 'within 100 "[ -s /tmp/NAME.status ]" && [ $(cat /tmp/NAME.status) != 0 ]' "$@"
	each "with an I/O error, or a file system that stopped" \
		'grep -E "I/O error|Input/output error|Read-only file system" /tmp/NAME.fio' "$@"
	each "its file system takes nothing more" '! timeout 20 dd if=/dev/zero of=/mnt/NAME/more bs=4k count=1 conv=fsync' "$@"
	each "reading its disk fails at once" \
		'timeout 20 dd if=DISK of=/dev/null bs=4k count=1 iflag=direct 2>&1 | grep -E "I/O error|Input/output error"' "$@"
	each "it is unmounted" 'timeout 60 umount /mnt/NAME' "$@"
	each "logged out" "logout IQN $PORTAL" "$@"
}

ok "the level is destroyed" keyadm level destroy doomed --yes
dies ext4 xfs
each "the other level is written to as before" 'goes_on DISK 100' ext4-kept

ok "a level is suspended" keyadm level suspend waiting
each "its load waits" 'stands_still DISK 3 && ! [ -s /tmp/NAME.status ]' ext4-waiting xfs-waiting
ok "and destroyed" keyadm level destroy waiting --yes
dies ext4-waiting xfs-waiting
each "the other level is written to as before" 'goes_on DISK 100' ext4-kept

each "the client can log in to what is destroyed" "login IQN $PORTAL" ext4 xfs
each "and is told so" '! timeout 20 mount $(disk IQN) /mnt/NAME' ext4 xfs
each "and log out" "logout IQN $PORTAL" ext4 xfs

like "the kernel tells why ext4 stopped" "$(guest dmesg)" 'EXT4-fs .*(Remounting filesystem read-only|[Aa]borted journal)'
like "and xfs" "$(guest dmesg)" 'XFS .*([Ss]hutting down|shut down)'

# --- both go on ----------------------------------------------------------------------------------

level_create new
volume_create new xfs-new.img 320M
NAMES+=(xfs-new)
export_volume 6 xfs-new.img
IQN[xfs-new]=$(target_iqn 6)
each "a new level's disk" "login IQN $PORTAL" xfs-new
disks_find xfs-new
each "is used as the old one was" 'make_fs NAME DISK && mkdir /mnt/NAME && mount DISK /mnt/NAME' xfs-new
load_begin xfs-new
load_end xfs-new ext4-kept
each "all that was written is there" 'verify NAME' xfs-new ext4-kept
each "it is unmounted" 'umount /mnt/NAME' xfs-new ext4-kept
each "whole" 'check_fs NAME DISK' xfs-new ext4-kept
each "logged out" "logout IQN $PORTAL" xfs-new ext4-kept
guest_log_is_clean "nothing hung in the kernel"
ok "it powers off" guest_poweroff
done_testing
