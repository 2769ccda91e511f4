#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""consumer.py SOCKET UUID: what keyd sees of a tgtd that has one volume open (docs/PROTOCOL.md).

Says "attached" when it has the key, which it forgets at once, and acknowledges what keyd asks for. A line on
standard input has the key replaced; "sanitized" or "refused" says how that ended.
"""
import ctypes
import select
import signal
import socket
import struct
import sys

HELLO, HELLO_REPLY, ATTACH, ATTACH_REPLY, REVOKE, REVOKE_ACK, RESTORE = 1, 2, 3, 4, 6, 7, 8
RESTORE_ACK, SANITIZE, SANITIZE_REPLY = 11, 14, 15
HEADER = struct.Struct("<4sHHII")
PR_SET_PDEATHSIG = 1


def send(keyd, kind, serial, body=b""):
    keyd.send(HEADER.pack(b"TGTC", 2, kind, HEADER.size + len(body), serial) + body)


def receive(keyd):
    """(type, serial, body); ends the process with the connection."""
    message = keyd.recv(8192)
    if not message:
        sys.exit(0)
    _, _, kind, _, serial = HEADER.unpack_from(message)
    return kind, serial, message[HEADER.size:]


def expect(keyd, kind):
    got, _, body = receive(keyd)
    if got != kind or struct.unpack_from("<I", body) != (0,):
        sys.exit(f"consumer.py: refused: type {got}")


def main():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as keyd:
        keyd.connect(sys.argv[1])
        send(keyd, HELLO, 1, struct.pack("16s", b"consumer"))
        expect(keyd, HELLO_REPLY)
        send(keyd, ATTACH, 2, struct.pack("<40s64s4096sI", sys.argv[2].encode(), b"", b"/nowhere", 0))
        expect(keyd, ATTACH_REPLY)
        print("attached", flush=True)
        asking = [sys.stdin]
        while True:
            ready, _, _ = select.select([keyd, *asking], [], [])
            if sys.stdin in ready:
                asking = []
                if sys.stdin.readline():
                    send(keyd, SANITIZE, 3, struct.pack("40s256s", sys.argv[2].encode(), b"iqn.example"))
            if keyd not in ready:
                continue
            kind, serial, body = receive(keyd)
            if kind == SANITIZE_REPLY:
                print("refused" if any(body[:4]) else "sanitized", flush=True)
            elif kind == REVOKE:
                send(keyd, REVOKE_ACK, serial, struct.pack("<I", 1))
            elif kind == RESTORE:
                send(keyd, RESTORE_ACK, serial)


if __name__ == "__main__":
    main()
