#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A LUN's file is a LUKS2 volume that stock cryptsetup knows and, given the key, opens: disaster recovery.
. "$(dirname "$0")/../lib.sh"

try_key() { # FILE KEYFILE
	timeout 20 cryptsetup open --test-passphrase --type luks2 --volume-key-file "$2" --key-size 256 "$1" x
}

stage secret
file=$STATE/secret.img
u=$(url 1 1)

ok "the key is exported" keyadm volume key "$file" --out "$STATE/vk"
is "as 32 bytes" "$(stat -c %s "$STATE/vk")" 32
is "in a private file" "$(stat -c %a "$STATE/vk")" 600
refused "an existing file is not overwritten" 1 "exist" keyadm volume key "$file" --out "$STATE/vk"

dump=$(cryptsetup luksDump "$file") && pass "luksDump reads the header" || fail "luksDump reads the header"
like "it says the cipher" "$dump" 'cipher: aes-cbc-essiv:sha256'
like "it says the sector size" "$dump" 'sector: 512 \[bytes\]'
like "it says where data begins" "$dump" 'offset: 16777216 \[bytes\]'
like "it has a token of keyd" "$dump" 'tgt-keyd'
unlike "it has no key slot" "$dump" '^  0: luks2'
uuid=$(cryptsetup luksUUID "$file")
like "keyadm shows the same UUID" "$(keyadm volume show "$file")" "$uuid"
ok "keyadm finds the volume by UUID" keyadm volume show "$uuid"
is "blkid knows it" "$(blkid -p -s TYPE -o value "$file")" crypto_LUKS

ok "cryptsetup accepts the key while the LUN is open" try_key "$file" "$STATE/vk"
is "the LUN goes on" "$(read_outcome "$u")" ok
lun_delete 1 1
ok "cryptsetup accepts the key when it is closed" try_key "$file" "$STATE/vk"
random_file "$STATE/wrong" 32
not_ok "cryptsetup refuses another key" try_key "$file" "$STATE/wrong"

volume_create secret big.img 16M --sector-size 4096
ok "the key of a volume with 4096-byte sectors" keyadm volume key "$STATE/big.img" --out "$STATE/vk2"
ok "is accepted too" try_key "$STATE/big.img" "$STATE/vk2"
not_ok "the key of another volume is not" try_key "$STATE/big.img" "$STATE/vk"

done_testing
