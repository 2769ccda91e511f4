#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm zeroize destroys what a PKCS#11 token has of the store: of an open one at once; of one that is closed as soon as
# the PIN is given, and nobody is told that it is done before.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../token.sh"

objects() { token_tool --list-objects | grep -c label; }
with_pin() { keyadm "$@" --passphrase-fd 3 3<<<"$PIN"; }
document() { json "$STATE/store/zeroized" "$1"; }
start() { keyd_start --config "$STATE/keyd.conf" || die "keyd starts"; }
make_store() {
	with_pin init --custody pkcs11 >/dev/null || die "a store in the token"
	level_create one
	level_create two
}

token_make || die "a token is made"
token_conf
start

make_store
is "an open store has three objects in the token" "$(objects)" 3
cp -a "$STATE/store" "$STATE/copy"
ok "it is zeroized" keyadm zeroize --all --yes
is "the token has none any more" "$(objects)" 0
is "the certificate says purge" "$(document 'd["custody"], d["erase_class"], d["verification"]["result"]')" \
	"('pkcs11', 'purge', 'passed')"
ok "there can be a new one" eval make_store
is "with objects of its own" "$(objects)" 3
ok "whose audit log is whole" keyadm audit --verify
keyd_stop
start
with_pin unlock >/dev/null
ok "also after a restart" keyadm audit --verify

keyd_stop
start
not_ok "a closed one is zeroized as far as it can be" keyadm zeroize --all --yes
is "its objects are there" "$(objects)" 3
is "and the certificate does not say otherwise" "$(document 'd["erase_class"], d["verification"]["result"]')" \
	"('clear', 'failed')"
unlike "nor the log" "$(tail -n 4 "$STATE/keyd.log")" "root key is erased"
refused "another PIN does not help" 1 "not the token's PIN" keyadm unlock --passphrase-fd 3 3<<<"wrong-pin"
ok "the PIN does" with_pin unlock
is "then the token has none" "$(objects)" 0
ok "and zeroize certifies that" keyadm zeroize --all --yes
is "all is gone" "$(document 'd["verification"]["result"]')" passed

done_testing
