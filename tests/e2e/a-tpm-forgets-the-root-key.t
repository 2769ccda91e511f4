#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Custody TPM 2.0 (swtpm, with tpm2-tools as the oracle): a destroy replaces the root key in the TPM, so that nothing of
# the destroyed level can be opened with all that is left; an old copy of the store is refused; PIN and PCRs bind it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../tpm.sh"

PIN=1234-abcd

keyd_tpm() { keyd_start --config "$STATE/keyd.conf"; }
restart_keyd() { keyd_stop && keyd_tpm || die "keyd starts"; }

# What a level's file opens to with any 32 bytes that lie in the TPM's readable indices, or nothing.
opens_with_tpm() { # LEVEL.KEY
	local slot
	rm -f "$STATE/nv"
	for slot in $(tpm_slots); do tpm2_nvread "$slot" 2>/dev/null >>"$STATE/nv"; done
	opens_with "$1" "$STATE/nv"
}
# Tries every 32 bytes of KEYS as the root key, with nothing of keyd (tests/tools/unseal.c).
opens_with() { # LEVEL.KEY KEYS
	if "$BUILD/tests/unseal" "$2" "$1" >/dev/null 2>&1; then echo opens; else echo "stays shut"; fi
}

tpm_start || die "a TPM starts"
tpm_conf
tpm2_nvdefine 0x1800100 -s 8 >/dev/null
keyd_tpm || die "keyd starts"
refused "another's NV index is left alone" 1 "in use: set another tpm2-nv-index" keyadm init --custody tpm2
is "so it is" "$(tpm_slots)" 0x1800100
like "and there is no store" "$(keyadm --json status)" '"initialized": *false'
tpm2_nvundefine 0x1800100 >/dev/null
ok "a store in the TPM" keyadm init --custody tpm2
is "one index keeps its root key" "$(tpm_slots)" 0x1800101
is "the store has none" "$(cd "$STATE/store" && echo root.*)" root.tpm2
like "whose class is purge" "$(keyadm --json status)" '"erase_class": *"purge"'

tgtd_ready_or_die
for level in one two; do
	level_create $level
	volume_create $level $level.img 16M
done
export_volume 1 one.img
export_volume 2 two.img
random_file "$STATE/plain" 65536
ok "a LUN is written" io write "$(url 2 1)" 0 <"$STATE/plain"
restart_keyd
is "keyd starts by itself" "$(states)" "one:active two:active"

# --- destroying -----------------------------------------------------------------------------------

keyadm level suspend two >/dev/null
level_create three
cp -a "$STATE/store" "$STATE/old"
is "before, the TPM's key opens the level's" "$(opens_with_tpm "$STATE/old/levels/one/level.key")" opens
cp "$STATE/nv" "$STATE/nv.before"
head -c 32 "$STATE/nv" >"$STATE/root.before"
like "keyd has it in memory once (17 runs of 16 bytes)" "$("$BUILD/tests/memscan" "$KEYD_PID" "$STATE/root.before")" "^hits 17"
like "what it will be worth is told before" "$(keyadm level show one)" "erase class *purge"
like "less for a volume alone" "$(keyadm volume show "$STATE/one.img")" "erase class *clear"
ok "a level is destroyed" keyadm level destroy one --yes
like "its certificate says purge" "$(keyadm --json level show one)" '"erase_class": *"purge"'
is "the root key is in the other index, alone" "$(tpm_slots)" 0x1800100
like "keyd's memory has nothing of the old one" "$("$BUILD/tests/memscan" "$KEYD_PID" "$STATE/root.before")" "^hits 0"
is "nothing in the TPM opens the old file now" "$(opens_with_tpm "$STATE/old/levels/one/level.key")" "stays shut"
is "which would be noticed" "$(opens_with "$STATE/old/levels/one/level.key" "$STATE/nv.before")" opens
is "what is left of the store opens with it" "$(opens_with_tpm "$STATE/store/levels/two/level.key")" opens
is "the others are as they were" "$(states)" "one:destroyed three:active two:suspended"
ok "a suspended one is resumed" keyadm level resume two
ok "its data is there" becomes 10 ok read_outcome "$(url 2 1)"
ok "the same bytes" eval "io read '$(url 2 1)' 0 128 | cmp - '$STATE/plain'"
is "the destroyed one's is not" "$(read_outcome "$(url 1 1)")" 07/74/71
keyadm volume destroy "$STATE/two.img" --yes >"$STATE/destroy"
like "a volume alone is cleared, and the certificate says why" "$(<"$STATE/destroy")" "its level lives on"
restart_keyd
is "all that after a restart" "$(states)" "one:destroyed three:active two:active"

