#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# keyadm custody change puts the whole store under a new root key: levels, volumes and tombstones are all there
# after it, the old root key is good for nothing, clients notice nothing, and a crash leaves one whole store.
. "$(dirname "$0")/../lib.sh"

WORDS="correct horse battery staple"
LEVELS=40

change() { # CUSTODY [WORDS]
	if [ -n "${2-}" ]; then
		keyadm custody change --custody "$1" --passphrase-fd 3 3<<<"$2"
	else
		keyadm custody change --custody "$1"
	fi
}
unlock() { keyadm unlock --passphrase-fd 3 3<<<"$1"; }
root_files() { (cd "$STATE/store" && echo root.*); }
restart_keyd() { keyd_stop && keyd_start || die "keyd starts"; }

stage one two
random_file "$STATE/plain" 65536
ok "a LUN is written" io write "$(url 1 1)" 0 <"$STATE/plain"
ok "a level is suspended" keyadm level suspend two
level_create gone
ok "another is destroyed" keyadm level destroy gone --yes
before=$(states)
cp -a "$STATE/store" "$STATE/old"

refused "the custody must be named" 2 "needs --custody" keyadm custody change
refused "and be one that there is" 1 "unknown: there are" keyadm custody change --custody paper
refused "a short passphrase changes nothing" 1 "nothing was changed.*8 bytes" change passphrase short
refused "nor does a passphrase for file" 1 "does not go with --custody file" change file "$WORDS"
refused "nor do those who may not" 1 "has no role" keyadm_as 3001 custody change --custody file
is "the store is as before" "$(root_files) $(left_over)" "root.key "

# --- the same custody -----------------------------------------------------------------------------

ok "file to file is a new root key" change file
not_ok "another than before" cmp "$STATE/store/root.key" "$STATE/old/root.key"
is "with the same levels" "$(states)" "$before"
is "and nothing left over" "$(left_over)" ""
restart_keyd
is "also after a restart" "$(states)" "$before"
like "the destroyed level's certificate is there" "$(keyadm level show gone)" "erase class *clear"
refused "and its name stays taken" 1 "gone is destroyed|exists" keyadm level create gone
cp "$STATE/old/root.key" "$STATE/store/root.key"
keyd_stop
keyd_start
is "the old root key opens no level" "$(states)" "gone:destroyed one:damaged two:damaged"
keyd_stop

# --- and back, to a passphrase --------------------------------------------------------------------

rm -r "$STATE/store"
cp -a "$STATE/old" "$STATE/store"
keyd_start || die "keyd starts"
ok "file to passphrase" change passphrase "$WORDS"
is "the root key is no file any more" "$(root_files)" root.passphrase
is "a client noticed nothing" "$(read_outcome "$(url 1 1)")" ok
restart_keyd
refused "keyd starts locked" 1 "is locked" keyadm level list
ok "the passphrase opens it" unlock "$WORDS"
is "with the same levels" "$(states)" "$before"
ok "another passphrase" change passphrase "the second passphrase"
restart_keyd
refused "the first is good for nothing" 1 "not the passphrase" unlock "$WORDS"
ok "the second is" unlock "the second passphrase"
ok "passphrase to file" change file
is "the passphrase's file is gone" "$(root_files)" root.key
ok "a suspended level is resumed under the new root key" keyadm level resume two
is "data is there" "$(becomes 10 ok read_outcome "$(url 2 1)")" ""
ok "its bytes are the same" eval "io read '$(url 1 1)' 0 128 | cmp - '$STATE/plain'"
like "changes are on record" "$(keyadm --json audit)" '"event":"custody-changed".*passphrase to file'
like "what a level was in before is told before it is destroyed" "$(class_of one)" clear

# --- a crash at any moment -----------------------------------------------------------------------

for ((i = 0; i < LEVELS; i++)); do level_create "l$i"; done
before=$(states)
wrong=0 finished=0
for ((i = 0; i < 25; i++)); do
	change file >/dev/null 2>&1 &
	sleep "0.$(printf '%03d' $((RANDOM % 120)))"
	kill_pid "$KEYD_PID"
	wait $! && finished=$((finished + 1))
	keyd_start || die "keyd starts after a crash"
	[ "$(states)" = "$before" ] && [ -z "$(left_over)" ] || wrong=$((wrong + 1))
done
is "25 crashes left 25 whole stores ($finished changes had ended)" "$wrong" 0

# --- what was put there --------------------------------------------------------------------------

keyd_stop
cp "$STATE/store/root.key" "$STATE/store/root.passphrase"
not_ok "keyd does not choose between two root keys" keyd_start
like "and says so" "$(tail -n 1 "$STATE/keyd.log")" "several root keys"
rm "$STATE/store/root.passphrase"
echo "commit file paper" >"$STATE/store/rewrap"
not_ok "nor go on with what makes no sense" keyd_start
like "and says so, too" "$(tail -n 2 "$STATE/keyd.log")" "rewrap is damaged"

done_testing
