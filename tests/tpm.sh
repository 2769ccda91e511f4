# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A TPM of one's own: swtpm on a socket in $STATE. Source it after lib.sh.

TPM_SOCKET=$STATE/tpm/socket
export TPM2TOOLS_TCTI=swtpm:path=$TPM_SOCKET
TPM_PID=

tpm_start() {
	mkdir -p "$STATE/tpm"
	setsid setpriv --pdeathsig KILL swtpm socket --tpm2 --tpmstate dir="$STATE/tpm" \
		--server type=unixio,path="$TPM_SOCKET" --ctrl type=unixio,path="$TPM_SOCKET.ctrl" \
		--flags not-need-init,startup-clear >>"$STATE/tpm.log" 2>&1 &
	TPM_PID=$!
	wait_for 10 tpm2_getrandom --hex 8
}

tpm_stop() {
	local pid=$TPM_PID
	TPM_PID=
	stop_pid "$pid"
}

at_exit tpm_stop

# The key store's NV indices that there are: 0x1800100 and the next.
tpm_slots() { tpm2_nvreadpublic 2>/dev/null | sed -n 's/^\(0x180010[01]\):.*/\1/p' | xargs; }

tpm_conf() { # [LINE...]: a keyd.conf for it, with further lines in [custody]
	printf '[roles]\nsecurity-admin = 0\nstorage-admin = 0\nauditor = 0\n[levels]\nfetch = 0\n' >"$STATE/keyd.conf"
	printf '[custody]\ntpm2-tcti = %s\n' "$TPM2TOOLS_TCTI" >>"$STATE/keyd.conf"
	printf '%s\n' "$@" >>"$STATE/keyd.conf"
}
