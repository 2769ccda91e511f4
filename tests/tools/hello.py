# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""hello.py SOCKET COUNT: that many consumers that say HELLO to keyd and nothing more.

Prints how many were welcomed, then stays until it is ended. docs/PROTOCOL.md has the message.
"""
import signal
import socket
import struct
import sys

HELLO, HELLO_REPLY, OK = 1, 2, 0
message = struct.pack("<4sHHII16s", b"TGTC", 1, HELLO, 32, 1, b"silent")
consumers = []
for _ in range(int(sys.argv[2])):
    consumer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    consumer.settimeout(5)
    try:
        consumer.connect(sys.argv[1])
        consumer.send(message)
        reply = consumer.recv(8192)
    except OSError:
        break
    if len(reply) < 20 or struct.unpack_from("<HxxxxxxxxI", reply, 6) != (HELLO_REPLY, OK):
        break
    consumers.append(consumer)
print(len(consumers), flush=True)
signal.pause()
