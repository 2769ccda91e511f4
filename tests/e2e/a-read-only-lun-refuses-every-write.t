#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every command that writes is refused with "write protected" where the LUN, or its volume, is read-only or
# the initiator has set software write protection; what reads is served; MODE SENSE says so.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../cdb.sh"

bs=512
writes() { # NAME CDB [DATA-OUT]
	echo "WRITE_6 $(cdb 0a 00 100 1) $STATE/one"
	echo "WRITE_10 $(cdb 2a 00 100 1) $STATE/one"
	echo "WRITE_12 $(cdb aa 00 100 1) $STATE/one"
	echo "WRITE_16 $(cdb 8a 00 100 1) $STATE/one"
	echo "WRITE_AND_VERIFY_10 $(cdb 2e 00 100 1) $STATE/one"
	echo "WRITE_AND_VERIFY_12 $(cdb ae 00 100 1) $STATE/one"
	echo "WRITE_AND_VERIFY_16 $(cdb 8e 00 100 1) $STATE/one"
	echo "WRITE_SAME_10 $(cdb 41 00 100 4) $STATE/one"
	echo "WRITE_SAME_16 $(cdb 93 00 100 4) $STATE/one"
	echo "WRITE_SAME_16_UNMAP $(cdb 93 08 100 4) $STATE/zero"
	echo "WRITE_SAME_16_NDOB $(cdb 93 01 100 4)"
	echo "COMPARE_AND_WRITE $(cdb 89 00 100 1) $STATE/twice"
	echo "ORWRITE $(cdb 8b 00 100 1) $STATE/one"
	echo "UNMAP $(unmap_cdb 24) $STATE/list"
}
reads() {
	echo "READ_10 $(cdb 28 00 100 1)"
	echo "VERIFY_16 $(cdb 8f 00 100 1)"
	echo "PRE_FETCH_10 $(cdb 34 00 100 1)"
	echo "PRE_FETCH_16 $(cdb 90 00 100 1)"
	echo "SYNCHRONIZE_CACHE_10 $(cdb 35 00 0 0)"
	echo "GET_LBA_STATUS 9e120000000000000000000000000000"
	echo "READ_CAPACITY_10 25000000000000000000"
	echo "TEST_UNIT_READY 000000000000"
}
outcomes() { # NAME OUTCOME for each line of writes or reads
	local name hex file
	while read -r name hex file; do
		echo "$name $(answer "$hex" ${file:+--out "$file"})"
	done
}
all() { "$1" | sed "s# .*# $2#"; } # LIST OUTCOME
protected_bit() { send 1a0808002400 --in 36 | sed -n 's/^data ....\(..\).*/\1/p'; } # of MODE SENSE (6)'s header

protects() { # WHY
	is "$1: every write is refused" "$(writes | outcomes)" "$(all writes 07/27/00)"
	is "$1: everything else is served" "$(reads | outcomes)" "$(all reads ok)"
	is "$1: MODE SENSE says so" "$(protected_bit)" 90
	data_is "$1: nothing was written" 100 4 "$STATE/before"
}

keyd_ready
tgtd_ready_or_die
level_create level
volume_create level lun.img 64M
export_volume 1 lun.img --bsopts discard=on
u=$(url 1 1)
random_file "$STATE/before" $((4 * bs))
random_file "$STATE/one" $bs
zeros $bs >"$STATE/zero"
head -c $bs "$STATE/before" | cat - "$STATE/one" >"$STATE/twice"
unmap_list 100 4
io write "$u" 100 <"$STATE/before"
is "a LUN is not write-protected" "$(protected_bit)" 10

set_lun() { tgt --op update --mode logicalunit --tid 1 --lun 1 --params "$1"; }
set_lun readonly=1
protects "a read-only LUN"
set_lun readonly=0
is "and a writable one again" "$(answer "$(cdb 2a 00 200 1)" --out "$STATE/one")" ok

# The control mode page as MODE SENSE (6) gives it, but for SWP (bit 3 of byte 4)
control=$(send 1a080a001000 --in 16 | sed -n 's/^data //p')
set_swp() { # 8 or 0: MODE SELECT (6)
	unhex "00000000${control:8:8}$(beX 1 $(((16#${control:16:2} & ~8) | $1)))${control:18}" >"$STATE/swp"
	answer "151000001000" --out "$STATE/swp"
}
is "an initiator sets software write protection" "$(set_swp 8)" ok
protects "SWP"
is "and takes it away" "$(set_swp 0)" ok
is "the LUN is writable again" "$(answer "$(cdb 2a 00 200 1)" --out "$STATE/one")" ok

mkdir "$STATE/ro"
lun_delete 1 1
if mount --bind "$STATE" "$STATE/ro" && mount -o remount,ro,bind "$STATE/ro"; then
	at_exit umount "$STATE/ro"
	ok "a volume on a read-only file system is served" lun_add 1 1 "$STATE/ro/lun.img" --bsopts discard=on
	protects "its LUN"
	not_ok "and cannot be made writable" set_lun readonly=0
	is "which would do nothing" "$(answer "$(cdb 2a 00 200 1)" --out "$STATE/one")" 07/27/00
	set_lun online=0
	ok "its place may be taken by a writable one" set_lun "path=$STATE/lun.img"
	is "which is writable" "$(answer "$(cdb 2a 00 200 1)" --out "$STATE/one")" ok
	set_lun readonly=1
	for path in "$STATE/ro/lun.img" "$STATE/lun.img"; do
		set_lun online=0
		ok "a read-only LUN may get another volume" set_lun "path=$path"
	done
	is "what the administrator has made read-only stays so" "$(answer "$(cdb 2a 00 200 1)" --out "$STATE/one")" 07/27/00
else
	skip "a volume on a read-only file system" "mount is not permitted here"
fi

set_lun readonly=0
lun_delete 1 1
for flag in i a; do
	if chattr +$flag "$STATE/lun.img" 2>/dev/null; then
		at_exit "chattr -$flag $STATE/lun.img"
		ok "an image that chattr has made +$flag is served" lun_add 1 1 "$STATE/lun.img" --bsopts discard=on
		is "a write is refused" "$(answer "$(cdb 2a 00 100 1)" --out "$STATE/one")" 07/27/00
		is "MODE SENSE says so" "$(protected_bit)" 90
		data_is "it is read" 100 4 "$STATE/before"
		not_ok "and cannot be made writable" set_lun readonly=0
		lun_delete 1 1
		chattr -$flag "$STATE/lun.img"
		ok "without the flag it is served, too" lun_add 1 1 "$STATE/lun.img" --bsopts discard=on
		is "and is writable" "$(answer "$(cdb 2a 00 200 1)" --out "$STATE/one")" ok
		lun_delete 1 1
	else
		skip "an image that chattr has made +$flag" "the file system does not have that"
	fi
done

done_testing
