#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# The defects and limits of tgt in docs/TGT-LIMITS.md are there, on its own stores: what fails here tgt has
# mended, and the chapter can go. A chapter's title is the name of its tests.
TEST_LIMIT=240
. "$(dirname "$0")/../lib.sh"

DOC=$TOP/docs/TGT-LIMITS.md
limits=()
limit() { limits+=("$1") && diag "$1"; } # TITLE: what follows shows this one

rdwr() { # TID FILE [tgtadm's further options]: a plain LUN 1
	truncate -s 32M "$STATE/$2"
	target_add "$1" || die "target $1"
	plain_lun "$@" || die "$2 is exported"
}
plain_lun() { # TID FILE [tgtadm's further options]
	tgt --op new --mode logicalunit --tid "$1" --lun 1 --backing-store "$STATE/$2" --bstype rdwr "${@:3}"
}
capacity() { io capacity "$(url "$1" 1)"; }
conformance() { # FAMILY.TEST TID: "passed", "failed", …
	timeout -k 2 60 iscsi-test-cu -d -v -t "$1" "$(url "$2" 1)" >"$STATE/cu" 2>&1
	grep -oE '(\.\.\.|^)(FAILED|passed)$' "$STATE/cu" | tail -n 1 | tr -d . | tr '[:upper:]' '[:lower:]'
}

tgtd_ready_or_die
rdwr 1 one.img
rdwr 2 two.img

limit "A client that does not read holds up all others"
TGT=b
tgtd_ready_or_die
rdwr 1 b1.img
rdwr 2 b2.img
python3 "$TESTS/tools/stall.py" 127.0.0.1 "${TGTD_PORT[b]}" "$(target_iqn 1)" >"$STATE/stall.log" 2>&1 &
stalling=$!
at_exit "kill -KILL $stalling"
wait_for 20 grep -q stalled "$STATE/stall.log"
stuck() { ! LIMIT=5 io read "$(url 2 1)" 0 1; }
ok "another client of the tgtd gets no answer" wait_for 30 stuck
kill -KILL $stalling && wait $stalling 2>/dev/null
kill_pid "${TGTD_PID[b]}"
TGT=a

limit "A LUN with a command in flight cannot be taken away"
if [ -e /dev/fuse ] && touch "$STATE/disk" && truncate -s 32M "$STATE/slow.img"; then
	setsid nbdfuse "$STATE/disk" --command nbdkit -s --exit-with-parent --pidfile "$STATE/nbdkit.pid" \
		file "$STATE/slow.img" >"$STATE/nbdfuse.log" 2>&1 &
	fuse=$!
	at_exit "kill -CONT \$(cat $STATE/nbdkit.pid); umount -l $STATE/disk; stop_pid $fuse"
	wait_for 20 mountpoint -q "$STATE/disk" && wait_for 20 test -s "$STATE/nbdkit.pid"
	target_add 3
	tgt --op new --mode logicalunit --tid 3 --lun 1 --backing-store "$STATE/disk" --bstype rdwr
	kill -STOP "$(<"$STATE/nbdkit.pid")"
	LIMIT=30 io read "$(url 3 1)" 0 8 >"$STATE/late" 2>&1 &
	reading=$!
	sleep 2
	not_ok "it is not deleted" lun_delete 3 1
	not_ok "by force neither" tgt --op delete --mode logicalunit --tid 3 --lun 1 --force
	kill -CONT "$(<"$STATE/nbdkit.pid")"
	wait $reading
	ok "when the command is done it is" wait_for 10 lun_delete 3 1

	limit "Aborting twice makes tgt forget the first time"
	tgt --op new --mode logicalunit --tid 3 --lun 1 --backing-store "$STATE/disk" --bstype rdwr
	kill -STOP "$(<"$STATE/nbdkit.pid")"
	"$BUILD/tests/hang" "$(url 3 1)" >"$STATE/aborted" 2>&1 &
	aborting=$!
	wait_for 20 grep -q asked "$STATE/aborted"
	kill -CONT "$(<"$STATE/nbdkit.pid")"
	wait $aborting
	is "of ABORT TASK and LOGICAL UNIT RESET for one command the first has no answer" \
		"$(sed -n 's/.*goes on: //p' "$STATE/aborted" | paste -sd,)" "ok,response 0,waits"
else
	skip "a LUN whose disk hangs" "no FUSE on this machine"
	limits+=("Aborting twice makes tgt forget the first time")
fi

