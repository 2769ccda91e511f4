#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm zeroize with custody TPM 2.0 (swtpm): the root key leaves the TPM, so that an old copy of the store opens
# nothing. A TPM that does not answer is told, and tried again. A request that waits outlives a new root key.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tpm.sh"

store=$STATE/store
keyd_tpm() { keyd_start --config "$STATE/keyd.conf"; }
document() { json "$store/zeroized" "$1"; } # EXPRESSION
new_store() { # with a level and a volume
	rm -rf "$store" "$STATE"/*.img
	keyd_tpm && keyadm init --custody tpm2 >/dev/null || die "a store in the TPM"
	level_create one
	volume_create one one.img 1M
}

tpm_start || die "a TPM starts"
tpm_conf
new_store
isnt "the TPM keeps the root key" "$(tpm_slots)" ""
cp -a "$store" "$STATE/copy"
ok "zeroize" keyadm zeroize --all --yes
is "the TPM has it no more" "$(tpm_slots)" ""
is "nor any file" "$(find "$store" -name 'root.*' -o -name '*.key' | wc -l)" 0
is "the class is purge" "$(document 'd["custody"], d["erase_class"], d["verification"]["result"]')" "('tpm2', 'purge', 'passed')"
keyd_stop
rm -rf "$store" && cp -a "$STATE/copy" "$store"
refused "an old copy of the whole store opens nothing" 1 "TPM does not have the root key" \
	timeout 20 "$BUILD/keyd" --config "$STATE/keyd.conf" --state "$store" --socket "$STATE/keyd.sock" \
	--admin-socket "$STATE/admin.sock"

# A TPM that is away.
new_store
tpm_stop
refused "without the TPM it is not proven" 1 "not every key file could be erased" keyadm zeroize --all --yes
is "the file that tells where it is stays for the next time" "$(cd "$store" && echo root.*)" root.tpm2
is "the rest is gone" "$(find "$store" -name '*.key' | wc -l)" 0
keyd_stop
tpm_start || die "the TPM is back"
ok "with the TPM the next one is" timeout 20 "$BUILD/keyd" --zeroize --config "$STATE/keyd.conf" --state "$store"
is "the TPM is empty" "$(tpm_slots) $(document 'd["verification"]["result"]')" " passed"
is "a closed store claims no more than clear" "$(document 'd["erase_class"]')" clear

# A request and a new root key.
sed -i 's/^security-admin = .*/security-admin = 0, 2001/; s/^fetch = .*/&\ndestroy-approval = yes/; s/^\[roles\]/[keyd]\ncustody-approval = no\n&/' "$STATE/keyd.conf"
new_store
level_create two
keyadm --json level destroy one --yes >"$STATE/request" || die "a request"
ok "the root key is replaced" keyadm custody change --custody tpm2
keyd_stop
keyd_tpm || die "keyd starts"
ok "the request is still there, and is approved" keyadm_as 2001 approve "$(json "$STATE/request" 'd["id"]')"
like "so the level is destroyed" "$(keyadm level list)" "one .*destroyed"
like "and the other is not" "$(keyadm level list)" "two .*active"

done_testing
