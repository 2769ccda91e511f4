# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Two security administrators and the requests they wait for. Source it after lib.sh.

ALICE=2001 BOB=2002

alice() { keyadm_as "$ALICE" "$@"; }
bob() { keyadm_as "$BOB" "$@"; }
requested() { # COMMAND...: its request's ID
	"$@" >"$STATE/request" || return
	json "$STATE/request" 'd["id"]'
}
waiting() { keyadm --json requests >"$STATE/list" && json "$STATE/list" 'len(d)'; }
state_of() { keyadm --json level show "$1" >"$STATE/show" && json "$STATE/show" 'd["state"]'; }

# A security administrator who may not read an image names its volume by UUID.
uuid_of() { cryptsetup luksUUID "$STATE/$1"; } # FILE in $STATE