limit "Nobody is told that a LUN was replaced"
truncate -s 16M "$STATE/other.img"
# Writes alone: a read would find the other disk's data, which is what is to be feared.
load_start writer "$(url 1 1)" --connections 1 --depth 1 --slots 16 --reads 0
kill -STOP "${LOAD_PID[writer]}"
wait_for 10 lun_delete 1 1 || die "the LUN is deleted while nothing is in flight"
plain_lun 1 other.img || die "another disk takes its place"
kill -CONT "${LOAD_PID[writer]}"
sleep 1
load_stop writer
is "the initiator writes on as if nothing had been" "$(load_outcomes writer)" ok
isnt "to the other disk" "$(head -c 1M "$STATE/other.img" | tr -d '\0' | wc -c)" 0

limit "The size is read when a LUN is opened"
truncate -s 48M "$STATE/two.img"
is "a larger file is not noticed" "$(capacity 2)" "65536 512"
load_start resized "$(url 2 1)" --connections 1 --depth 1 --slots 16
update() { tgt --op update --mode logicalunit --tid 2 --lun 1 --params "$1"; }
kill -STOP "${LOAD_PID[resized]}"
sleep 1
ok "it is taken offline" update online=0
ok "and opened anew" update "path=$STATE/two.img"
kill -CONT "${LOAD_PID[resized]}"
is "with the size that it has" "$(capacity 2)" "98304 512"
load_stop resized
unlike "and no initiator is told" "$(load_outcomes resized)" 06/2a/09

limit "MODE SENSE knows no number of blocks"
is "its block descriptor has 0 of them" "$(io cdb "$(url 2 1)" 1a0008000c00 --in 12 | sed -n 's/^data //p' | cut -c 9-16)" 00000000

if command -v iscsi-test-cu >/dev/null; then
	limit "Reservations are not as in SPC-4"
	for test in ProutReserve.OwnershipWE ProutReserve.OwnershipEA ProutReserve.OwnershipWERO \
		ProutReserve.OwnershipEARO PrinServiceactionRange.Range Reserve6.2Initiators; do
		is "$test fails" "$(conformance "SCSI.$test" 2)" failed
	done
	limit "A wrong DataSN is taken"
	is "iSCSIDataSnInvalid fails" "$(conformance iSCSI.iSCSIdatasn.iSCSIDataSnInvalid 2)" failed
else
	limit "Reservations are not as in SPC-4"
	limit "A wrong DataSN is taken"
	skip "conformance" "iscsi-test-cu is not installed"
fi

limit "INQUIRY and READ CAPACITY stay good on a destroyed LUN"
keyd_ready
level_create l
volume_create l crypt.img 32M
export_volume 4 crypt.img
keyadm level destroy l --yes >/dev/null
is "it is destroyed" "$(read_outcome "$(url 4 1)")" 07/74/71
is "INQUIRY is good" "$(outcome cdb "$(url 4 1)" 120000002400 --in 36)" ok
is "READ CAPACITY is good" "$(capacity 4)" "65536 512"

limit "A dump forgets that a LUN is encrypted"
TGT_IPC_SOCKET="$STATE/tgtd-a" tgt-admin --dump >"$STATE/dump"
like "the dump has the LUN's path" "$(<"$STATE/dump")" "backing-store $STATE/crypt.img"
unlike "and neither bs-type nor options" "$(<"$STATE/dump")" "bs-type|bsopts"
sed -n '/^default-driver/p; /:t4>$/,/^<\/target>/p' "$STATE/dump" >"$STATE/dumped.conf"
lun_delete 4 1
TGT=g
tgtd_ready_or_die
TGT_IPC_SOCKET="$STATE/tgtd-g" ok "a tgtd takes it" tgt-admin -e -c "$STATE/dumped.conf"
like "and serves the image itself" "$(io read "$(url 4 1)" 0 1 | head -c 4)" '^LUKS$'
tgtd_stop
TGT=a

limit "Options of a LUN are in the log"
plain_lun 1 one.img --bsopts none >/dev/null 2>&1
tgt --op new --mode logicalunit --tid 1 --lun 2 --backing-store "$STATE/one.img" --bstype rdwr --bsopts visible-words >/dev/null
like "as they were given" "$(<"$(tgtd_log)")" visible-words

limit "A port that is taken is no error"
TGT=c
setsid setpriv --pdeathsig KILL env TGT_IPC_SOCKET="$STATE/tgtd-c" tgtd -f -C 0 \
	--iscsi "portal=127.0.0.1:${TGTD_PORT[a]}" >>"$(tgtd_log)" 2>&1 &
