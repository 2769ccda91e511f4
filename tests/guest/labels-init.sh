# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# What labels.t does in the guest.

# The host's programs with the host's libraries, apart from the guest's own.
host() { # PROGRAM ARGUMENTS...
	program=$1
	shift
	/host/lib/ld-linux-x86-64.so.2 --library-path /host/lib "/host/bin/$program" "$@"
}

keyadm() { host keyadm --admin-socket /run/admin.sock "$@"; }

keyd_start() {
	host keyd --config /keyd.conf --state /run/store --socket /run/keyd.sock \
		--admin-socket /run/admin.sock >/run/keyd.log 2>&1 &
	within 20 "keyadm status >/dev/null 2>&1"
}

target_new() {
	host tgtadm --lld iscsi --op new --mode target --tid 1 --targetname iqn.2000-01.example:t >/dev/null 2>&1
}

# A tgtd with this label, and whether it may serve a volume of the level: "yes" or "no".
serves() { # NUMBER CONTEXT LEVEL
	export TGT_IPC_SOCKET="/run/tgtd-$1"
	(
		printf %s "$2" >/proc/self/attr/exec || exit
		export KEYD_SOCKET=/run/keyd.sock
		exec /host/lib/ld-linux-x86-64.so.2 --library-path /host/lib --preload /host/bin/bs_crypt.so \
			/host/bin/tgtd -f -C 0 --iscsi portal=127.0.0.1:$((3300 + $1)) >>/run/tgtd.log 2>&1
	) &
	tgtd=$!
	within 20 target_new || echo "no tgtd"
	tr -d '\000' <"/proc/$tgtd/attr/current" >/run/label
	host tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 --bstype crypt \
		--backing-store "/run/$3.img" >/dev/null 2>&1 && echo yes || echo no
	kill -9 $tgtd
	wait $tgtd 2>/dev/null
}
