# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""flood.py COUNT KEYD-SOCKET ADMIN-SOCKET: that many processes on each socket that send without a pause.

Half are consumers that say HELLO and then PING and ATTACH to a volume that is not there; half are administrators that
ask for the audit log. Prints a line when all have begun, then stays until it is ended, and they with it.
"""
import ctypes
import os
import signal
import socket
import struct
import sys

HELLO, ATTACH, PING, AUDIT = 1, 3, 9, 46
PR_SET_PDEATHSIG = 1


def message(kind, body=b""):
    return struct.pack("<4sHHII", b"TGTC", 2, kind, 16 + len(body), 1) + body


attach = message(ATTACH, struct.pack("<40s64s4096sI", b"00000000-0000-4000-8000-000000000000", b"", b"/none", 0))


def be_one(path, first, further, tell):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    begun = False
    while True:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            peer.connect(path)
            peer.send(first)
            while True:
                for each in further:
                    peer.send(each)
                while peer.recv(8192, 0 if not begun else socket.MSG_DONTWAIT):
                    if not begun:
                        os.write(tell, b"1")
                    begun = True
                break
        except BlockingIOError:
            pass
        except OSError:
            pass
        peer.close()


count, sockets = int(sys.argv[1]), sys.argv[2:]
listen, tell = os.pipe()
for _ in range(count):
    for path, first, further in ((sockets[0], message(HELLO, b"flood".ljust(16, b"\0")), [message(PING), attach] * 8),
                                 (sockets[1], message(AUDIT), [])):
        if not os.fork():
            be_one(path, first, further, tell)
told = 0
while told < 2 * count:
    told += len(os.read(listen, 100))
print(told, flush=True)
signal.pause()
