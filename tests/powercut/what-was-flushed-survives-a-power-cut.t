#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Power cuts at random moments of recorded runs: what was flushed or written with FUA, or at all with the
# write cache off, is there; every other sector is old or new. CUTS is how many for each kind of LUN, COMMANDS
# how many commands a run has, SEED repeats a run's choices (not its timing).
CUTS=${CUTS:-100}
COMMANDS=${COMMANDS:-3000}
TEST_LIMIT=${TEST_LIMIT:-$((240 + CUTS + COMMANDS / 20))}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../fault/faults.sh"

SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
SIZE=$((6 << 20))
SERVED=5 # images of a run that a tgtd serves

keyd_ready
faulty_tgtd_or_die
level_create level
diag "seed $SEED"

found() { sed -n "s/^$1 //p" "$STATE/found"; } # NAME

serve() { # NAME TID SECTOR_BYTES TEARING [tgtadm's options]: the images of some cuts
	local name=$1 tid=$2 sector=$3 tearing=$4 i broken=0
	shift 4
	for ((i = 0; i < SERVED; i++)); do
		lun_delete "$tid" 1 || die "$name is closed"
		dd if="$STATE/cuts/$i.data" of="$STATE/$name.img" bs=1M seek=16 conv=notrunc status=none
		lun_add "$tid" 1 "$STATE/$name.img" --blocksize "$sector" "$@" || die "$name is opened"
		io read "$(url "$tid" 1)" 0 $((SIZE / sector)) >"$STATE/plain"
		"$BUILD/tests/cuts" --check "$STATE/plain" "$STATE/cuts/$i" "$tearing" || broken=$((broken + 1))
	done
	is "$name: a tgtd that starts again serves the same" $broken 0
}

# NAME CACHE SECTOR_BYTES TORN_BYTES [tgtadm's options]; torn: what a disk writes at once
cut_power() {
	local name=$1 cache=$2 sector=$3 torn=$4 tearing=512
	shift 4
	tid=$((tid + 1))
	volume_create level "$name.img" $SIZE --sector-size "$sector"
	export_volume $tid "$name.img" --blocksize "$sector" "$@"
	: >"$STATE/log"
	ok "$name: there is a run" "$BUILD/tests/writers" "$(url $tid 1)" --control "$STATE/control" \
		--image "$STATE/$name.img" --log "$STATE/commands" --commands "$COMMANDS" --cache "$cache" --seed "$SEED"
	keyadm volume key "$STATE/$name.img" --out "$STATE/$name.key" >/dev/null || die "its key is given out"
	rm -rf "$STATE/cuts"
	mkdir "$STATE/cuts"
	"$BUILD/tests/cuts" --log "$STATE/log" --commands "$STATE/commands" --key "$STATE/$name.key" \
		--sector-bytes "$sector" --torn-bytes "$torn" --bytes $SIZE --cuts "$CUTS" --seed "$SEED" \
		--save "$STATE/cuts" --saves $SERVED >"$STATE/found" 2>"$STATE/complaint"
	is "$name: after each of $CUTS cuts every promise is kept" "$? $(found 'broken promises')" "0 0"
	diag "$name: $(paste -sd, "$STATE/found")"
	[ ! -s "$STATE/complaint" ] || diag "$(head -n 5 "$STATE/complaint")"
	ok "$name: something was pending" [ "$(found 'writes pending')" -gt 0 ]
	[ "$torn" -ge "$sector" ] || tearing=$sector
	serve "$name" $tid "$sector" "$tearing" "$@"
	lun_delete $tid 1
}

tid=0
cut_power cache-on on 512 512
cut_power cache-off off 512 512
cut_power cache-switched-off switched 512 512
cut_power written-through none 512 512 --bsoflags sync
cut_power large-sectors on 4096 4096
# A disk that writes 512 bytes at once tears larger sectors. Under CBC that costs an AES block, no more.
cut_power torn-sectors on 4096 512
isnt "torn-sectors: there were tears" "$(found 'units with noise')" 0

done_testing