# --- an old copy ----------------------------------------------------------------------------------

keyd_stop
mv "$STATE/store" "$STATE/new"
cp -a "$STATE/old" "$STATE/store"
not_ok "an old copy of the store is refused" keyd_tpm
like "and it is said why" "$(tail -n 1 "$STATE/keyd.log")" "old copy of the key store"
cp "$STATE/new/root.tpm2" "$STATE/store/root.tpm2"
ok "with the present epoch forged into it keyd starts" keyd_tpm
is "but its levels are shut" "$(states)" "one:damaged three:damaged two:damaged"
keyd_stop
rm -r "$STATE/store"
cp -a "$STATE/new" "$STATE/store"
ok "the right one starts" keyd_tpm

# --- the TPM away ---------------------------------------------------------------------------------

kill -STOP "$TPM_PID" && tpm_stop
refused "without its TPM keyd destroys nothing for good" 1 "cannot replace the root key" keyadm level destroy three --yes
like "the level is never given out again" "$(states)" "three:destroying"
keyd_stop
not_ok "nor does it start" keyd_tpm
like "and says what is missing" "$(tail -n 1 "$STATE/keyd.log")" "no TPM answers: see tpm2-tcti"
tpm_start || die "the TPM is back"
keyd_tpm || die "keyd starts"
ok "then the destroy is completed" becomes 10 "one:destroyed three:destroyed two:active" states
is "with one index left" "$(tpm_slots | wc -w)" 1

cp "$STATE/old/levels/one/level.key" "$STATE/store/levels/one/"
ok "a destroyed level's key that is put back" keyadm custody change --custody tpm2
is "is not wrapped again" "$(opens_with_tpm "$STATE/store/levels/one/level.key")" "stays shut"
rm "$STATE/store/levels/one/level.key"

# --- classes that only remember -------------------------------------------------------------------

level_create pure
level_create harmed
like "a level that was always here is purged" "$(keyadm level show pure)" "erase class *purge"
mkdir "$STATE/store/.next-root.key"
refused "a change that cannot be prepared" 1 "nothing was changed" keyadm custody change --custody file
rmdir "$STATE/store/.next-root.key"
like "leaves remnants all the same" "$(keyadm level show pure)" "erase class *clear"
keyd_stop
printf damaged | dd of="$STATE/store/levels/harmed/level.key" bs=1 seek=300 conv=notrunc status=none
keyd_tpm || die "keyd starts"
like "that is remembered" "$(keyadm level show pure)" "erase class *clear"
like "of one that cannot be read nobody knows" "$(keyadm level show harmed)" "erase class *clear"
for level in pure harmed; do keyadm level destroy $level --yes >/dev/null; done
like "nor does its certificate claim to" "$(keyadm --json level show harmed)" '"erase_class": *"clear"'

# --- custody change -------------------------------------------------------------------------------

