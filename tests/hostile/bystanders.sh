# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# For tests with a hostile initiator, sourced after lib.sh: who else is there, and whether it was harmed.

# A LUN of 64 MiB, target 1, for the hostile one; another level's in the same tgtd, target 2, that nobody
# writes to; a third one, of the same level as the first, under load.
hostile_stage() { # BLOCK_BYTES
	stage hostile quiet
	volume_create hostile victim.img 64M --sector-size "$1"
	export_volume 3 victim.img --blocksize "$1"
	volume_create quiet busy.img 64M
	export_volume 4 busy.img
	random_file "$STATE/quiet" $((1 << 20))
	ok "the neighbour writes" io write "$(url 2 1)" 0 --chunk 2048 <"$STATE/quiet"
	cp "$STATE/quiet.img" "$STATE/quiet.before"
	load_start busy "$(url 4 1)" --connections 2 --depth 4 --reconnect
	pid=${TGTD_PID[a]}
}

# Reports of sanitizers in what the daemons said.
reports() { grep -hE '(ERROR|WARNING): [A-Za-z]*Sanitizer|runtime error:|SUMMARY: ' "$STATE"/*.log; }

unharmed() { # WHEN
	is "$1 tgtd is the same" "$(alive "$pid" && echo "$pid")" "${TGTD_PID[a]}"
	ok "$1 the busy client read what it wrote" load_stop busy
	is "$1 it saw no error" "$(load_outcomes busy)" ok
	ok "$1 the victim still serves" io read "$(url 3 1)" 0 8
	same "$1 no sector of the other level has changed" "$STATE/quiet.img" "$STATE/quiet.before"
	ok "$1 no command is left in the LUN: it can be taken away" wait_for 20 lun_delete 3 1
	is "$1 no sanitizer reports anything" "$(reports)" ""
}

hostile_program() { # NAME PROGRAM WHAT TID [ARGUMENTS]
	local name=$1 program=$2 what=$3 tid=$4
	shift 4
	timeout -k 5 "${LIMIT:-300}" python3 "$TESTS/hostile/$program" "$what" 127.0.0.1 "${TGTD_PORT[a]}" \
		"$(target_iqn "$tid")" "$@" >"$STATE/program" 2>&1
	is "$name" "$?" 0
	diag "$(tail -n 30 "$STATE/program")"
}
