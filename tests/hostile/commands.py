#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Malformed commands.

usage: commands.py refused HOST PORT IQN     a table of what must be refused, or change nothing
       commands.py random HOST PORT IQN      COUNT random commands of SEED, from the environment

Exit status 1 and a line for each: an answer that is none of those allowed, data with a refusal, a lost
connection, or, in the table, an outcome other than listed.
"""

import os
import random
import sys

from initiator import (CHECK_CONDITION, HEAD_OF_QUEUE, ORDERED, READ, SIMPLE, WRITE, Initiator, Lost, Refused)

LUN = 1
LBA_RANGE, INVALID_FIELD, LIST_LENGTH, INVALID_OPCODE = "05/21/00", "05/24/00", "05/1a/00", "05/20/00"
INVALID_PARAMETER = "05/26/00"
WINDOW = 65536

READS = {0x08: 6, 0x28: 10, 0xA8: 12, 0x88: 16}
WRITES = {0x0A: 6, 0x2A: 10, 0xAA: 12, 0x8A: 16, 0x2E: 10, 0xAE: 12, 0x8E: 16, 0x8B: 16}
VERIFIES = {0x2F: 10, 0xAF: 12, 0x8F: 16}
SAME = {0x41: 10, 0x93: 16}
OTHERS = {0x34: 10, 0x90: 16, 0x35: 10, 0x91: 16}
COMPARE_AND_WRITE = 0x89
WITH_RANGE = {**READS, **WRITES, **VERIFIES, **SAME, **OTHERS, COMPARE_AND_WRITE: 16}
SERVED_BY_TGT = {0x00, 0x03, 0x12, 0x15, 0x16, 0x17, 0x1A, 0x1B, 0x1D, 0x1E, 0x25, 0x55, 0x5A, 0x5E, 0x5F, 0x9E,
                 0xA0, 0xA3}
# Served or not, depending on the LUN's options: UNMAP, SANITIZE.
MAY_BE_SERVED = {0x42, 0x48}
SIZE_BY_GROUP = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}
# What tgt itself does not survive is left out (docs/TGT-LIMITS.md): data where none is expected, lengths near
# 2^32 with data to send, and data that goes on at no multiple of 4 bytes.
IMMEDIATE_MAX = 8192
LENGTHS = [0, 1, 2, 3, 4, 5, 8, 255, 511, 512, 513, 4095, 4096, 4097, 65535, 65536]
READ_LENGTHS = LENGTHS + [0x7FFFFFFF - 3, 0xFFFFFFFD, 0xFFFFFFFF]


def cdb(opcode, lba=0, blocks=0, flags=0, control=0):
    """A CDB by its opcode's size, as SBC-4 has it."""
    size = WITH_RANGE.get(opcode) or SIZE_BY_GROUP.get(opcode >> 5, 16)
    if size == 6:
        return bytes([opcode]) + (lba & 0x1FFFFF).to_bytes(3, "big") + bytes([blocks & 255, control])
    if opcode == COMPARE_AND_WRITE:
        return bytes([opcode, flags]) + lba.to_bytes(8, "big") + bytes([0, 0, 0, blocks & 255, 0, control])
    wide, count = {10: (4, 2), 12: (4, 4), 16: (8, 4)}[size]
    low = (lba & (1 << 8 * wide) - 1).to_bytes(wide, "big") + bytes(1 if size == 10 else 0)
    return bytes([opcode, flags]) + low + (blocks & (1 << 8 * count) - 1).to_bytes(count, "big") + (
        bytes([control]) if size == 10 else bytes([0, control]))


