#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# --bsoflags direct bypasses the page cache, sync has every write on the medium, and the data is right
# with each, also where a command begins and ends inside the storage's blocks.
. "$(dirname "$0")/../lib.sh"

direct() { # FILE: how often tgtd has it open with O_DIRECT (0040000); libcryptsetup does, once
	local fd
	for fd in /proc/"${TGTD_PID[a]}"/fd/*; do
		[ "$(readlink "$fd")" = "$1" ] || continue
		grep '^flags:.*[4-7][0-7]\{4\}$' "/proc/${TGTD_PID[a]}/fdinfo/${fd##*/}"
	done | wc -l
}

write_one() { head -c 512 /dev/zero | io write "$1" 0; } # URL

serves_right_data() { # URL
	random_file "$STATE/plain" $((777 * 512))
	ok "it writes" io write "$1" 13 --chunk 100 <"$STATE/plain"
	io read "$1" 13 777 --chunk 31 >"$STATE/read"
	same "and reads" "$STATE/read" "$STATE/plain"
	random_file "$STATE/one" 512
	ok "it writes one block" io write "$1" 20 <"$STATE/one"
	io read "$1" 20 1 >"$STATE/read"
	same "and reads it" "$STATE/read" "$STATE/one"
	dd if="$STATE/one" of="$STATE/plain" bs=512 seek=7 conv=notrunc status=none
	io read "$1" 13 777 >"$STATE/read"
	same "with its neighbours intact" "$STATE/read" "$STATE/plain"
}

keyd_ready
tgtd_ready_or_die
level_create level
target_add 1
volume_create level plain.img 16M

lun_add 1 1 "$STATE/plain.img" || die "it is exported"
is "by default a write waits for the cache alone" "$(durable_writes write_one "$(url 1 1)")" 0
is "and the cache is used" "$(direct "$STATE/plain.img")" 1
lun_delete 1 1

lun_add 1 1 "$STATE/plain.img" --bsoflags sync || die "it is exported with sync"
is "with sync it waits for the medium" "$(durable_writes write_one "$(url 1 1)")" 1
serves_right_data "$(url 1 1)"
lun_delete 1 1

if lun_add 1 1 "$STATE/plain.img" --bsoflags direct 2>/dev/null; then
	is "with direct the cache is not used" "$(direct "$STATE/plain.img")" 2
	serves_right_data "$(url 1 1)"
else
	like "direct is refused with a reason" "$(<"$(tgtd_log)")" 'direct'
fi

done_testing
