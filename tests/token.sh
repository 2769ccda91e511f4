# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A PKCS#11 token of one's own: SoftHSM2's, labelled "keys", in $STATE/token. Source it after lib.sh.

MODULE=/usr/lib/softhsm/libsofthsm2.so
PIN=correct-horse-battery
export SOFTHSM2_CONF=$STATE/softhsm2.conf

token_make() { # empty, in place of the one before
	rm -rf "$STATE/token" && mkdir "$STATE/token" &&
		printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$STATE/token" >"$SOFTHSM2_CONF" &&
		softhsm2-util --init-token --free --label keys --pin "$PIN" --so-pin so-pin-1234 >/dev/null
}

token_conf() { # [MODULE LABEL]: keyd.conf for it
	printf '%s\n' "[keyd]" "sandbox-paths = $STATE" "[roles]" "security-admin = root" "[levels]" "fetch = root" \
		"[custody]" "pkcs11-module = ${1-$MODULE}" "pkcs11-token = ${2-keys}" >"$STATE/keyd.conf"
}

token_tool() { pkcs11-tool --module "$MODULE" --token-label keys --login --pin "$PIN" "$@" 2>/dev/null; }
