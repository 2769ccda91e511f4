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
ok "each record is an entry, with what the record says" wait_for 5 python3 - "$STATE/log" "$STATE/entries" <<'PY'
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
like "a refusal is a warning" "$(grep denied "$STATE/entries")" '"PRIORITY": "4"'
unlike "the journal missed nothing" "$(<"$STATE/keyd.log")" "the journal misses"

# A journal that reads nothing: its queue is full after some entries.
kill -STOP $reader
for ((i = 0; i < 600; i++)); do # records until its queue is full: net.unix.max_dgram_qlen
	grep -q "the journal misses record" "$STATE/keyd.log" && break
	keyadm audit >/dev/null
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

keyd_start || die "keyd starts"
strace -qq -s 2048 -e trace=sendto,recvfrom -o "$STATE/trace" -p "$KEYD_PID" 2>"$STATE/strace.log" &
tracer=$!
at_exit "kill $tracer"
if grep -q "Linux audit subsystem is not told" "$STATE/keyd.log"; then
	skip "the kernel is told" "$(grep -m1 "Linux audit subsystem" "$STATE/keyd.log")"
	ok "a kernel without auditing holds up nothing" level_create "no-audit"
else
	ok "strace sees keyd" wait_for 10 grep -q "^TracerPid:	[1-9]" "/proc/$KEYD_PID/status"
	level_create traced
	keyadm level destroy traced --yes >/dev/null
	# strace shows the text in hexadecimal. 0x964 is AUDIT_CRYPTO_KEY_USER of linux/audit.h.
	perl -i -pe 's/\\x(..)/chr hex $1/ge; tr/\0//d' "$STATE/trace"
	like "the kernel is told of a creation" "$(grep -a 'op=level-create' "$STATE/trace")" \
		'(0x964|AUDIT_CRYPTO_KEY_USER).*op=level-create keyd-seq=[0-9]+ req-uid=0 req-pid=[0-9]+ level="traced".* res=success'
	like "and of a destruction" "$(grep -a 'op=level-destroyed' "$STATE/trace")" '0x964.*level="traced" detail=[0-9A-F]{64}.* res=success'
	like "which it takes" "$(grep -aA3 'op=level-destroyed' "$STATE/trace")" 'NLMSG_ERROR.*error=0'
fi

done_testing