class Table:
    """Sends rows and counts those that end in another way."""

    def __init__(self, host, port, iqn):
        self.where, self.wrong, self.rows = (host, port, iqn), 0, 0
        self.connect()

    def connect(self):
        host, port, iqn = self.where
        self.initiator = Initiator(host, port).login(iqn).ready(LUN)
        capacity = self.initiator.command(bytes([0x9E, 0x10]) + bytes(11) + bytes([32, 0, 0]), read=32).data
        self.blocks = int.from_bytes(capacity[:8], "big") + 1
        self.size = int.from_bytes(capacity[8:12], "big")

    def complain(self, *what):
        self.wrong += 1
        print("WRONG:", *what, flush=True)

    def row(self, name, allowed, command, **how):
        self.rows += 1
        try:
            answer = self.initiator.command(command, **how)
        except Lost as error:
            self.complain(name, command.hex(), "lost the connection:", error)
            self.connect()
            return
        if answer.text not in allowed:
            self.complain(name, command.hex(), "ended with", answer.text, "not", " or ".join(allowed))
        if answer.status == CHECK_CONDITION and answer.data:
            self.complain(name, command.hex(), f"was refused with {len(answer.data)} bytes of data")

    def payload(self, opcode, blocks):
        """What a command of so many blocks brings along, when it is right."""
        if opcode in WRITES or opcode in VERIFIES:
            return {"data": b"\xA5" * (blocks * self.size)}
        if opcode == COMPARE_AND_WRITE:
            return {"data": b"\xA5" * (2 * blocks * self.size)}
        if opcode in SAME:
            return {"data": b"\xA5" * self.size}
        return {"read": blocks * self.size} if opcode in READS else {}

    def beyond_the_end(self):
        for opcode, size in WITH_RANGE.items():
            last = {6: 0x1FFFFF, 10: 0xFFFFFFFF, 12: 0xFFFFFFFF, 16: 0xFFFFFFFFFFFFFFFF}[size]
            flags = 2 if opcode in VERIFIES else 0
            starts = [(self.blocks, 1), (self.blocks - 1, 2), (last, 1), (last, 2), (1, 0xFFFF), (last - 7, 16)]
            if size == 16:
                starts += [(1 << 55, 1), (1 << 55, 8), (1 << 63, 1), (1 << 32, 1), ((1 << 64) - 8, 16),
                           ((1 << 55) - 1, 2), ((1 << 64) - 1, 0xFFFFFFFF)]
            for lba, blocks in starts:
                if size == 6 and (lba > last or lba < self.blocks and lba + 256 < self.blocks):
                    continue
                if opcode == COMPARE_AND_WRITE and blocks > 128:
                    continue
                fits = lba + (blocks & 0xFF if size == 6 else blocks) <= self.blocks
                if fits:
                    continue
                self.row("beyond the end", [LBA_RANGE], cdb(opcode, lba, blocks, flags),
                         **self.payload(opcode, min(blocks, 16)))

    def fields(self):
        for opcode, size in WITH_RANGE.items():
            for control in (1, 4, 5):
                self.row("control byte", [INVALID_FIELD], cdb(opcode, 8, 8, control=control),
                         **self.payload(opcode, 8))
            if size == 6 or opcode in OTHERS:
                continue
            for protect in (0x20, 0x60, 0xE0):
                self.row("protection", [INVALID_FIELD], cdb(opcode, 8, 8, protect), **self.payload(opcode, 8))
        for opcode in VERIFIES:
            self.row("BYTCHK 10b", [INVALID_FIELD], cdb(opcode, 8, 8, 4), **self.payload(opcode, 8))
        for opcode in SAME:
            for flags in (0x06, 0x10, 0x16, 0x1E):
                self.row("WRITE SAME flags", [INVALID_FIELD], cdb(opcode, 8, 8, flags), **self.payload(opcode, 8))
        self.row("NDOB and data", [INVALID_FIELD], cdb(0x93, 8, 8, 1), data=b"\xA5" * self.size)

    def lengths(self):
        """Too little, too much, nothing, and no multiple of a block, where that must be refused."""
        for opcode in READS:
            self.row("more expected than tgt can send", [INVALID_FIELD], cdb(opcode, 8, 8, 0), read=0xFFFFFFFC)
        for opcode in SAME:
            for length in (0, 1, self.size - 1, self.size + 1, 2 * self.size):
                self.row("WRITE SAME of other than a block", [LIST_LENGTH, INVALID_FIELD], cdb(opcode, 8, 8),
                         data=b"\xA5" * length)
        for blocks, length in ((1, 0), (1, self.size), (1, 2 * self.size - 1), (1, 2 * self.size + 1),
                               (4, 7 * self.size), (4, 9 * self.size), (0, self.size), (129, 258 * self.size),
                               (255, 510 * self.size), (129, 0)):
            self.row("COMPARE AND WRITE length", [INVALID_FIELD], cdb(COMPARE_AND_WRITE, 8, blocks),
                     data=b"\xA5" * length)
        for opcode in VERIFIES:
            self.row("VERIFY of other data", ["0e/1d/00"], cdb(opcode, 8, 8, 2), data=b"\xA5" * 100)

    def directions(self):
        """Data that goes the wrong way changes nothing and comes from nowhere."""
        for opcode in list(WRITES) + list(VERIFIES) + list(SAME) + [COMPARE_AND_WRITE]:
            self.row("a write that expects data", ["ok", INVALID_FIELD, LIST_LENGTH], cdb(opcode, 8, 8),
                     read=8 * self.size)
            self.row("a write without data", ["ok", INVALID_FIELD, LIST_LENGTH], cdb(opcode, 8, 8))
        for opcode in list(READS) + [0x34, 0x35, 0x25, 0x12, 0x00, 0x1A, 0x5A, 0x03, 0xA0, 0xA3, 0x9E, 0x5E]:
            self.row("a read that brings data", ["ok", INVALID_FIELD], cdb(opcode, 8, 8), data=b"\xA5" * 4096)

    def opcodes(self):
        for opcode in range(256):
            if opcode in WITH_RANGE or opcode in SERVED_BY_TGT or opcode in MAY_BE_SERVED:
                continue
            for how in ({"read": WINDOW}, {"data": b"\xA5" * 4096}, {}):
                self.row("opcode", [INVALID_OPCODE, INVALID_FIELD], cdb(opcode), **how)

    def parameters(self):
        """MODE SENSE, MODE SELECT, PERSISTENT RESERVE, LUNs that are not there."""
        for command in (bytes([0x1A, 8, 8, 0, 0, 0]), bytes([0x5A, 8, 8, 0, 0, 0, 0, 0, 0, 0])):
            self.row("MODE SENSE without data", ["ok"], command)
            self.row("MODE SENSE with data-out", ["ok"], command, data=b"\xA5" * 64)
        sense = bytes([0x1A, 0, 0x3F, 0, 128, 0])
        pages = self.initiator.command(sense, read=128).data
        for opcode, header in ((0x15, 4), (0x55, 8)):
            for length in list(range(1, header)) + list(range(header, header + 8)):
                listed = bytearray(length)
                listed[-1 if length < header else header - 1] = 8  # a block descriptor follows
                tail = [length, 0] if header == 4 else [0, 0, 0, length, 0]
                self.row("MODE SELECT of half a list", [LIST_LENGTH, INVALID_FIELD],
                         bytes([opcode, 0x10, 0, 0] + tail), data=bytes(listed))
        if self.initiator.command(sense, read=128).data != pages:
            self.complain("a refused MODE SELECT has changed a mode page or the block descriptor")
        for length in (0, 1, 8, 23, 25, 255):
            self.row("PERSISTENT RESERVE OUT", [INVALID_FIELD, LIST_LENGTH, INVALID_PARAMETER],
                     bytes([0x5F, 0, 0, 0, 0, 0, 0, 0, length, 0]), data=b"\xA5" * length)
        for lun in (2, 255, 0x4005, 0xFFFF):
            self.row("no such LUN", ["05/25/00"], cdb(0x28, 0, 8), read=8 * self.size, lun=lun)
            self.row("no such LUN", ["05/25/00"], cdb(0x2A, 0, 8), data=b"\xA5" * 8 * self.size, lun=lun)


