# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# File systems on LUNs, in a virtual machine, under loads that check themselves (load-init.sh). A test sources it after
# setting TEST_LIMIT and NAMES: one LUN for each, with the file system that the name begins with, ext4 or xfs.
#   BLOCK[NAME], LEVEL[NAME]   512 and "data" unless set before loads_stage
#   EXPORT                     tgtadm's further options for the LUNs
#   IQN[NAME], DISK[NAME]      its target, its disk in the guest
#   loads_stage [raw]  keyd, tgtd, the volumes, the guest; PORTAL is the way from it to tgtd. Unless raw, the guest has
#                     logged in and mounted the file systems
#   loads_serve [PORT]         a tgtd with all of them
#   each PROMISE COMMAND [NAME...]
#                     ok when COMMAND succeeds in the guest with each NAME (all), which it calls NAME; and IQN, DISK
#   disks_find [NAME...]       sets DISK after a login
#   load_begin, load_end [NAME...]

# shellcheck source=tests/guest/stage.sh
. "$(dirname "${BASH_SOURCE[0]}")/stage.sh"

GUEST_LIMIT=150
EXPORT=()
declare -A BLOCK LEVEL IQN DISK

loads_serve() {
	local tid=0 name
	tgtd_ready_or_die "$@"
	for name in "${NAMES[@]}"; do
		export_volume $((++tid)) "$name.img" --blocksize "${BLOCK[$name]-512}" "${EXPORT[@]}"
		IQN[$name]=$(target_iqn $tid)
	done
}

loads_stage() {
	local name
	guest_image_or_skip
	keyd_ready
	for name in $(printf '%s\n' "${LEVEL[@]-data}" | sort -u); do
		level_create "$name"
	done
	for name in "${NAMES[@]}"; do # xfs takes no less
		volume_create "${LEVEL[$name]-data}" "$name.img" 320M --sector-size "${BLOCK[$name]-512}"
	done
	loads_serve
	PORTAL=$(guest_portal)
	guest_load_tools
	guest_boot_or_die
	[ $# = 0 ] || return 0
	each "the kernel logs in" "login IQN $PORTAL"
	disks_find
	each "makes its file system" 'make_fs NAME DISK'
	each "mounts it" 'mkdir /mnt/NAME && mount DISK /mnt/NAME'
}

each() {
	local promise=$1 words=$2 name command
	shift 2
	[ $# != 0 ] || set -- "${NAMES[@]}"
	for name; do
		command=${words//NAME/$name}
		command=${command//IQN/${IQN[$name]}}
		ok "$name: $promise" guest "${command//DISK/${DISK[$name]-}}"
		alive "$guest_pid" || die "the guest lives"
	done
}

disks_find() {
	local name
	[ $# != 0 ] || set -- "${NAMES[@]}"
	for name; do
		DISK[$name]=$(guest "disk ${IQN[$name]}") || die "$name: the guest has the disk"
	done
}

load_begin() {
	each "the load begins" 'load NAME' "$@"
	each "it moves data" 'goes_on DISK 100' "$@"
}

load_end() {
	local name
	[ $# != 0 ] || set -- "${NAMES[@]}"
	for name; do
		is "$name: the load ends without an error, all of it verified" "$(guest -t 310 "load_end $name 300")" 0
	done
}
