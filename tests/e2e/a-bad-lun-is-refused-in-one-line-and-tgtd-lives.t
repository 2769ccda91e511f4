#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Each wrong backing store or option: refused, one clear line in tgtd's log, and a good LUN still works.
. "$(dirname "$0")/../lib.sh"

stage level
level_create other
volume_create level lun.img 16M
volume_create level big.img 16M --sector-size 4096
good=$(url 1 1)
pid=${TGTD_PID[a]}
target_add 2

bad_lun() { # NAME REGEX PATH [tgtadm's options]
	local name=$1 regex=$2 path=$3 lines began=$SECONDS
	shift 3
	lines=$(wc -l <"$(tgtd_log)")
	not_ok "$name: refused" lun_add 2 1 "$path" "$@"
	ok "$name: without a long wait" [ $((SECONDS - began)) -lt 8 ]
	lun_delete 2 1 2>/dev/null
	tail -n +$((lines + 1)) "$(tgtd_log)" | grep 'bs_crypt: ' >"$STATE/said"
	is "$name: in one line" "$(wc -l <"$STATE/said")" 1
	like "$name: that says what" "$(<"$STATE/said")" "$regex"
	is "$name: the good LUN goes on" "$(read_outcome "$good")" ok
}

lun=$STATE/lun.img
bad_lun "wrong level" 'lun.img.*level' "$lun" --bsopts level=other
bad_lun "a level that does not exist" 'lun.img.*level' "$lun" --bsopts level=nobody
bad_lun "unknown option" "unknown option 'colour'" "$lun" --bsopts colour=red
bad_lun "unknown option among good ones" "unknown option 'colour'" "$lun" --bsopts "level=level;colour=red"
bad_lun "bad number" 'threads' "$lun" --bsopts threads=many
bad_lun "number out of range" 'threads' "$lun" --bsopts threads=0
bad_lun "bad switch" 'shared' "$lun" --bsopts shared=maybe
bad_lun "unknown engine" 'engine' "$lun" --bsopts engine=none-such
bad_lun "no value" 'level' "$lun" --bsopts level
bad_lun "relative socket path" 'keyd' "$lun" --bsopts keyd=keyd.sock
bad_lun "wrong socket" 'no-such.sock|keyd' "$lun" --bsopts "keyd=$STATE/no-such.sock"
bad_lun "the administrators' socket" 'keyd' "$lun" --bsopts "keyd=$STATE/admin.sock"
bad_lun "missing file" 'no-such.img.*No such file' "$STATE/no-such.img"
mkdir "$STATE/folder"
bad_lun "a folder" 'folder' "$STATE/folder"
mkfifo "$STATE/fifo"
bad_lun "a fifo" 'fifo' "$STATE/fifo"
: >"$STATE/empty.img"
bad_lun "an empty file" 'empty.img.*LUKS2' "$STATE/empty.img"
head -c 4M /dev/zero >"$STATE/plain.img"
bad_lun "a plain file" 'plain.img.*LUKS2' "$STATE/plain.img"
random_file "$STATE/random.img" 17000000
bad_lun "random data" 'random.img.*LUKS2' "$STATE/random.img"
cp --sparse=always "$lun" "$STATE/saved"
truncate -s $((LUKS_DATA_OFFSET + 4096)) "$lun"
bad_lun "a file that is too small" 'lun.img.*small' "$lun"
truncate -s 1000000 "$lun"
bad_lun "a file that ends in the header" 'lun.img' "$lun"
cp --sparse=always "$STATE/saved" "$lun"
bad_lun "another block size" 'lun.img.*--blocksize 512' "$lun" --blocksize 4096
bad_lun "another block size, the other way" 'big.img.*--blocksize 4096' "$STATE/big.img"
cp --sparse=always "$lun" "$STATE/copy.img"
volume_create level gone.img 16M
keyadm volume destroy "$STATE/gone.img" --yes >/dev/null
bad_lun "a destroyed volume" 'gone.img.*destroyed' "$STATE/gone.img"
kill_pid "$KEYD_PID"
wait_for 10 grep -q "keyd at $STATE/keyd.sock is away" "$(tgtd_log)" || die "tgtd notices that keyd is gone"
bad_lun "no keyd" 'keyd' "$lun"
keyd_start || die "keyd starts"

ok "the right options are taken" lun_add 2 1 "$lun" --bsopts "level=level;keyd=$STATE/keyd.sock;threads=2;grace=100;shared=off"
is "and the LUN works" "$(read_outcome "$(url 2 1)")" ok
ok "4096-byte blocks where they belong" lun_add 2 2 "$STATE/big.img" --blocksize 4096
is "work too" "$(read_outcome "$(url 2 2)")" ok
ok "tgtd lived through all of it" alive "$pid"

done_testing
