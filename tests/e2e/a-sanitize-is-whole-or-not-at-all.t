#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Whatever dies in the middle of a SANITIZE, and wherever in the new header's way to the medium: afterwards the LUN
# comes back by itself, with the old key and all data, or with another key and none of it. A SANITIZE that was told
# to be done is done.
TEST_LIMIT=${TEST_LIMIT:-600}
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../sanitize.sh
. "$TESTS/sanitize.sh"

KILLS=${KILLS:-12}
SEED=${SEED:-$RANDOM}
diag "SEED=$SEED KILLS=$KILLS"
RANDOM=$SEED

stage_sanitizable red
u=$(url 1 1)
port=${TGTD_PORT[a]}
uuid=$(uuid_of red.img)
random_file "$STATE/secret" $((64 * 512))

keyd_again() { keyd_start --config "$STATE/keyd.conf" || die "keyd restarts"; }
tgtd_again() {
	tgtd_start "$port" || die "tgtd restarts"
	export_volume 1 red.img "$@"
}

write_secret() { io write "$u" 1000 --fua <"$STATE/secret"; }

# The LUN and what is on record agree: "old", "new", or what is wrong.
verdict() { # FINGERPRINT of before
	local now same
	becomes 60 ok read_outcome "$u" 1000 >/dev/null || { echo "does not come back: $(read_outcome "$u" 1000)" && return; }
	becomes 30 False volume_says red.img header_due >/dev/null || { echo "the header stays due" && return; }
	now=$(fingerprint red.img)
	io read "$u" 1000 64 >"$STATE/read"
	same=$(same_blocks "$STATE/read" "$STATE/secret")
	rm -f "$STATE/now.key"
	keyadm volume key "$STATE/red.img" --out "$STATE/now.key" >/dev/null || { echo "no key" && return; }
	opens red.img now.key || { echo "the header is of another key" && return; }
	case $([ "$now" = "$1" ] && echo kept):$same in
	kept:64) echo old ;;
	:0) echo new ;;
	*) echo "key ${now:-none}, $same blocks of 64 are the old ones" ;;
	esac
}

# --- the header on its way to the medium ------------------------------------------------------------------------

torn() { # OFFSET: that copy is no header any more
	printf 'torn' | dd of="$STATE/red.img" bs=1 seek=$(($1 + 8192)) conv=notrunc status=none
}

# tgtd, and keyd if it is named, dies in its N-th fdatasync of the SANITIZE; what was being written then is torn.
die_in_sync() { # N OFFSET KEYD
	local tracer
	rm -f "$STATE/strace.err"
	strace -f -e trace=fdatasync -e inject=fdatasync:signal=KILL:when="$1" -p "${TGTD_PID[a]}" \
		-o "$STATE/trace" 2>"$STATE/strace.err" &
	tracer=$!
	wait_for 10 grep -q attached "$STATE/strace.err"
	said=$(LIMIT=20 sanitize "$u")
	wait_for 10 gone "${TGTD_PID[a]}" && { wait "${TGTD_PID[a]}" 2>/dev/null || true; } || die "tgtd was killed"
	stop_pid "$tracer" # it can miss the end of a process with threads, and would wait for ever
	[ -z "$2" ] || torn "$2"
	[ -z "$3" ] || { kill_pid "$KEYD_PID" && keyd_again; }
	tgtd_again
}

while read -r n offset keyd what; do
	[ "$offset" != - ] || offset=
	[ "$keyd" != - ] || keyd=
	write_secret
	before=$(fingerprint red.img)
	die_in_sync "$n" "$offset" "$keyd"
	is "killed with $what on its way: it was not told to be done" "$said" lost
	is "and the LUN comes back with another key" "$(verdict "$before")" new
	is "and two good copies of its header" "$(header_copies red.img)" same
done <<-END
	1 16384 - the second copy of the header
	2 0 - the first copy
	3 - - the area for key slots
	1 16384 keyd the second copy, and keyd,
	2 0 keyd the first copy, and keyd,
