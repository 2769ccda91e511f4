#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# An initiator's name and alias are printed by "tgtadm --op show", which tgt-admin reads and makes shell commands of. The
# plugin lets in no name that can be taken for more than a word; and the units' way of taking targets away runs nothing
# and loses nothing even where every name comes in, in a tgtd without the plugin.
TEST_LIMIT=${TEST_LIMIT:-300}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/bystanders.sh"

RAN=$STATE/ran
names_start() { # TID: hostile initiators that stay; what became of each is in $STATE/names
	mkfifo "$STATE/stay.$1"
	timeout 120 python3 "$TESTS/hostile/names.py" stay 127.0.0.1 "${TGTD_PORT[$TGT]}" "$(target_iqn "$1")" \
		"touch $RAN" <"$STATE/stay.$1" >"$STATE/names" 2>&1 &
	names=$!
	exec 7>"$STATE/stay.$1"
	wait_for 60 grep -q '^ready' "$STATE/names"
}
names_end() { exec 7>&-; wait "$names"; }

hostile_stage 512
ok "names of all kinds are tried" names_start 3
diag "$(<"$STATE/names")"
is "none has power in it that comes in" "$(sed -n 's/^in //p' "$STATE/names" | paste -sd,)" \
	"alias: printable code,alias: a printable connection,alias: printable code in backquotes,$(
	)alias: words,alias: a no-break space,alias: a host,name: plain,name: an eui,name: a naa"
is "and every other is refused for its name" "$(grep -vc -e '^in ' -e '^ready' -e '^refused ' "$STATE/names")" 0
tgt --op show --mode target >"$STATE/show"
like "a harmless alias is shown as it is" "$(<"$STATE/show")" 'alias: host-1\.example$'
is "of any other what could be more than a word is replaced" "$(grep 'Initiator:' "$STATE/show" |
	grep -cvE '^            Initiator: (iqn|eui|naa)\.[-.:A-Za-z0-9]+ alias: [-._A-Za-z0-9]+$')" 0
like "refusals are in the log, with the address and escaped" "$(<"$(tgtd_log)")" \
	'login from 127\.0\.0\.1 refused: its InitiatorAlias has a control character: "\\x0a\\x20.*I_T'
ok "and few of them" [ "$(grep -c 'login from' "$(tgtd_log)")" -le 20 ]
unharmed "afterwards"
TGT_IPC_SOCKET=$STATE/tgtd-a ok "tgt-admin puts the targets offline" tgt-admin --offline ALL
TGT_IPC_SOCKET=$STATE/tgtd-a ok "and takes them away" tgt-admin --update ALL -c /dev/null -f
is "all of them" "$(target_ids)" ""
not_ok "and no command of an initiator ran" test -e "$RAN"
names_end

# Without the plugin.
TGT=b
stock() {
	setsid setpriv --pdeathsig KILL env TGT_IPC_SOCKET="$STATE/tgtd-b" "${TGTD_PROGRAM:-tgtd}" -f -C 0 \
		--iscsi "portal=127.0.0.1:${TGTD_PORT[b]}" >>"$(tgtd_log)" 2>&1 &
	TGTD_PID[b]=$!
}
declare -A luns=([1]=victim [2]=plain [7]=far)
for ((try = 0; try < 10; try++)); do
	TGTD_PORT[b]=$((20000 + RANDOM % 12000))
	stock
	tgtd_ready && break
	kill_pid "${TGTD_PID[b]}"
done
for tid in "${!luns[@]}"; do
	truncate -s 64M "$STATE/${luns[$tid]}.raw"
	target_add "$tid"
	lun_add "$tid" 1 "$STATE/${luns[$tid]}.raw" --bstype rdwr || die "target $tid"
done
ok "every name is tried on a tgtd without the plugin" names_start 1
is "which lets all of them in" "$(grep -c '^in ' "$STATE/names")" "$(grep -vc '^ready' "$STATE/names")"
random_file "$STATE/data" $((1 << 20))
ok "another initiator writes" io write "$(url 2 1)" 65536 --chunk 256 <"$STATE/data"
ok "and flushes" io flush "$(url 2 1)"
LOAD_SECONDS=15
for tid in "${!luns[@]}"; do
	load_start "load$tid" "$(url "$tid" 1)" --connections 2 --depth 8 --reconnect --slots 1024
done
sleep 1
TGT_IPC_SOCKET=$STATE/tgtd-b ok "all targets are taken away under load" timeout 100 bash "$TOP/configs/tgtd-targets" remove 0
wait "${TGTD_PID[b]}"
is "and tgtd has ended by itself" "$?" 0
unset "TGTD_PID[b]"
not_ok "no command of an initiator ran" test -e "$RAN"
names_end
for tid in "${!luns[@]}"; do
	ok "target $tid: no read was wrong" load_stop "load$tid"
done
ok "what was flushed is there" cmp -n $((1 << 20)) -i $((65536 * 512)):0 "$STATE/plain.raw" "$STATE/data"

done_testing