def refused(table):
    for part in (table.beyond_the_end, table.fields, table.lengths, table.directions, table.opcodes,
                 table.parameters):
        part()
    print("rows", table.rows)


def random_command(table, rng):
    opcode = rng.choice(list(WITH_RANGE) + list(SERVED_BY_TGT) + [rng.randrange(256)])
    if rng.randrange(2) and opcode in WITH_RANGE:
        lba = rng.choice([0, 8, table.blocks - 1, table.blocks, rng.randrange(table.blocks), rng.getrandbits(64)])
        command = bytearray(cdb(opcode, lba, rng.choice([0, 1, 8, 16, 255, rng.getrandbits(32)]),
                                rng.choice([0, 0, 8, rng.getrandbits(8)])))
    else:
        command = bytearray([opcode]) + bytearray(rng.getrandbits(8) & rng.choice([0, 255]) for _ in range(15))
    size = WITH_RANGE.get(opcode) or SIZE_BY_GROUP.get(opcode >> 5, 16)
    command[size - 1] &= rng.choice([0] * 7 + [255])  # most control bytes are refused before anything else
    # WRITE SAME to the end of the LUN takes longer than all the others.
    if opcode in SAME and int.from_bytes(command[7:9] if opcode == 0x41 else command[10:14], "big") == 0:
        command[8 if opcode == 0x41 else 13] = 1
    return bytes(command)


def random_one(table, rng):
    command = random_command(table, rng)
    flags = rng.choice([0, READ, WRITE, READ | WRITE])
    expected = rng.choice(LENGTHS if flags & WRITE else READ_LENGTHS)
    immediate = 0
    if flags & WRITE and expected <= WINDOW:
        immediate = min(rng.choice([0, 4, 512, expected]), expected, IMMEDIATE_MAX)
    if immediate != expected:
        immediate -= immediate % 4
    data = rng.randbytes(immediate)
    lun = rng.choice([1] * 30 + [0, 2, 0xFFFF])
    tag = table.initiator.start(command, flags=flags, expected=expected, data=data, lun=lun,
                                attribute=rng.choice([SIMPLE] * 20 + [ORDERED, HEAD_OF_QUEUE, 0]))
    return command, table.initiator.wait(tag, rng.randbytes(min(expected, WINDOW)))


def random_all(table):
    seed = int(os.environ.get("SEED") or random.SystemRandom().getrandbits(32))
    count = int(os.environ.get("COUNT") or 4000)
    rng, ends = random.Random(seed), {}
    print("seed", seed, flush=True)
    for _ in range(count):
        try:
            command, answer = random_one(table, rng)
        except Lost as error:
            table.complain("lost the connection:", error, "seed", seed)
            break
        ends[answer.text] = ends.get(answer.text, 0) + 1
        if answer.status == CHECK_CONDITION and answer.data:
            table.complain(command.hex(), f"was refused with {len(answer.data)} bytes of data")
    print("commands", sum(ends.values()), " ".join(f"{k}:{v}" for k, v in sorted(ends.items())))


def main():
    table = Table(*sys.argv[2:5])
    {"refused": refused, "random": random_all}[sys.argv[1]](table)
    sys.exit(1 if table.wrong else 0)


try:
    main()
except (Lost, Refused, OSError) as error:
    sys.exit(f"WRONG: {error}")
