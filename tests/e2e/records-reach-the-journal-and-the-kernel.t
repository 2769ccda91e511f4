#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# Every record is told to the journal, with fields, and to the Linux audit subsystem; neither, being away, slow or
# full, holds up keyd. The journal here is a socket of the test's own, where the real one's would be.
. "$(dirname "$0")/../lib.sh"

journal=$STATE/run/journal/socket
mkdir -p "$STATE/run/journal"

# A keyd that sees the test's folder as /run/systemd, traced where it talks to the kernel.
keyd_start() {
	# shellcheck disable=SC2016 # the inner shell's arguments
	setsid setpriv --pdeathsig TERM unshare -m bash -c '
		mkdir -p /run/systemd && mount --make-rprivate / && mount --bind "$1/run" /run/systemd || exit
		shift
		exec "$@"' _ "$STATE" "$BUILD/keyd" --state "$STATE/store" --socket "$STATE/keyd.sock" \
		--admin-socket "$STATE/admin.sock" --log-level debug "$@" >>"$STATE/keyd.log" 2>&1 &
	KEYD_PID=$!
	wait_for 10 keyd_answers && alive "$KEYD_PID"
}

unshare -m true 2>/dev/null || skip_all "no mount name space of its own can be had"

# Writes each datagram as one JSON object a line, as the journal's protocol says: name, newline, length, value.
python3 - "$journal" >"$STATE/entries" 2>"$STATE/journal.log" <<'PY' &
import json, os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    data, entry = s.recv(1 << 20), {}
    while data:
        name, data = data.split(b"\n", 1)
        size = struct.unpack("<Q", data[:8])[0]
        assert data[8 + size:9 + size] == b"\n", data
        entry[name.decode()] = data[8:8 + size].decode()
        data = data[9 + size:]
    print(json.dumps(entry), flush=True)
PY
reader=$!
at_exit "kill $reader"
ok "there is a journal to write to" wait_for 5 test -S "$journal"

keyd_ready
level_create secret
volume_create secret secret.img 1M
keyadm_as 3001 status >/dev/null 2>&1
keyadm volume key "$STATE/secret.img" --out "$STATE/vk" >/dev/null
keyadm level destroy secret --yes >/dev/null
cp "$STATE/store/audit.log" "$STATE/log"
cat >"$STATE/compare.py" <<'PY'
import json, sys
records = [json.loads(l) for l in open(sys.argv[1])]
entries = [json.loads(l) for l in open(sys.argv[2])]
assert len(records) == len(entries) >= 8, (len(records), len(entries))
for r, e in zip(records, entries):
    assert e["MESSAGE_ID"] == "f2c46a6b9a5f4b0f8f3d1f6a7c0e52d9" and e["SYSLOG_IDENTIFIER"] == "keyd", e
    for field, member in (("SEQ", "seq"), ("EVENT", "event"), ("RESULT", "result"), ("HASH", "hash"),
                          ("UID", "uid"), ("PID", "pid"), ("PATH", "path"), ("DETAIL", "detail")):
        assert e.get("KEYD_" + field) == (None if member not in r else str(r[member])), (field, r, e)
    assert e["PRIORITY"] == ("5" if r["result"] == "ok" else "4"), e
    assert r["event"] in e["MESSAGE"] and r.get("level", r.get("subject", "")) in e["MESSAGE"], e
PY
ok "each record is an entry, with what the record says" wait_for 5 \
	python3 "$STATE/compare.py" "$STATE/log" "$STATE/entries"
like "a refusal is a warning" "$(grep denied "$STATE/entries")" '"PRIORITY": "4"'
unlike "the journal missed nothing" "$(<"$STATE/keyd.log")" "the journal misses"

# A journal that reads nothing: its queue is full after some entries.
kill -STOP $reader
for ((i = 0; i < 600; i++)); do # records until its queue is full: net.unix.max_dgram_qlen
	grep -q "the journal misses record" "$STATE/keyd.log" && break
	keyadm level create "journal-$i" >/dev/null
done
ok "a journal that reads nothing is not waited for" level_create patient
like "and what it missed is told" "$(<"$STATE/keyd.log")" "the journal misses record [0-9]+ and perhaps more: Resource temporarily unavailable"
kill -CONT $reader
level_create again
ok "when it reads again it gets more" wait_for 5 grep -q '"KEYD_LEVEL": "again"' "$STATE/entries"
kill $reader
rm -f "$journal"
ok "a journal that is gone holds up nothing either" level_create gone
keyd_stop

# --- the kernel -----------------------------------------------------------------------------------

trace() { # strace's options: keyd with all its threads
	strace -f -qq -s 2048 -o "$STATE/trace" "$@" -p "$KEYD_PID" >"$STATE/strace.log" 2>&1 &
	tracer=$!
	at_exit "kill -KILL $tracer"
	wait_for 10 all_traced || die "strace sees keyd"
}
all_traced() { ! grep -L '^TracerPid:	[1-9]' /proc/"$KEYD_PID"/task/*/status | grep -q .; }

# strace shows the text in hexadecimal.
told() { perl -pe 's/\\x(..)/chr hex $1/ge; tr/\0//d' "$STATE/trace" | grep -a "$1"; }

keyd_start || die "keyd starts"
level_create first
if within 2 grep -q "Linux audit subsystem is not told" "$STATE/keyd.log"; then
	skip "the kernel is told" "$(grep -m1 "Linux audit subsystem" "$STATE/keyd.log")"
	ok "a kernel without auditing holds up nothing" level_create "no-audit"
	done_testing
fi
trace -e trace=sendto,recvfrom
level_create traced
keyadm level destroy traced --yes >/dev/null
ok "the kernel is told" wait_for 10 told "op=level-destroyed"
# 0x964 is AUDIT_CRYPTO_KEY_USER of linux/audit.h.
like "of a creation" "$(told 'op=level-create ')" \
	'(0x964|AUDIT_CRYPTO_KEY_USER).*op=level-create keyd-seq=[0-9]+ req-uid=0 req-pid=[0-9]+ level="traced".* res=success'
like "of a destruction, with its certificate" "$(told 'op=level-destroyed')" '0x964.*level="traced" detail=[0-9A-F]{64}.* res=success'
like "which it takes" "$(grep -A3 NLMSG_ERROR "$STATE/trace")" 'error=0'
stop_pid $tracer

# A kernel that answers late, as with a full backlog and a stuck auditd: only libaudit calls recvfrom(2) here.
trace -e trace=recvfrom -e inject=recvfrom:delay_enter=60000000
ok "a kernel that does not answer is not waited for" level_create stuck
ok "nor by a destruction" keyadm level destroy stuck --yes
for ((i = 0; i < 200; i++)); do # records until the queue is full
	grep -q "audit subsystem is slow" "$STATE/keyd.log" && break
	keyadm level create "kernel-$i" >/dev/null
done
like "what it misses is told" "$(<"$STATE/keyd.log")" "audit subsystem is slow: it misses record [0-9]+ and perhaps more"
kill "$KEYD_PID"
ok "keyd ends in spite of it" wait_for 5 gone "$KEYD_PID"
kill -KILL "$tracer" && wait "$tracer" 2>/dev/null

done_testing
