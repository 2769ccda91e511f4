# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""hello.py SOCKET COUNT: that many consumers that say HELLO to keyd and nothing more.

Each is a process of its own, as each tgtd is. Prints how many were welcomed, then stays until it is
ended, and they with it. docs/PROTOCOL.md has the message.
"""
import ctypes
import os
import signal
import socket
import struct
import sys

HELLO, HELLO_REPLY, OK = 1, 2, 0
PR_SET_PDEATHSIG = 1
message = struct.pack("<4sHHII16s", b"TGTC", 2, HELLO, 32, 1, b"silent")


def is_welcome(consumer):
    consumer.settimeout(60)
    try:
        consumer.connect(sys.argv[1])
        consumer.send(message)
        reply = consumer.recv(8192)
    except OSError:
        return False
    return len(reply) >= 20 and struct.unpack_from("<HxxxxxxxxI", reply, 6) == (HELLO_REPLY, OK)


def be_consumer(tell):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    consumer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.write(tell, b"1" if is_welcome(consumer) else b"0")
    signal.pause()


welcomed = 0
listen, tell = os.pipe()
for _ in range(int(sys.argv[2])):
    if not os.fork():
        be_consumer(tell)
    if os.read(listen, 1) != b"1":
        break
    welcomed += 1
print(welcomed, flush=True)
signal.pause()
