# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Administrators who ask for much and read little of it (docs/PROTOCOL.md).

slow-readers.py SOCKET VERSION make LEVEL COUNT PATH_BYTES: so many volumes, whose paths are so long
slow-readers.py SOCKET VERSION volumes|level NAME COUNT: so many connections that ask for the list of all volumes, or for
the level, and read the first message of the answer. Prints how many got a part of the document and how many were refused as
busy, then stays until it is ended.
"""
import signal
import socket
import struct
import sys

LEVEL_SHOW, VOLUME_CREATE, VOLUME_COMMIT, VOLUME_LIST = 36, 40, 41, 42
REPLY, TEXT, VOLUME_HEADER, BUSY = 64, 65, 66, 10
path, version, what, name = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4].encode()
count = int(sys.argv[5])


def connect():
    admin = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    admin.settimeout(60)
    admin.connect(path)
    return admin


def ask(admin, kind, body=b""):
    admin.send(struct.pack("<4sHHII", b"TGTC", version, kind, 16 + len(body), 1) + body)


def first(admin):
    record = admin.recv(8192)
    return struct.unpack_from("<H", record, 6)[0], struct.unpack_from("<I", record, 16)[0]


if what == "make":
    admin = connect()
    for i in range(count):
        long = ("/" + f"{i:06}" * 700)[: int(sys.argv[6])]
        ask(admin, VOLUME_CREATE, struct.pack("<QI64s32s4096s", 1 << 20, 512, name, b"aes-cbc-essiv:sha256", long.encode()))
        assert first(admin)[0] == VOLUME_HEADER
        ask(admin, VOLUME_COMMIT)
        kind = TEXT
        while kind == TEXT:
            kind, status = first(admin)
        assert (kind, status) == (REPLY, 0)
    sys.exit()

readers = [connect() for _ in range(count)]
answers = []
for reader in readers:
    ask(reader, VOLUME_LIST if what == "volumes" else LEVEL_SHOW, struct.pack("<64s", b"" if what == "volumes" else name))
    answers.append(first(reader))
print(sum(kind == TEXT for kind, _ in answers), answers.count((REPLY, BUSY)), flush=True)
signal.pause()
