#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Canaries written and read through a LUN: how much plaintext tgtd's freed buffers still hold after the
# level is destroyed is measured; with scrub=on it is none. The certificate says which it was.
. "$(dirname "$0")/../lib.sh"

[ -z "${TGTD_PRELOAD-}" ] || skip_all "a sanitizer has a malloc of its own"

SIZES="2048 512 128 8 2 1" # blocks of one command; the last ones are in nobody's way
COMMANDS=32 # of each size

random_file "$STATE/canary" 32
python3 -c 'import sys; sys.stdout.buffer.write(open(sys.argv[1], "rb").read() * (1 << 15))' \
	"$STATE/canary" >"$STATE/flock" # 1 MiB

left() { # bytes of canaries in tgtd's memory
	local birds
	"$BUILD/tests/memscan" "${TGTD_PID[$TGT]}" "$STATE/canary" >"$STATE/scan" || return
	birds=$(sed -n 's/.*: key bytes from 1: //p' "$STATE/scan")
	echo $((${birds:-0} * 32))
}

canaries_pass() { # written and read in commands of all sizes
	local size blocks
	for size in $SIZES; do
		blocks=$((size * COMMANDS < 2048 ? size * COMMANDS : 2048))
		head -c $((blocks * 512)) "$STATE/flock" >"$STATE/out.$size"
		io write "$(url 1 1)" 0 --chunk "$size" <"$STATE/out.$size" || return
		io read "$(url 1 1)" 0 "$blocks" --chunk "$size" >"$STATE/back" || return
		cmp "$STATE/back" "$STATE/out.$size" || return
	done
}

stamps_left() { # how many of the stress's stamped blocks are in tgtd's memory
	python3 - "${TGTD_PID[$TGT]}" <<-'PY'
		import re, sys
		found = 0
		with open(f"/proc/{sys.argv[1]}/maps") as maps, open(f"/proc/{sys.argv[1]}/mem", "rb") as mem:
		    for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps.read(), re.M):
		        mem.seek(int(start, 16))
		        found += mem.read(int(end, 16) - int(start, 16)).count(b"!depmats") # stamp.c
		print(found)
	PY
}

refused_write() { # BLOCKS
	head -c $(($1 * 512)) "$STATE/flock" | io write "$(url 1 1)" 0 --chunk "$1" 2>/dev/null
}

with_scrub() { # on|off
	local size stamps
	TGT=$1
	tgtd_ready_or_die
	level_create "$1"
	volume_create "$1" "$1.img" 16M
	target_add 1 && lun_add 1 1 "$STATE/$1.img" --bsopts "scrub=$1" || die "the volume is exported"
	ok "$1: canaries pass" canaries_pass
	diag "scrub=$1: $(left) bytes are left before the destruction"
	load_start "$1" "$(url 1 1)" --connections 4 --depth 16 --size 65536 --slots 16
	sleep 1
	stamps=$(stamps_left)
	ok "$1: destroy" keyadm --json level destroy "$1" --yes
	cp "$STATE/out" "$STATE/$1.certificate"
	ok "$1: what was read under load was right" load_stop "$1"
	diag "scrub=$1: $stamps blocks of the load's while it ran, $(stamps_left) after it"
	for size in $SIZES; do
		refused_write "$size"
	done
	diag "scrub=$1: $(left) bytes are left after it"
}

# Nothing comes after the last small buffers that could overwrite them by chance.
quiet_destruction() { # LEVEL: a volume of its own as target 2
	level_create "$1"
	volume_create "$1" "$1.img" 1M
	target_add 2 && lun_add 2 1 "$STATE/$1.img" || return
	head -c 16384 "$STATE/flock" | io write "$(url 2 1)" 0 --chunk 1
	io read "$(url 2 1)" 0 32 --chunk 2 >/dev/null
	io read "$(url 2 1)" 0 32 --chunk 1 >/dev/null
	left >"$STATE/small"
	keyadm level destroy "$1" --yes >/dev/null
}

keyd_ready
with_scrub off
isnt "without scrub tgtd's freed buffers hold plaintext" "$(left)" 0
isnt "and what the load moved" "$(stamps_left)" 0
is "as the certificate says" "$(json "$STATE/off.certificate" '[a["scrub"] for a in d["acknowledged"]]')" "[False]"
with_scrub on
is "with scrub none is left" "$(left)" 0
is "nor of what the load moved" "$(stamps_left)" 0
ok "a level is destroyed in silence" quiet_destruction quiet
diag "before, of small reads: $(<"$STATE/small")"
is "of small reads nothing is left" "$(left)" 0
is "as the certificate says" "$(json "$STATE/on.certificate" '[a["scrub"] for a in d["acknowledged"]]')" "[False, True]"

# It holds for every LUN of a tgtd, and keyd knows at once.
level_create later
volume_create later later.img 1M
ok "another LUN of that tgtd" lun_add 1 2 "$STATE/later.img" --bsopts scrub=off
keyd_stop && keyd_start || die "keyd restarts"
ok "its key is asked for again" becomes 10 "['$(realpath "$STATE")/later.img']" eval \
	"keyadm --json volume list --level later >'$STATE/list' && json '$STATE/list' '[v[\"path\"] for v in d if v[\"attached\"]]'"
ok "destroy after a restart of keyd" keyadm --json level destroy later --yes
is "the certificate says so again" "$(json "$STATE/out" '[a["scrub"] for a in d["acknowledged"] if a["wiped"]]')" "[True]"

not_ok "what is no switch is refused" lun_add 1 3 "$STATE/later.img" --bsopts scrub=yes

done_testing
