# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What the tests of faults share. Sourced after lib.sh.

# A tgtd whose calls on one file can be made to fail; "control" and "log" of faulty.h are in $STATE.
faulty_tgtd_or_die() {
	export FAULTY_CONTROL=$STATE/control FAULTY_LOG=$STATE/log
	head -c 4096 /dev/zero >"$FAULTY_CONTROL"
	TGTD_PRELOAD="${TGTD_PRELOAD-} $BUILD/tests/faulty.so" tgtd_ready_or_die
}

# A command line that closes LUN 1 of the target and opens it again.
reopening() { # TID FILE [tgtadm's further options]
	local tid=$1 file=$2 adm
	shift 2
	adm="TGT_IPC_SOCKET=$STATE/tgtd-$TGT timeout 20 tgtadm --lld iscsi --mode logicalunit --tid $tid --lun 1"
	echo "$adm --op delete && $adm --op new --bstype crypt --backing-store $STATE/$file $*"
}

# The LUN's bytes, decrypted by somebody else.
decrypted() { # PATH SECTOR_BYTES BYTES [thin]
	local key=$STATE/${1##*/}.key
	[ -s "$key" ] || keyadm volume key "$1" --out "$key" >/dev/null || return
	"$BUILD/tests/oracle" "$1" "$key" "${@:2}"
}
