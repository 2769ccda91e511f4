#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# tgt closes a LUN's volume with commands in flight when its path changes or it goes offline. No
# command may then touch what is gone, and tgtd lives on.
. "$(dirname "$0")/../lib.sh"

keyd_ready
tgtd_ready_or_die
level_create l
volume_create l a.img 64M
volume_create l b.img 64M
export_volume 1 a.img
update() { tgt --op update --mode logicalunit --tid 1 --lun 1 --params "$1"; }

timeout -k 2 60 "$BUILD/tests/iscsi-io" stress "$(url 1 1)" --seconds 8 --connections 2 --depth 32 --reconnect \
	>"$STATE/stress.out" 2>&1 &
at_exit kill $!
sleep 1
for ((i = 1; i <= 10; i++)); do
	ok "change $i: offline" update online=0
	ok "change $i: to the other volume" update "path=$STATE/$([ $((i % 2)) = 1 ] && echo b || echo a).img"
done
ok "tgtd lives" alive "${TGTD_PID[$TGT]}"
unlike "no sanitizer has a complaint" "$(<"$(tgtd_log)")" "ERROR: AddressSanitizer|runtime error"
wait_for 20 gone $! # the load
ok "the LUN answers" becomes 10 ok read_outcome "$(url 1 1)"

done_testing
