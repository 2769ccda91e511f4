#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Custody passphrase: without it a started keyd serves nothing and gives nothing away; clients notice only
# when their grace is over; it comes from a descriptor, a terminal or a credential, and stays nowhere.
. "$(dirname "$0")/../lib.sh"

WORDS="correct horse battery staple"

init() { keyadm init --custody "$1" --passphrase-fd 3 3<<<"$2"; }   # CUSTODY WORDS
unlock() { keyadm unlock --passphrase-fd 3 3<<<"$1"; }              # WORDS
unlock_as() { keyadm_as "$1" unlock --passphrase-fd 3 3<<<"$WORDS"; } # UID

restart_keyd() { # [the folder of its credentials]
	keyd_stop
	export CREDENTIALS_DIRECTORY=${1-/nonexistent}
	keyd_start || die "keyd starts"
}

keyd_start || die "keyd starts"
refused "a short passphrase makes no store" 1 "8 bytes at least" \
	init passphrase short
refused "nor does an empty one" 1 "it is empty" \
	init passphrase ""
refused "nor one where there is no terminal to ask" 1 "give --passphrase-fd" \
	setsid "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" init --custody passphrase
refused "nor one for another custody" 1 "does not go with --custody file" \
	init file "$WORDS"
like "so there is none" "$(keyadm --json status)" '"initialized": *false'
ok "a good one does" init passphrase "$WORDS"
is "it is open at once" "$(locked)" false
is "its root key is no file" "$(cd "$STATE/store" && echo root.*)" root.passphrase

tgtd_ready_or_die
level_create one
volume_create one one.img 64M
volume_create one closed.img 16M
export_volume 1 one.img
random_file "$STATE/plain" 65536
ok "a LUN is written" io write "$(url 1 1)" 0 <"$STATE/plain"

# --- locked ---------------------------------------------------------------------------------------

restart_keyd
is "keyd starts locked" "$(locked)" true
like "and does not say how many levels there are" "$(keyadm --json status)" '"levels": *null.*"volumes": *null'
unlike "nor to people" "$(keyadm status)" 'levels|volumes'
for command in "level list" "level create two" "level destroy one --yes" "volume list" "volume show $STATE/one.img" \
	"volume key $STATE/one.img --out $STATE/vk"; do
	# shellcheck disable=SC2086 # words of a command line
	refused "then there is no $command" 1 "is locked: keyadm unlock" keyadm $command
done
refused "nor another init" 1 "initialized already" keyadm init
is "a client goes on with the key that is held" "$(read_outcome "$(url 1 1)")" ok
TGT=b
tgtd_ready_or_die
target_add 1
not_ok "a LUN that needs a key is not opened" lun_add 1 1 "$STATE/closed.img"
like "and its administrator told why" "$(<"$(tgtd_log)")" "the key store is locked: keyadm unlock"
TGT=a

refused "another passphrase does not open it" 1 "still locked: this is not the passphrase" unlock "correct horse battery stapl"
refused "nor does what cannot be one" 1 "512 bytes at most" unlock "$(printf '%513s' x)"
refused "storage administrators may not try" 1 "has no role" unlock_as 3001
is "it is still locked" "$(locked)" true
ok "the passphrase does" unlock "$WORDS"
is "then it is open" "$(locked)" false
ok "a second time is no harm" unlock "$WORDS"
like "tries are on record" "$(keyadm --json audit)" '"event":"unlock".*"result":"denied"'
like "and so is the opening" "$(keyadm --json audit)" '"event":"unlock".*"result":"ok"'
ok "tgtd is back in its session" becomes 10 1 eval "keyadm --json status | grep -c '\"pid\": *${TGTD_PID[a]}'"
is "nobody keeps the passphrase: keyd" "$(words_in_memory "$KEYD_PID" "$WORDS")" 0
is "nor tgtd" "$(words_in_memory "${TGTD_PID[a]}" "$WORDS")" 0
isnt "which would be noticed" "$(words_in_memory $$ "$WORDS")" 0
is "nor the state folder" "$(grep -rl "correct horse" "$STATE" 2>/dev/null)" ""

# --- a terminal -----------------------------------------------------------------------------------

restart_keyd
python3 - "$BUILD/keyadm" "$STATE/admin.sock" "$WORDS" >"$STATE/terminal" <<'PYTHON'
import os, pty, select, sys, time
keyadm, sock, words = sys.argv[1:]
pid, fd = pty.fork()
if not pid:
    os.execv(keyadm, [keyadm, "--admin-socket", sock, "unlock"])
seen, asked, deadline = b"", False, time.monotonic() + 60
while time.monotonic() < deadline and select.select([fd], [], [], 30)[0]:
    try:
        seen += os.read(fd, 4096)
    except OSError:
        break
    if b": " in seen and not asked:
        asked = True
        time.sleep(0.2)
        os.write(fd, words.encode() + b"\n")
print(seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
like "asked at a terminal" "$(<"$STATE/terminal")" "Passphrase of the key store: "
unlike "what is typed is not shown" "$(<"$STATE/terminal")" "horse"
like "it opens the store" "$(<"$STATE/terminal")" "the key store is unlocked"
is "so it does" "$(locked)" false
rm "$STATE/terminal"

# --- a credential ---------------------------------------------------------------------------------

mkdir "$STATE/credentials"
echo "wrong words" >"$STATE/credentials/keyd.passphrase"
restart_keyd "$STATE/credentials"
is "a wrong credential leaves it locked" "$(locked)" true
like "which the log tells" "$(<"$STATE/keyd.log")" "keyd.passphrase does not unlock the key store: it is not the passphrase"
echo "$WORDS" >"$STATE/credentials/keyd.passphrase"
restart_keyd "$STATE/credentials"
is "with the right one keyd starts open" "$(locked)" false
rm -r "$STATE/credentials"

# --- who held keys before is known after ----------------------------------------------------------

random_file "$STATE/more" 512
restart_keyd
kill -STOP "${TGTD_PID[a]}" # it cannot come back by itself
ok "unlocked again" unlock "$WORDS"
keyadm level destroy one --yes >"$STATE/destroy" 2>&1
is "a tgtd that held a key before the start is waited for" $? 1
like "and named when it does not answer" "$(<"$STATE/destroy")" "${TGTD_PID[a]}"
kill -CONT "${TGTD_PID[a]}"
ok "when it comes back its key is gone, too" becomes 15 07/74/71 read_outcome "$(url 1 1)"

# --- damage ---------------------------------------------------------------------------------------

keyd_stop
printf 'eight by' | dd of="$STATE/store/root.passphrase" bs=1 seek=42 conv=notrunc status=none
keyd_start || die "keyd starts"
refused "a damaged file is told from a wrong passphrase" 1 "root.passphrase is damaged" unlock "$WORDS"

done_testing