# shellcheck disable=SC2004 # an associative array
TGTD_PID[$TGT]=$!
ok "a second tgtd runs on" wait_for 10 tgtd_answers
is "without the port" "$(tgt --op show --mode portal | grep -c ":${TGTD_PORT[a]},")" 0

limit "An initiator's lengths are believed"
believes() { # WHAT: how it ended
	local TGT=e
	tgtd_ready_or_die
	rdwr 1 e.img
	timeout -k 2 60 python3 "$TESTS/hostile/limits.py" "$1" 127.0.0.1 "${TGTD_PORT[e]}" "$(target_iqn 1)" 2>&1 | paste -sd,
	stop_pid "${TGTD_PID[e]}" 0
}
# What is written behind a buffer ends tgtd, as a rule; with another heap, a sanitizer's, it may be left without an answer.
like "an additional header of no length" "$(believes ahs_of_no_length 2>/dev/null)" "tgtd is dead|no answer"
like "more data than was asked for" "$(believes more_data_than_asked_for 2>/dev/null)" "tgtd is dead|no answer"
like "data where none is expected" "$(believes data_where_none_is_expected 2>/dev/null)" "no answer"

limit "The first of two aborts of a command is not answered"
is "the second is" "$(believes two_aborts_of_one_command 2>/dev/null)" "the first is not answered"

limit "An initiator's names become shell commands"
TGT=f
# shellcheck disable=SC2154 # associative arrays
bare_tgtd() { # without the plugin, which lets no such names in
	TGTD_PORT[f]=$((20000 + RANDOM % 12000))
	setsid setpriv --pdeathsig KILL env TGT_IPC_SOCKET="$STATE/tgtd-f" tgtd -f -C 0 \
		--iscsi "portal=127.0.0.1:${TGTD_PORT[f]}" >>"$(tgtd_log)" 2>&1 &
	TGTD_PID[f]=$!
	tgtd_ready || { kill_pid "${TGTD_PID[f]}" && return 1; }
}
wait_for 60 bare_tgtd || die "tgtd starts"
target_add 1
mkfifo "$STATE/stay"
timeout 60 python3 "$TESTS/hostile/names.py" stay 127.0.0.1 "${TGTD_PORT[f]}" "$(target_iqn 1)" "touch $STATE/ran" \
	<"$STATE/stay" >"$STATE/names" 2>&1 &
exec 7>"$STATE/stay"
wait_for 30 grep -q '^ready' "$STATE/names"
TGT_IPC_SOCKET="$STATE/tgtd-f" tgt-admin --update ALL -c /dev/null -f >"$STATE/out" 2>&1
ok "tgt-admin runs one" test -e "$STATE/ran"
exec 7>&-
kill_pid "${TGTD_PID[f]}"
unset "TGTD_PID[f]"

TGT=c
limit "SIGTERM does not end a tgtd that has targets"
target_add 1
kill -TERM "${TGTD_PID[c]}"
sleep 3
ok "it goes on" tgtd_answers
tgt --op delete --mode target --tid 1 --force
tgt --op delete --mode system --force >/dev/null 2>&1
ok "without them it ends" wait_for 10 gone "${TGTD_PID[c]}"
kill_pid "${TGTD_PID[c]}" 2>/dev/null
unset "TGTD_PID[c]"

limit "tgtadm is heard from the same uid and gid alone"
TGT=d
install -d -o 2009 -g 2009 "$STATE/d"
setsid setpriv --pdeathsig KILL --reuid 2009 --regid 2009 --clear-groups env TGT_IPC_SOCKET="$STATE/d/s" \
	tgtd -f -C 0 --iscsi "portal=127.0.0.1:$((20000 + RANDOM % 12000))" >>"$(tgtd_log)" 2>&1 &
# shellcheck disable=SC2004 # an associative array
TGTD_PID[$TGT]=$!
as_its_user() { as_user 2009 env TGT_IPC_SOCKET="$STATE/d/s" timeout -k 2 20 tgtadm --lld iscsi --op show --mode system; }
ok "its own user is" wait_for 10 as_its_user
as_root() { TGT_IPC_SOCKET="$STATE/d/s" timeout -k 2 20 tgtadm --lld iscsi --op show --mode system 2>/dev/null; }
is "root is not" "$(as_root)" ""
kill_pid "${TGTD_PID[d]}"
unset "TGTD_PID[d]"
TGT=a

is "each of these has a chapter, and each chapter is here" "$(printf '%s\n' "${limits[@]}" | sort)" \
	"$(sed -n 's/^## //p' "$DOC" | grep -v '^How to add one$' | sort)"
done_testing
