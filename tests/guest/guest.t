#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# The product's real client: a Linux kernel's own initiator, in a virtual machine, with an ext4 on a
# LUN of each of two levels. One level is suspended, resumed and destroyed under it.
# shellcheck disable=SC2016,SC2119 # what is in single quotes is for the guest's shell
TEST_LIMIT=${TEST_LIMIT:-150}
# shellcheck source=tests/guest/stage.sh
. "$(dirname "$0")/stage.sh"

NUMBERS=1000000 # lines of the file whose checksum the host knows
guest_image_or_skip

disk_of() { echo "\$(disk ${IQN[$1]})"; } # for the guest to evaluate

checksum() { # NAME FILE: as it is on the disk, and not in the guest's memory
	guest "echo 3 >/proc/sys/vm/drop_caches && sha256sum </mnt/$1/$2"
}

# --- two levels, a LUN each, one guest -----------------------------------------------------------

keyd_ready
tgtd_ready_or_die
declare -A IQN=([doomed]=$(target_iqn 1) [kept]=$(target_iqn 2)) BLOCK=([doomed]=512 [kept]=4096)
tid=0
for name in doomed kept; do
	level_create $name
	volume_create $name $name.img 256M --sector-size "${BLOCK[$name]}"
	export_volume $((++tid)) $name.img --blocksize "${BLOCK[$name]}"
done
PORTAL=$(guest_portal)

guest_boot_or_die

# --- a LUN is a disk like any other --------------------------------------------------------------

guest "seq 1 $NUMBERS >/tmp/numbers" || die "the guest has something to write"
want=$(seq 1 $NUMBERS | sha256sum)
for name in doomed kept; do
	ok "$name: the kernel logs in" guest "login ${IQN[$name]} $PORTAL"
	is "$name: it sees ${BLOCK[$name]}-byte blocks" \
		"$(guest "disk=$(disk_of $name); cat /sys/block/\${disk##*/}/queue/logical_block_size")" \
		"${BLOCK[$name]}"
	ok "$name: it makes an ext4" \
		guest "/sbin/mke2fs -q -t ext4 $(disk_of $name) && mkdir /mnt/$name"
	ok "$name: it mounts it" guest "mount $(disk_of $name) /mnt/$name"
	ok "$name: it writes a file" guest "dd if=/tmp/numbers of=/mnt/$name/numbers bs=64k conv=fsync"
	is "$name: the file's text is not in the volume" \
		"$(grep -a -c -m 1 777777 "$STATE/$name.img")" 0
	ok "$name: it logs out" guest "umount /mnt/$name && logout ${IQN[$name]} $PORTAL"
	ok "$name: it logs in again" guest "login ${IQN[$name]} $PORTAL"
	ok "$name: it mounts it again" guest "mount $(disk_of $name) /mnt/$name"
	is "$name: it reads the same back" "$(checksum $name numbers)" "$want"
done

# --- suspend and resume --------------------------------------------------------------------------

ok "a level is suspended" keyadm level suspend doomed
guest '(dd if=/tmp/numbers of=/mnt/doomed/held bs=64k conv=fsync; echo $? >/tmp/held) 2>/dev/null &'
not_ok "a write to a suspended level waits" guest 'within 4 "[ -s /tmp/held ]"'
ok "the other level does not" guest "dd if=/tmp/numbers of=/mnt/kept/held bs=64k conv=fsync"
ok "the level is resumed" keyadm level resume doomed
since=$SECONDS
is "the write ends well" "$(guest -t 40 'within 30 "[ -s /tmp/held ]"; cat /tmp/held')" 0
diag "it took $((SECONDS - since)) s after the resumption"
is "what it wrote is there" "$(checksum doomed held)" "$want"

# --- destroy, while the guest writes to both levels ----------------------------------------------

guest 'writer doomed & writer kept &'
for name in doomed kept; do
	ok "$name: the guest writes" guest "within 15 '[ \$(cat /tmp/$name.count) -ge 3 ]'"
done
ok "the level is destroyed" keyadm level destroy doomed --yes
since=$SECONDS
ok "the guest's writing ends within 10 seconds" guest 'within 10 "[ -s /tmp/doomed.end ]"'
diag "it took $((SECONDS - since)) s after the destruction"
like "it ends with an I/O error" "$(guest 'cat /tmp/doomed.end')" 'I/O error|Input/output error'
like "reading ends with an I/O error" \
	"$(guest "timeout 10 dd if=$(disk_of doomed) of=/dev/null bs=4k count=1 iflag=direct 2>&1")" \
	'I/O error|Input/output error'
count=$(guest 'cat /tmp/kept.count')
ok "the other level is written to as before" \
	guest "within 10 '[ \$(cat /tmp/kept.count) -ge $((count + 3)) ]'"
is "and never showed an error" \
	"$(guest 'touch /tmp/kept.stop; within 10 "[ -s /tmp/kept.end ]"; cat /tmp/kept.end')" stopped

ok "the guest gets rid of the dead disk" \
	guest "umount /mnt/doomed && logout ${IQN[doomed]} $PORTAL"
ok "it can log in to it again" guest "login ${IQN[doomed]} $PORTAL"
like "but reads nothing from it" \
	"$(guest "timeout 10 dd if=$(disk_of doomed) of=/dev/null bs=4k count=1 iflag=direct 2>&1")" \
	'I/O error|Input/output error'

# --- the end -------------------------------------------------------------------------------------

is "the other level's file is whole" "$(checksum kept numbers)" "$want"
ok "its file system is whole" guest "umount /mnt/kept && /sbin/e2fsck -f -n $(disk_of kept)"
for name in doomed kept; do
	ok "$name: the guest logs out" guest "logout ${IQN[$name]} $PORTAL"
done
ok "the guest powers off" guest_poweroff
unlike "its kernel had no trouble of its own" "$(cat "$STATE/guest-console.log")" \
	'BUG|WARNING|Oops|Call Trace|blocked for more than'

done_testing
