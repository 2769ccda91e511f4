# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""crowd.py COUNT SOCKET...: that many connections to each of keyd's sockets, kept up.

They are idle, or say something that is no message: a half one, noise, too much, nothing. Those that keyd closes
are made again. Prints a line once each was connected, then stays until it is ended. docs/PROTOCOL.md has the messages.
"""
import os
import resource
import socket
import struct
import sys
import time

hello = struct.pack("<4sHHII16s", b"TGTC", 2, 1, 32, 1, b"crowd")
SAYINGS = [
    None, None, None, None,  # idle
    hello[:9],
    hello[:-1],
    b"",
    os.urandom(64),
    hello + bytes(9000),
    struct.pack("<4sHHII", b"TGTC", 9, 1, 16, 1),
    struct.pack("<4sHHII", b"TGTC", 2, 33, 16, 1),  # a whole one: STATUS
]


def connect(path, saying):
    """A connection that was made, whatever became of it since; None: the queue is full."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        peer.connect(path)
    except BlockingIOError:
        peer.close()
        return None
    try:
        if saying is not None:
            peer.send(saying)
    except OSError:
        pass
    return peer


def is_closed(peer):
    try:
        return not peer.recv(8192)
    except BlockingIOError:
        return False
    except OSError:
        return True


def keep(place):
    """True when the place has a connection."""
    if place["peer"] and is_closed(place["peer"]):
        place["peer"].close()
        place["peer"] = None
    if not place["peer"]:
        place["peer"] = connect(place["path"], place["saying"])
        place["once"] |= place["peer"] is not None
    return place["peer"] is not None


count, paths = int(sys.argv[1]), sys.argv[2:]
need = count * len(paths) + 64
resource.setrlimit(resource.RLIMIT_NOFILE, (need, max(need, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
places = [{"path": path, "saying": SAYINGS[i % len(SAYINGS)], "peer": None, "once": False}
          for i in range(count) for path in paths]
told = False
while True:
    for number, place in enumerate(places):
        keep(place)
        if number % 50 == 0:
            time.sleep(0.002)
    if not told and all(place["once"] for place in places):
        print(len(places), flush=True)
        told = True
