#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Stores and an export that the last keyd with record format 2 made (tests/data): their keys come out as they were,
# and the levels are sealed again, each under a key of its own (docs/KEYSTORE.md).
. "$(dirname "$0")/../lib.sh"

old=$STATE/old
mkdir "$old" && tar -xzf "$(dirname "$0")/../data/store-of-format-2.tar.gz" --no-same-owner -C "$old" || die "the old stores are there"
red=$(<"$old/red.uuid") blue=$(<"$old/blue.uuid")
printf 'old passphrase' >"$STATE/words"

version() { od -An -tu2 -j8 -N2 "$1" | tr -d ' '; }
key_of() { # VOLUME: what keyd says its key is, in hex
	rm -f "$STATE/out" && keyadm volume key "$1" --out "$STATE/out" >/dev/null && hex <"$STATE/out"
}
use() { # NAME: of one of the old stores
	rm -rf "$STATE/store" && cp -a "$old/$1" "$STATE/store" && chmod -R go= "$STATE/store" && keyd_start || die "keyd starts on it"
}

use file
is "a volume's key is the one from before" "$(key_of "$red")" "$(hex <"$old/red.volume-key")"
is "a suspended level still is" "$(keyadm level show blue | sed -n 's/^state *//p')" suspended
ok "and can be resumed" keyadm level resume blue
is "with the key from before" "$(key_of "$blue")" "$(hex <"$old/blue.volume-key")"
is "a destroyed level stays destroyed" "$(keyadm level show gone | sed -n 's/^state *//p')" destroyed
ok "the audit log goes on" keyadm audit --verify
is "a level is sealed in the new format at the first start" "$(version "$STATE/store/levels/red/level.key")" 3
is "a volume's key stays as it was until it is written again" "$(version "$STATE/store/levels/red/volumes/$red.key")" 2
exec 5<"$STATE/words"
refused "an old export is compared with what is there" 1 "red" keyadm import "$old/red.export" --passphrase-fd 5
exec 5<&-
ok "a new root key seals all levels again" keyadm custody change --custody file
keyd_stop
keyd_start || die "keyd starts again"
is "what it sealed opens after a restart" "$(key_of "$blue")" "$(hex <"$old/blue.volume-key")"
keyd_stop

use passphrase
exec 5<"$STATE/words"
ok "the old passphrase opens the old store" keyadm unlock --passphrase-fd 5
exec 5<&-
is "with the same keys in it" "$(key_of "$red")" "$(hex <"$old/red.volume-key")"
exec 5<"$STATE/words"
ok "a change to the same custody writes it anew" keyadm custody change --custody passphrase --passphrase-fd 5
exec 5<&-
is "in the new format" "$(head -c 15 "$STATE/store/root.passphrase")" "TGTKEYD pass v2"
keyd_stop

rm -rf "$STATE/store"
keyd_start && keyadm init >/dev/null || die "a new store"
exec 5<"$STATE/words"
ok "an old export is imported into a new store" keyadm import "$old/red.export" --passphrase-fd 5
exec 5<&-
is "with the key from before" "$(key_of "$red")" "$(hex <"$old/red.volume-key")"
is "sealed in the new format" "$(version "$STATE/store/levels/red/volumes/$red.key")" 3
exec 5<"$STATE/words"
ok "a new export under a passphrase" keyadm export --level red --out "$STATE/new.export" --passphrase-fd 5
exec 5<&-
is "has the new format" "$(head -c 15 "$STATE/new.export")" "TGTKEYD seal v2"
done_testing
