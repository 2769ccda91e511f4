#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Connections that end, and commands that are aborted, at every stage.

usage: drops.py drops HOST PORT IQN     what was not sent as a whole is not on the disk, the rest is old or new
       drops.py aborts HOST PORT IQN    ABORT TASK, LOGICAL UNIT RESET and the like are answered, as the commands are

ROUNDS (4) times, SEED from the environment. Exit status 1 and a line for each that is wrong.
"""

import os
import random
import sys
import time

from initiator import (ABORT_TASK, ABORT_TASK_SET, CHECK_CONDITION, COMMAND, FINAL, GOOD, LUN_RESET, ORDERED, SIMPLE,
                       WARM_RESET, WRITE, Initiator, Lost, Refused)

BLOCK = 512
AREA_BLOCKS = 2048  # of each stage
WRITE_BLOCKS = 1024  # 512 KiB: more than the immediate data, so that R2Ts come
COMPLETE, NO_TASK, NOT_SUPPORTED = 0, 1, 5
ABORTED_BY_TGT = 0x20  # of a command that waited in its queue; SAM-5 has 40h for that
SECONDS_TO_SETTLE = 20
COMMAND_HEADER_BYTES = 48


def cdb16(opcode, lba, blocks, flags=0):
    return bytes([opcode, flags]) + lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(2)


class Test:
    def __init__(self, where):
        self.where, self.wrong = where, 0
        self.seed = int(os.environ.get("SEED") or random.SystemRandom().getrandbits(32))
        self.rounds = int(os.environ.get("ROUNDS") or 4)
        self.rng = random.Random(self.seed)
        print("seed", self.seed, flush=True)
        self.good = self.new()

    def new(self):
        host, port, iqn = self.where
        return Initiator(host, port).login(iqn).ready()

    def complain(self, *what):
        self.wrong += 1
        print("WRONG:", *what, flush=True)

    def read(self, lba, blocks):
        for _ in range(4):  # unit attentions
            answer = self.good.command(cdb16(0x88, lba, blocks), read=blocks * BLOCK)
            if answer.text == "ok":
                return answer.data
        raise Refused(answer.text)

    def write(self, lba, data):
        answer = self.good.command(cdb16(0x8A, lba, len(data) // BLOCK), data=data)
        if answer.text != "ok":
            raise Refused(answer.text)


# --- the stages at which a connection ends. Each gets the initiator, where, and what it would write; what it
# sends as a whole it returns True for.


def in_a_header(it, lba, data):
    it.send_bytes(bytes([COMMAND, FINAL | WRITE | SIMPLE]) + bytes(20))
    return False


def before_immediate_data(it, lba, data):
    header = bytearray(COMMAND_HEADER_BYTES)
    header[0:2] = COMMAND, FINAL | WRITE | SIMPLE
    header[5:8] = (8192).to_bytes(3, "big")
    header[9] = 1
    header[16:28] = (77).to_bytes(4, "big") + len(data).to_bytes(4, "big") + it.command_number.to_bytes(4, "big")
    header[32:48] = cdb16(0x8A, lba, len(data) // BLOCK)
    it.send_bytes(bytes(header))
    return False


def in_immediate_data(it, lba, data):
    before_immediate_data(it, lba, data)
    it.send_bytes(data[:5000])
    return False


def before_any_r2t_is_served(it, lba, data):
    it.start(cdb16(0x8A, lba, len(data) // BLOCK), write=len(data))
    return False


def wait_for_r2t(it, opcode, lba, data, blocks):
    tag = it.start(cdb16(opcode, lba, blocks), write=len(data))
    header, _ = it.receive()
    return tag, int.from_bytes(header[20:24], "big"), int.from_bytes(header[44:48], "big")


def in_data_out(it, lba, data):
    tag, transfer, length = wait_for_r2t(it, 0x8A, lba, data, len(data) // BLOCK)
    it.data_out(tag, transfer, 0, data[:length // 2 - 100], declared=length)
    return False


def between_data_outs(it, lba, data):
    tag, transfer, length = wait_for_r2t(it, 0x8A, lba, data, len(data) // BLOCK)
    half = length // 2 // BLOCK * BLOCK
    it.data_out(tag, transfer, 0, data[:half], final=False)
    return False


def after_data_out(it, lba, data):
    tag, transfer, length = wait_for_r2t(it, 0x8A, lba, data, len(data) // BLOCK)
    for at in range(0, length, 65536):
        it.data_out(tag, transfer, at, data[at:at + 65536], number=at // 65536, final=at + 65536 >= length)
    return length >= len(data)


def in_or_write(it, lba, data):
    tag, transfer, length = wait_for_r2t(it, 0x8B, lba, data, len(data) // BLOCK)
    it.data_out(tag, transfer, 0, data[:length // 3], declared=length)
    return False


def in_compare_and_write(it, lba, data):
    tag = it.start(bytes([0x89, 0]) + lba.to_bytes(8, "big") + bytes([0, 0, 0, 64, 0, 0]), write=128 * BLOCK)
    it.receive()
    return False


def while_reading(it, lba, data):
    for _ in range(8):
        it.start(cdb16(0x88, lba, WRITE_BLOCKS), read=WRITE_BLOCKS * BLOCK)
    return False


def behind_an_ordered_command(it, lba, data):
    for i in range(8):
        it.start(cdb16(0x88, lba, 64), read=64 * BLOCK, attribute=ORDERED if i % 2 else SIMPLE)
    return False


STAGES = [in_a_header, before_immediate_data, in_immediate_data, before_any_r2t_is_served, in_data_out,
          between_data_outs, after_data_out, in_or_write, in_compare_and_write, while_reading,
          behind_an_ordered_command]


def settled(test, lba, old, new, whole):
    """What is there in the end. A write that was sent as a whole may be done a moment after its connection."""
    deadline = time.monotonic() + (2 if whole else 0)
    while True:
        got = test.read(lba, len(old) // BLOCK)
        if got == new and whole:
            return "new"
        if time.monotonic() >= deadline:
            return "old" if got == old else "neither old nor new"
        time.sleep(0.05)


def drop(test, stage, number, reset):
    lba = (number + 1) * AREA_BLOCKS
    old, new = (test.rng.randbytes(WRITE_BLOCKS * BLOCK) for _ in range(2))
    test.write(lba, old)
    victim = test.new()
    whole = stage(victim, lba, new)
    if reset:
        victim.reset()
    else:
        victim.close()
    found = settled(test, lba, old, new, whole)
    if found not in (("old", "new") if whole else ("old",)):
        test.complain(stage.__name__, "reset" if reset else "closed", "left what is", found)


def drops(test):
    for _ in range(test.rounds):
        for number, stage in enumerate(STAGES):
            for reset in (False, True):
                drop(test, stage, number, reset)
    print("dropped", test.rounds * len(STAGES) * 2)


# --- aborts


LONG = (0x93, 0, 0x8000)  # WRITE SAME of 16 MiB takes a while


def victims(test, it):
    """Starts commands of several kinds, some of which wait for others, and returns their tags."""
    tags = [it.start(cdb16(*LONG), data=b"\x5A" * BLOCK, write=BLOCK)]
    for attribute in (SIMPLE, ORDERED, SIMPLE, ORDERED):
        tags.append(it.start(cdb16(0x88, test.rng.randrange(4096), 64), read=64 * BLOCK, attribute=attribute))
        tags.append(it.start(cdb16(0x91, 0, 0), attribute=attribute))
        tags.append(it.start(cdb16(0x8A, test.rng.randrange(4096), 8), data=b"\xA5" * 4096, write=4096,
                             attribute=attribute))
    return tags


def collect(it, tags):
    """The ends of all of them, whatever comes first: tag -> status or response."""
    ends, left = {}, set(tags)
    while left:
        header, _ = it.receive()
        tag = int.from_bytes(header[16:20], "big")
        if header[0] & 0x3F == 0x25 and not header[1] & 1:
            continue
        if header[0] & 0x3F in (0x21, 0x22, 0x25) and tag in left:
            ends[tag] = header[2] if header[0] & 0x3F == 0x22 else header[3]
            left.discard(tag)
    return ends


def abort(test, function, by_another):
    it = test.new()
    tags = victims(test, it)
    manager = test.new() if by_another and function == LUN_RESET else it
    if function == ABORT_TASK:
        asked = [it.manage(ABORT_TASK, tag) for tag in test.rng.sample(tags, 6)]
    else:
        asked = [manager.manage(function)]
    ends = collect(it, tags + (asked if manager is it else []))
    if manager is not it:
        ends.update(collect(manager, asked))
    for tag in asked:
        want = (NOT_SUPPORTED,) if function == WARM_RESET else (COMPLETE, NO_TASK)
        if ends[tag] not in want:
            test.complain("function", function, "was answered with", ends[tag])
    for tag in tags:
        if ends[tag] not in (GOOD, CHECK_CONDITION, ABORTED_BY_TGT):
            test.complain("function", function, "a command ended with status", ends[tag])
    it.logout()
    if manager is not it:
        manager.logout()


def abort_and_go(test, function):
    """The connection ends while its commands are being aborted."""
    it = test.new()
    tags = victims(test, it)
    for tag in tags if function == ABORT_TASK else [0xFFFFFFFF]:
        it.manage(function, tag)
    it.reset()


def aborts(test):
    for _ in range(test.rounds):
        for function in (ABORT_TASK, ABORT_TASK_SET, LUN_RESET, WARM_RESET):
            for by_another in (False, True):
                abort(test, function, by_another)
            abort_and_go(test, function)
    deadline = time.monotonic() + SECONDS_TO_SETTLE
    while test.good.command(bytes(6)).text != "ok" and time.monotonic() < deadline:
        pass
    data = test.rng.randbytes(4096)
    test.write(64, data)
    if test.read(64, 8) != data:
        test.complain("the LUN does not keep what is written to it")
    print("aborted", test.rounds * 12)


def main():
    test = Test(sys.argv[2:5])
    {"drops": drops, "aborts": aborts}[sys.argv[1]](test)
    sys.exit(1 if test.wrong else 0)


try:
    main()
except (Lost, Refused, OSError) as error:
    sys.exit(f"WRONG: {error}")