END

write_secret
before=$(fingerprint red.img)
rm -f "$STATE/strace.err"
strace -f -e trace=pwritev2 -e inject=pwritev2:error=EIO:when=1..2 -p "${TGTD_PID[a]}" -o "$STATE/trace" 2>"$STATE/strace.err" &
tracer=$!
wait_for 10 grep -q attached "$STATE/strace.err"
is "a header that cannot be written fails the SANITIZE" "$(sanitize "$u")" 03/31/03
is "and is written when the disk takes it again" "$(verdict "$before")" new
stop_pid "$tracer"

# --- keyd's disk --------------------------------------------------------------------------------------------------

write_secret
before=$(fingerprint red.img)
chattr +i "$STATE/store/levels/red/volumes" 2>/dev/null && {
	is "where the intent cannot be written nothing is done" "$(sanitize "$u")" 03/31/03
	chattr -i "$STATE/store/levels/red/volumes"
	is "the LUN is as before" "$(verdict "$before")" old
}

# --- late -----------------------------------------------------------------------------------------------------------

# What waits for keyd when its tgtd dies: the client may be back, and write what it means to keep, before keyd reads it.
write_secret
before=$(fingerprint red.img)
kill -STOP "$KEYD_PID"
LIMIT=40 sanitize "$u" >"$STATE/said" &
asker=$!
sleep 2
kill_pid "${TGTD_PID[a]}"
wait $asker
is "a SANITIZE that keyd has not read when its tgtd is killed is lost" "$(<"$STATE/said")" lost
kill -CONT "$KEYD_PID"
tgtd_again
is "and is not carried out behind the client's back" "$(verdict "$before")" old
like "it is on record as refused" "$(audited volume-sanitize | tail -n 1)" '"result":"failed"'

# --- at any moment --------------------------------------------------------------------------------------------------

old=0 new=0 wrong=0 lies=0
for ((kill = 0; kill < KILLS; kill++)); do
	write_secret
	before=$(fingerprint red.img)
	LIMIT=40 sanitize "$u" >"$STATE/said" &
	asker=$!
	sleep "$(printf '0.%03d' $((RANDOM % 250)))"
	case $((RANDOM % 3)) in
	0) kill_pid "$KEYD_PID" && keyd_again ;;
	1) kill_pid "${TGTD_PID[a]}" && tgtd_again ;;
	2) kill_pid "$KEYD_PID" && kill_pid "${TGTD_PID[a]}" && keyd_again && tgtd_again ;;
	esac
	wait $asker
	got=$(verdict "$before")
	case $got in
	old) old=$((old + 1)) ;;
	new) new=$((new + 1)) ;;
	*) wrong=$((wrong + 1)) && diag "kill $kill: $got" ;;
	esac
	[ "$(<"$STATE/said"):$got" != ok:old ] || { lies=$((lies + 1)) && diag "kill $kill: told to be done"; }
done
diag "$old with the old key, $new with another"
is "$KILLS kills at random moments: the LUN came back each time" $wrong 0
is "and none was told to be done that was not" $lies 0
ok "the audit log is whole" keyadm audit --verify
keyadm --json audit >"$STATE/audit"
unnamed=0 bad=0 certificates=0
keyadm certificate key --out "$STATE/key.pem" >/dev/null
for file in "$STATE"/store/levels/red/volumes/"$uuid".sanitize-*.certificate.json; do
	certificates=$((certificates + 1))
	keyadm certificate verify "$file" --key "$STATE/key.pem" >/dev/null || bad=$((bad + 1))
	grep -q "\"volume-sanitized\".*$(sha256sum <"$file" | cut -c 1-64)" "$STATE/audit" || unnamed=$((unnamed + 1))
done
is "there is a certificate of each" $certificates $((new + 6))
is "each is verified" $bad 0
is "and named in the audit log" $unnamed 0

done_testing
