# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""consumer.py SOCKET: a consumer of keyd that does what its standard input says, and tells what it is told.

  attach UUID       asks for a volume's key and prints "attach STATUS"
  ack SERIAL COUNT  acknowledges the REVOKE of that serial
  sanitize UUID     asks for another key of a volume and prints "sanitize STATUS"
  written UUID N    says that the header of the N-th such key is on the medium
Prints "hello STATUS" first, "revoke SERIAL" and "restore SERIAL" as they come. docs/PROTOCOL.md has the messages.
"""
import select
import socket
import struct
import sys

HELLO, HELLO_REPLY, ATTACH, ATTACH_REPLY, DETACH, REVOKE, REVOKE_ACK, RESTORE = range(1, 9)
RESTORE_ACK, SANITIZE, SANITIZE_REPLY, HEADER_WRITTEN = 11, 14, 15, 17
REPLIES = {HELLO_REPLY: "hello", ATTACH_REPLY: "attach", SANITIZE_REPLY: "sanitize"}
HEADER = struct.Struct("<4sHHII")

keyd = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(kind, serial, body=b""):
    keyd.send(HEADER.pack(b"TGTC", 2, kind, HEADER.size + len(body), serial) + body)


def on_message(wire):
    _, _, kind, _, serial = HEADER.unpack_from(wire)
    if kind in REPLIES:
        status = struct.unpack_from("<I", wire, HEADER.size)[0]
        print(REPLIES[kind], status, flush=True)
    elif kind in (REVOKE, RESTORE):
        print("revoke" if kind == REVOKE else "restore", serial, flush=True)
        if kind == RESTORE:
            send(RESTORE_ACK, serial)


def on_command(words):
    if words[0] == "attach":
        send(ATTACH, 7, struct.pack("<40s64s4096sI", words[1].encode(), b"", b"/dev/null", 0))
    elif words[0] == "sanitize":
        send(SANITIZE, 8, struct.pack("<40s256s", words[1].encode(), b"scripted"))
    elif words[0] == "written":
        send(HEADER_WRITTEN, 0, struct.pack("<I40s", int(words[2]), words[1].encode()))
    elif words[0] == "ack":
        send(REVOKE_ACK, int(words[1]), struct.pack("<I", int(words[2])))


keyd.connect(sys.argv[1])
send(HELLO, 1, struct.pack("<16s", b"scripted"))
while True:
    ready, _, _ = select.select([keyd, sys.stdin], [], [])
    if keyd in ready:
        message = keyd.recv(8192)
        if not message:
            break
        on_message(message)
    if sys.stdin in ready:
        line = sys.stdin.readline()
        if not line:
            break
        on_command(line.split())
