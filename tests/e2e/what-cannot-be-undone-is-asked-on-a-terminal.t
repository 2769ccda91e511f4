#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Who destroys without --yes is told what goes, and has to type its name; without a terminal nothing is destroyed.
# Passphrases are asked for on the terminal, unseen, and new ones twice.
. "$(dirname "$0")/../lib.sh"

# What keyadm says on a terminal on which LINES are typed; its exit status.
on_terminal() { # LINES ARGUMENTS...
	timeout -k 2 60 python3 - "$@" <<-'PY'
		import os, pty, select, sys, time
		lines, command = sys.argv[1].split("\\n"), sys.argv[2:]
		pid, fd = pty.fork()
		if pid == 0:
		    os.execv(command[0], command)
		said, asked = b"", 0
		while True:
		    try:
		        part = os.read(fd, 4096)
		    except OSError:
		        break
		    if not part:
		        break
		    said += part
		    while said[asked:].rstrip(b"\r\n").endswith(b": ") and lines:
		        asked = len(said)
		        time.sleep(0.2)  # readpassphrase(3) throws away what was typed before it asked
		        os.write(fd, lines.pop(0).encode() + b"\n" if lines[0] != "^D" else (lines.pop(0), b"\x04")[1])
		sys.stdout.write(said.decode(errors="replace").replace("\r", ""))
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	PY
}

answers() { # LINES KEYADM'S ARGUMENTS...: $said, $failed
	said=$(on_terminal "$1" "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" "${@:2}")
	failed=$?
}

declined() { # NAME REGEX: the last answer was no, for this reason
	is "$1: exit status" "$failed" 1
	like "$1" "$said" "$2"
}

stage red blue
for n in 1 2 3 4 5 6 7 8 9 10 11; do volume_create red "more-$n.img" 1M; done
keyadm volume key "$STATE/red.img" --out "$STATE/red.key" >/dev/null || die "a key leaves"

refused "without a terminal no level is destroyed" 1 "no terminal to ask on; say --yes" keyadm level destroy red </dev/null
refused "without a terminal no store is zeroized" 1 "no terminal to ask on; say --yes" keyadm zeroize --all </dev/null

answers "rot" level destroy red
is "another name is a refusal" "$failed" 1
like "it says so" "$said" "nothing was destroyed: that is not the level's name"
like "it told how many volumes go" "$said" "volumes +12, 75 MiB in all"
like "it listed ten and counted the rest" "$said" "and 2 more"
like "it told who uses them" "$said" "in use +by pid ${TGTD_PID[a]}, uid 0: volume"
like "it told the erase class" "$said" "erase class +clear: "
like "it told that a copy of the keys is out" "$said" "exports +1 copy is known to keyadm ledger; it goes on working"
answers "^D" level destroy red
declined "no answer is a refusal" "nothing was destroyed"
is "the level lives" "$(states)" "blue:active red:active"

id=$(keyadm --json volume show "$STATE/more-1.img" | sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p')
answers "red" volume destroy "$STATE/more-1.img"
declined "a volume is not destroyed by its level's name" "that is not the volume's UUID"
like "nobody uses it" "$said" "by nobody now"
answers "$id" volume destroy "$STATE/more-1.img"
is "a volume is destroyed by its UUID" "$failed" 0
answers "red" level destroy red
is "a level is destroyed by its name" "$failed" 0
like "the volume destroyed before did not count" "$said" "volumes +11, 74 MiB in all"
is "it is gone" "$(states)" "blue:active red:destroyed"
is "its initiators are told" "$(read_outcome "$(url 1 1)")" 07/74/71
answers "" level destroy red
unlike "of what is destroyed already nobody is asked" "$said" "Type the"
answers "" level destroy nosuch
declined "nor of what there is not" "there is no level nosuch"
answers "" volume destroy /nosuch
declined "nor of a volume" "no (such )?volume"

answers "correct horse\ncorrect house" custody change --custody passphrase
declined "a new passphrase is asked for twice" "that was another passphrase: nothing was done"
unlike "and is not seen" "$said" "correct"
answers "" custody change --custody passphrase
declined "no passphrase is none" "no passphrase was given"
answers "correct horse\ncorrect horse" custody change --custody passphrase
is "the same twice is taken" "$failed" 0
keyd_stop
keyd_start || die "keyd starts again"
is "the store waits for it" "$(locked)" true
answers "wrong horse" unlock
declined "another one does not open it" "still locked"
answers "correct horse" unlock
is "the right one does" "$failed" 0
is "the store is open" "$(states)" "blue:active red:destroyed"
refused "without a terminal keyadm asks for a descriptor" 1 "no terminal to ask for the passphrase: give --passphrase-fd" \
	setsid -w timeout 20 "$BUILD/keyadm" --admin-socket "$STATE/admin.sock" custody change --custody passphrase </dev/null
refused "what is no descriptor is refused" 1 "passphrase-fd x is no descriptor's number" \
	keyadm custody change --custody passphrase --passphrase-fd x
refused "an empty one as well" 1 "no passphrase comes from descriptor 0: it is empty" \
	keyadm custody change --custody passphrase --passphrase-fd 0 </dev/null
head -c 600 /dev/zero | tr '\0' x >"$STATE/long"
refused "a passphrase may not be too long" 1 "a passphrase has 512 bytes at most" \
	keyadm custody change --custody passphrase --passphrase-fd 0 <"$STATE/long"

answers "yes" zeroize --all
declined "a zeroization is not begun by a yes" "nothing was destroyed: that is not \"zeroize\""
is "the store lives" "$(states)" "blue:active red:destroyed"
answers "zeroize" zeroize --all
is "it is by the word" "$failed" 0
like "nothing of it is left" "$(keyadm --json status)" '"zeroized_at": *"2'

done_testing