ok "to a file" keyadm custody change --custody file
is "the TPM has nothing any more" "$(tpm_slots)" ""
is "the levels are there" "$(states)" "harmed:destroyed one:destroyed pure:destroyed three:destroyed two:active"
level_create four
ok "and back, with a PIN" keyadm custody change --custody tpm2 --passphrase-fd 3 3<<<"$PIN"
like "a level that was in a file stays in its class" "$(keyadm level show four)" "erase class *clear"
restart_keyd
is "keyd starts locked" "$(locked)" true
refused "another PIN does not open it" 1 "not the passphrase" keyadm unlock --passphrase-fd 3 3<<<"4321"
ok "the PIN does" keyadm unlock --passphrase-fd 3 3<<<"$PIN"
not_ok "nobody reads it from the TPM without" tpm2_nvread "$(tpm_slots)"
tpm2_dictionarylockout --clear-lockout
level_create five
ok "a destroy needs no PIN" keyadm level destroy five --yes
like "its level was never in a file" "$(keyadm --json level show five)" '"erase_class": *"purge"'
restart_keyd
ok "the PIN is the same after it" keyadm unlock --passphrase-fd 3 3<<<"$PIN"
is "the levels are there" "$(states)" "five:destroyed four:active harmed:destroyed one:destroyed pure:destroyed three:destroyed two:active"
is "no PIN stays in the state folder" "$(grep -rl "$PIN" "$STATE" 2>/dev/null)" ""
refused "a PIN is no single digit" 1 "a PIN 4" keyadm custody change --custody tpm2 --passphrase-fd 3 3<<<"1"
ok "another PIN" keyadm custody change --custody tpm2 --passphrase-fd 3 3<<<"98765"
restart_keyd
refused "the old one is good for nothing" 1 "not the passphrase" keyadm unlock --passphrase-fd 3 3<<<"$PIN"
for ((i = 0; i < 4; i++)); do keyadm unlock --passphrase-fd 3 3<<<"$PIN" >/dev/null 2>&1; done
refused "nobody can go on guessing" 1 "takes no PIN for a while" keyadm unlock --passphrase-fd 3 3<<<"98765"
tpm2_dictionarylockout --clear-lockout
ok "the new one is" keyadm unlock --passphrase-fd 3 3<<<"98765"

# --- PCRs ----------------------------------------------------------------------------------------

tpm_conf "tpm2-pcrs = 7,23"
restart_keyd
ok "unlocked" keyadm unlock --passphrase-fd 3 3<<<"98765"
ok "bound to PCRs, without a PIN" keyadm custody change --custody tpm2
restart_keyd
is "while they are as they were keyd starts" "$(states)" "five:destroyed four:active harmed:destroyed one:destroyed pure:destroyed three:destroyed two:active"
ok "and destroys" keyadm level destroy four --yes
keyd_stop
tpm2_pcrextend "23:sha256=$(printf '%064d' 1)"
not_ok "on a machine in another state it does not start" keyd_tpm
like "and says so" "$(tail -n 1 "$STATE/keyd.log")" "its PCRs differ"
tpm2_pcrreset 23
ok "in the old state it does" keyd_tpm

# --- a crash at any moment -----------------------------------------------------------------------

wrong=0 count=0
for ((i = 0; i < 15; i++)); do
	level_create "c$i"
	keyadm level destroy "c$i" --yes >/dev/null 2>&1 &
	sleep "0.$(printf '%03d' $((RANDOM % 300)))"
	kill_pid "$KEYD_PID"
	wait $! && count=$((count + 1))
	tpm2_flushcontext -l && tpm2_flushcontext -t # as the resource manager of a kernel does
	keyd_tpm || die "keyd starts after a crash"
	[[ $(states) == *two:active* ]] || wrong=$((wrong + 1))
	[ "$(tpm_slots | wc -w)" = 1 ] || wrong=$((wrong + 1))
	keyadm level destroy "c$i" --yes >/dev/null 2>&1
	[[ $(states) == *c$i:destroyed* ]] || wrong=$((wrong + 1))
done
is "15 crashes while destroying left one root key and a whole store ($count had ended)" "$wrong" 0

# --- another machine -----------------------------------------------------------------------------

keyd_stop
tpm_stop
rm -r "$STATE/tpm"
tpm_start || die "another TPM starts"
not_ok "with another TPM the store stays shut" keyd_tpm
like "and it is said why" "$(tail -n 1 "$STATE/keyd.log")" "it was cleared, or is another one"

done_testing
