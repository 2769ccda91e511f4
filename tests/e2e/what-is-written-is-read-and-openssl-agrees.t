#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Data written through iSCSI reads back equal, openssl(1) alone decrypts the backing file to the same,
# and the file does not hold the plaintext. For both block sizes, at both ends of the LUN.
. "$(dirname "$0")/../lib.sh"

SIZE=$((64 << 20))

# Writes random data, reads it with another command size, decrypts some of its sectors.
written_is_read() { # URL FILE LBA BLOCKS CHUNK BLOCK_BYTES
	local url=$1 file=$2 lba=$3 blocks=$4 chunk=$5 block_bytes=$6
	local what="$blocks blocks of $block_bytes at $lba, $chunk a command"
	local sample=$((blocks < 9 ? blocks : 9))
	random_file "$STATE/plain" $((blocks * block_bytes))
	ok "write $what" io write "$url" "$lba" --chunk "$chunk" <"$STATE/plain"
	io read "$url" "$lba" "$blocks" --chunk $((chunk > 3 ? chunk - 3 : 1)) >"$STATE/read"
	same "read $what" "$STATE/read" "$STATE/plain"
	openssl_sectors "$file" "$STATE/$block_bytes.key" "$lba" $sample "$block_bytes" >"$STATE/openssl"
	ok "openssl decrypts the first $sample" \
		cmp -n $((sample * block_bytes)) "$STATE/openssl" "$STATE/plain"
	is "and there were that many" "$(stat -c %s "$STATE/openssl")" $((sample * block_bytes))
	openssl_sectors "$file" "$STATE/$block_bytes.key" $((lba + blocks - 1)) 1 "$block_bytes" >"$STATE/openssl"
	tail -c "$block_bytes" "$STATE/plain" >"$STATE/tail"
	same "openssl decrypts the last" "$STATE/openssl" "$STATE/tail"
}

keyd_ready
tgtd_ready_or_die
level_create secret

tid=0
for block_bytes in 512 4096; do
	file=$STATE/$block_bytes.img
	last=$((SIZE / block_bytes - 1))
	volume_create secret $block_bytes.img 64M --sector-size $block_bytes
	export_volume $((++tid)) $block_bytes.img --blocksize $block_bytes
	u=$(url $tid 1)
	keyadm volume key "$file" --out "$STATE/$block_bytes.key" >/dev/null || die "volume key is exported"

	is "the initiator sees the size asked for" "$(io capacity "$u")" "$((last + 1)) $block_bytes"
	is "the file has the header on top" "$(stat -c %s "$file")" $((SIZE + LUKS_DATA_OFFSET))
	written_is_read "$u" "$file" 0 1 1 $block_bytes
	written_is_read "$u" "$file" $last 1 1 $block_bytes
	written_is_read "$u" "$file" 1 37 5 $block_bytes
	written_is_read "$u" "$file" 4095 2 2 $block_bytes
	written_is_read "$u" "$file" $((last - 99)) 100 100 $block_bytes
	written_is_read "$u" "$file" 1000 2048 2048 $block_bytes # 1 or 8 MiB in one command
	is "past the end is refused" "$(read_outcome "$u" $((last + 1)))" 05/21/00

	yes 'THIS TEXT IS A SECRET OF THE TEST' | head -c $((16 * block_bytes)) >"$STATE/plain"
	ok "a text is written" io write "$u" 512 <"$STATE/plain"
	io read "$u" 512 16 >"$STATE/read"
	same "a text is read" "$STATE/read" "$STATE/plain"
	not_ok "the file does not hold the text" grep -q 'SECRET OF THE TEST' "$file"
	is "equal blocks differ on disk" "$(tail -c +$((LUKS_DATA_OFFSET + 512 * block_bytes + 1)) "$file" |
		head -c $((16 * block_bytes)) | hex | fold -w 32 | sort | uniq -d | wc -l)" 0
done

# The same plaintext at the same place of another volume of the level: another key, other ciphertext.
volume_create secret other.img 64M
export_volume 3 other.img
head -c 512 /dev/zero >"$STATE/plain"
io write "$(url 1 1)" 7 <"$STATE/plain"
io write "$(url 3 1)" 7 <"$STATE/plain"
isnt "two volumes of a level have different ciphertext" \
	"$(tail -c +$((LUKS_DATA_OFFSET + 7 * 512 + 1)) "$STATE/512.img" | head -c 512 | sha256sum)" \
	"$(tail -c +$((LUKS_DATA_OFFSET + 7 * 512 + 1)) "$STATE/other.img" | head -c 512 | sha256sum)"

done_testing
