#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# All LUNs of a tgtd that has more of them than a socket's buffer has room for messages get their keys again: after a
# suspension, and from another keyd. LUNS is how many there are.
. "$(dirname "$0")/../lib.sh"

LUNS=${LUNS:-250}
PORTION=10 # one in so many is read

all_are_back() {
	local lun
	for ((lun = 1; lun <= LUNS; lun += PORTION)); do
		becomes 60 ok read_outcome "$(url 1 "$lun")" || { echo "LUN $lun" && return 1; }
	done
}

resumes() { # NAME
	local began=$SECONDS
	ok "$1: the level is resumed" keyadm level resume many
	ok "$1: all LUNs are back" all_are_back
	diag "$1: $((SECONDS - began)) s"
}

# With so many LUNs each process may need a while on a busy machine.
printf "[keyd]\nrevoke-timeout = 60\n[roles]\nsecurity-admin = 0\nstorage-admin = 0\n[levels]\nfetch = 0\n" >"$STATE/keyd.conf"
export LIMIT=90
keyd_ready --config "$STATE/keyd.conf"
tgtd_ready_or_die
level_create many
target_add 1
volume_create many many.img 1M
for ((i = 1; i <= LUNS; i++)); do # each asks for its key, though the volume is the same
	lun_add 1 "$i" "$STATE/many.img" --bsopts shared=on || die "LUN $i is added"
done

ok "the level is suspended" keyadm level suspend many
is "its LUNs are not ready" "$(read_outcome "$(url 1 1)")" 02/04/01
resumes "after a suspension"

ok "the level is suspended again" keyadm level suspend many
kill_pid "$KEYD_PID"
ok "another keyd starts" keyd_start --config "$STATE/keyd.conf"
resumes "from another keyd"
unlike "tgtd kept its connection to each keyd" "$(sed '/Connection refused\|closed/d' "$(tgtd_log)")" "is away"

done_testing
