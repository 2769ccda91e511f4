#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""luks2-edit.py FILE STATEMENT: changes a LUKS2 header as somebody with write access to it would.

The statement sees the JSON metadata as "meta" and the binary header's UUID as "uuid". Both copies
of the header are written, with right checksums (LUKS2 On-Disk Format Specification, 2.1 and 3).
"""
import hashlib
import json
import struct
import sys

PRIMARY, SECONDARY = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
BINARY_BYTES = 4096
HDR_SIZE, CHECKSUM, UUID = 8, 448, 168  # offsets in the binary header
CHECKSUM_BYTES, UUID_BYTES = 64, 40


def edit(header, statement):
    text = header[BINARY_BYTES:].split(b"\0", 1)[0]
    names = {
        "meta": json.loads(text),
        "uuid": header[UUID:UUID + UUID_BYTES].rstrip(b"\0").decode(),
    }
    exec(statement, names)
    text = json.dumps(names["meta"]).encode()
    header[BINARY_BYTES:] = text.ljust(len(header) - BINARY_BYTES, b"\0")
    header[UUID:UUID + UUID_BYTES] = names["uuid"].encode().ljust(UUID_BYTES, b"\0")
    header[CHECKSUM:CHECKSUM + CHECKSUM_BYTES] = bytes(CHECKSUM_BYTES)
    digest = hashlib.sha256(header).digest()
    header[CHECKSUM:CHECKSUM + len(digest)] = digest


def main():
    path, statement = sys.argv[1:]
    with open(path, "r+b") as image:
        size = struct.unpack_from(">Q", image.read(BINARY_BYTES), HDR_SIZE)[0]
        for offset, magic in ((0, PRIMARY), (size, SECONDARY)):
            image.seek(offset)
            header = bytearray(image.read(size))
            if not header.startswith(magic):
                sys.exit(f"{path}: no LUKS2 header at {offset}")
            edit(header, statement)
            image.seek(offset)
            image.write(header)


main()
