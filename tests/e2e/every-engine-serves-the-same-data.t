#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Each crypto engine that this machine has writes what openssl(1) decrypts and the others read, works
# under load, and leaves nothing of a destroyed key in memory.
. "$(dirname "$0")/../lib.sh"

ENGINES="ipsec-mb-avx512 ipsec-mb-avx2 ipsec-mb-sse openssl"
BLOCKS=700 # not a multiple of anything that an engine works with

serve() { # FILE BLOCK_BYTES ENGINE: as target 1
	lun_add 1 1 "$STATE/$1" --blocksize "$2" --bsopts "engine=$3"
}

written_by() { # ENGINE FILE BLOCK_BYTES: random data at LBA 11, kept in $STATE/plain.FILE
	random_file "$STATE/plain.$2" $((BLOCKS * $3))
	ok "$1 writes $BLOCKS blocks of $3" io write "$(url 1 1)" 11 --chunk 300 <"$STATE/plain.$2"
	io read "$(url 1 1)" 11 $BLOCKS --chunk 97 >"$STATE/read"
	same "and reads them" "$STATE/read" "$STATE/plain.$2"
	openssl_sectors "$STATE/$2" "$STATE/key" 11 9 "$3" >"$STATE/openssl"
	ok "which openssl(1) decrypts" cmp -n $((9 * $3)) "$STATE/openssl" "$STATE/plain.$2"
}

read_by() { # ENGINE FILE BLOCK_BYTES
	serve "$2" "$3" "$1" || return
	io read "$(url 1 1)" 11 $BLOCKS >"$STATE/read"
	same "$1 reads them" "$STATE/read" "$STATE/plain.$2"
	lun_delete 1 1
}

leaves_nothing() { # ENGINE FILE: under load, then destroyed
	serve "$2" 512 "$1" || return
	load_start "$1" "$(url 1 1)" --connections 2
	sleep 1
	like "$1 holds the key while it works" \
		"$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/key")" '^hits [1-9]'
	ok "$1: destroy" keyadm level destroy "$1" --yes
	is "$1 leaves nothing of it" \
		"$("$BUILD/tests/memscan" "${TGTD_PID[a]}" "$STATE/key" | head -n 1)" "hits 0"
	ok "$1: all reads were right" load_stop "$1"
	lun_delete 1 1
}

keyd_ready
tgtd_ready_or_die
target_add 1

have=()
for engine in $ENGINES; do
	level_create "$engine"
	volume_create "$engine" "$engine.img" 64M
	if serve "$engine.img" 512 "$engine" 2>/dev/null; then
		lun_delete 1 1
		have+=("$engine")
	else
		skip "$engine" "this machine has none"
	fi
done
like "openssl is there on every machine" "${have[*]}" openssl
not_ok "an engine that nobody has is refused" serve openssl.img 512 none
like "and the log says so" "$(<"$(tgtd_log)")" 'engine=none'

for engine in "${have[@]}"; do
	for block_bytes in 512 4096; do
		file=$engine.$block_bytes
		volume_create "$engine" "$file" 16M --sector-size $block_bytes
		keyadm volume key "$STATE/$file" --out "$STATE/key" >/dev/null
		serve "$file" $block_bytes "$engine" || die "$engine serves $file"
		written_by "$engine" "$file" $block_bytes
		lun_delete 1 1
		rm "$STATE/key"
		for other in "${have[@]}"; do
			[ "$other" = "$engine" ] || read_by "$other" "$file" $block_bytes
		done
	done
done
for engine in "${have[@]}"; do
	keyadm volume key "$STATE/$engine.img" --out "$STATE/key" >/dev/null
	leaves_nothing "$engine" "$engine.img"
	rm "$STATE/key"
done

done_testing
