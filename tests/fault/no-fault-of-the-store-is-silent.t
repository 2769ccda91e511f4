#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every call that a command makes of the store is struck by every kind of fault: the command is right all
# the same, or answered with the sense that belongs to it; nothing else changes, and another LUN of the
# same tgtd does not notice. FAULTS is how many, shared among the kinds of LUN; SEED repeats a run.
FAULTS=${FAULTS:-7000}
TEST_LIMIT=${TEST_LIMIT:-$((240 + FAULTS / 8))}
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/faults.sh"

SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
SIZE=$((16 << 20))
MEMORY=$(mktemp -d /dev/shm/tgt-crypt-test.XXXXXX)
at_exit "rm -rf $MEMORY"

keyd_ready
faulty_tgtd_or_die
level_create level
volume_create level other.img 64M
export_volume 9 other.img
LOAD_SECONDS=$TEST_LIMIT load_start other "$(url 9 1)" --connections 1 --depth 2 --flush-every 500

told() { sed -n "s/^$1 //p" "$STATE/swept"; } # NAME

# NAME FOLDER SECTOR_BYTES [sweep's options] [-- tgtadm's options]
swept() {
	local name=$1 folder=$2 sector=$3 options=() thin=() file=$1.img
	shift 3
	while [ $# != 0 ] && [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	tid=$((tid + 1))
	keyadm volume create --level level --size $SIZE --sector-size "$sector" "$folder/$file" >/dev/null ||
		die "$name is created"
	[ "$folder" = "$STATE" ] || ln -s "$folder/$file" "$STATE/$file"
	export_volume $tid "$file" --blocksize "$sector" "$@"
	began=$(io now)
	"$BUILD/tests/sweep" "$(url $tid 1)" --control "$STATE/control" --image "$folder/$file" \
		--reopen "$(reopening $tid "$file" --blocksize "$sector" "$@")" --model "$STATE/model" \
		--faults $((FAULTS / KINDS)) --seed "$SEED" "${options[@]}" >"$STATE/swept" 2>"$STATE/complaint"
	is "$name: every fault is mended or told" $? 0
	diag "$name: $(paste -sd, "$STATE/swept")"
	[ ! -s "$STATE/complaint" ] || diag "$(<"$STATE/complaint")"
	ok "$name: there were as many as asked for" [ "$(told faults)" -ge $((FAULTS / KINDS)) ]
	ok "$name: of which some were told" [ "$(told 'answered with an error')" -gt 0 ]
	isnt "$name: another LUN was served meanwhile" "$(load_count other "$began" W ok)" 0
	[[ " ${options[*]} " != *" --thin "* ]] || thin=(thin)
	decrypted "$folder/$file" "$sector" $SIZE "${thin[@]}" >"$STATE/plain"
	same "$name: what is on the disk, decrypted by openssl, is the model" "$STATE/plain" "$STATE/model"
	lun_delete $tid 1
	tgt --op delete --mode target --tid $tid --force
}

tid=0 KINDS=7
swept plain "$STATE" 512
swept large-sectors "$STATE" 4096
swept no-write-cache "$STATE" 512 --write-cache-off
swept openssl "$STATE" 512 -- --bsopts engine=openssl
swept in-memory "$MEMORY" 512
swept thin "$STATE" 512 --thin -- --bsopts discard=on
swept direct "$STATE" 4096 --unit 4096 -- --bsoflags direct

ok "the other LUN's reads were right" load_stop other
is "and none of its commands failed" "$(load_outcomes other)" ok

done_testing
