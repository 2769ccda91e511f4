#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# CHAP, both ways, and CRC32C digests between the kernel's initiator and encrypted LUNs: who has the secret logs in; a
# bit that is flipped on the way is noticed and made good.
# shellcheck disable=SC2016 # what is in single quotes is for the guest's shell
TEST_LIMIT=${TEST_LIMIT:-600}
NAMES=(chap wire)
# shellcheck source=tests/guest/loads.sh
. "$(dirname "$0")/../loads.sh"

BLOCK=([chap]=4096)
AUTHENTICATION_FAILED=24 LOGIN_FAILED=19 # iscsiadm(8)
loads_stage raw

# --- CHAP ----------------------------------------------------------------------------------------

client() { echo "node.session.auth.authmethod=CHAP node.session.auth.username=client node.session.auth.password=$1"; } # SECRET
server() { echo "node.session.auth.username_in=server node.session.auth.password_in=$1"; }

account() { # NAME SECRET [--outgoing]
	tgt --op new --mode account --user "$1" --password "$2" &&
		tgt --op bind --mode account --tid 1 --user "$1" "${@:3}"
}

chap_login() { # PROMISE STATUS [SETTING=VALUE...]
	local promise=$1 want=$2
	shift 2
	guest "login_with ${IQN[chap]} $PORTAL $*" >/dev/null
	is "$promise" $? "$want"
	is "and has $([ "$want" = 0 ] && echo a || echo no) session" "$(guest "session ${IQN[chap]} | wc -l")" $((want == 0))
}

chap_logout() { ok "and logs out" guest "logout ${IQN[chap]} $PORTAL"; }

ok "the target wants a secret" account client right-secret-1
chap_login "without one nobody logs in" $AUTHENTICATION_FAILED
chap_login "with a wrong one nobody does" $AUTHENTICATION_FAILED "$(client wrong-secret-1)"
chap_login "with the right one the kernel does" 0 "$(client right-secret-1)"
disks_find chap
each "it can use the disk" 'use_raw NAME DISK && fio_round NAME 1 && verify NAME 1' chap
chap_logout
ok "the target proves itself, too" account server target-secret-1 --outgoing
chap_login "which the kernel can ask for" 0 "$(client right-secret-1)" "$(server target-secret-1)"
chap_logout
chap_login "a target that does not know its own secret is left" $LOGIN_FAILED "$(client right-secret-1)" "$(server wrong-secret-1)"

# --- digests -------------------------------------------------------------------------------------

mkfifo "$STATE/orders"
exec {orders}<>"$STATE/orders"
setpriv --pdeathsig KILL python3 "$TESTS/tools/relay.py" "${TGTD_PORT[$TGT]}" <"$STATE/orders" >"$STATE/relay" &
wait_for 20 test -s "$STATE/relay" || die "the relay runs"
WIRE=10.0.2.2:$(head -n 1 "$STATE/relay")
for digest in HeaderDigest DataDigest; do
	tgt --op update --mode target --tid 2 --name $digest --value CRC32C,None || die "the target offers a $digest"
done

digests_login() { # CRC32C|None
	ok "the kernel logs in" guest "login_with ${IQN[wire]} $WIRE node.conn[0].iscsi.HeaderDigest=$1 node.conn[0].iscsi.DataDigest=$1"
	disks_find wire
	guest "use_raw wire ${DISK[wire]}"
}

flips() { grep -c flipped "$STATE/relay"; }

flip() { # target|initiator: a bit on the way there
	local before
	before=$(flips)
	echo "$1" >&"$orders"
	becomes 100 $((before + 1)) flips
}

digests_login CRC32C
is "with digests of headers and data" "$(guest "digests ${IQN[wire]}")" "1 1"
load_begin wire
for end in target initiator target; do
	ok "a bit is flipped on its way to the $end" flip $end
	each "the load goes on" 'goes_on DISK 100' wire
done
load_end wire
each "all that was written is there" 'verify NAME' wire
like "tgtd noticed" "$(grep -c 'digest error' "$(tgtd_log)")" '^[2-9]'
like "the kernel did" "$(guest dmesg)" 'connection.*detected conn error'
each "it logs out" "logout IQN $WIRE" wire

digests_login None
is "with none" "$(guest "digests ${IQN[wire]}")" "0 0"
load_begin wire
ok "a bit is flipped on its way to the target" flip target
like "and is not noticed" "$(guest -t 310 'load_end wire 300')" 'verify failed'
each "it logs out" "logout IQN $WIRE" wire

guest_log_is_clean "its kernel had no trouble" 'I/O error'
ok "it powers off" guest_poweroff
done_testing
