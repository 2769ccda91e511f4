#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""What one initiator can do to tgt 1.0.85, whatever lies behind it.

usage: limits.py WHAT HOST PORT IQN     does WHAT to LUN 1 and prints how it ended
"""

import socket
import sys
import time

from initiator import ABORT_TASK, LUN_RESET, ORDERED, READ, WRITE, Initiator, Lost, Refused

BLOCK = 512
READ_10 = bytes([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0])
WRITE_10 = bytes([0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0])
LONG = bytes([0x93, 0]) + bytes(14)  # WRITE SAME of the whole LUN, which takes its time


def r2t(it, length, data=b""):
    tag = it.start(WRITE_10, write=length, data=data)
    header, _ = it.receive()
    return tag, int.from_bytes(header[20:24], "big")


def ahs_of_no_length(it, new):
    return it.wait(it.start(bytes(6), ahs=bytes([0, 0, 1, 0]))).text


def more_data_than_asked_for(it, new):
    for _ in range(8):
        tag, transfer = r2t(it, 4096)
        it.data_out(tag, transfer, 0, b"x" * 262144)
        it.wait(tag)
    return "served"


def mode_sense_without_data(it, new):
    return it.command(bytes([0x1A, 8, 8, 0, 0, 0])).text


def abort_in_the_queue(it, new):
    other = new()
    running = other.start(LONG, data=b"z" * BLOCK, write=BLOCK)
    time.sleep(0.05)
    waiting = it.start(READ_10, read=4096, attribute=ORDERED)
    it.wait(it.manage(ABORT_TASK, waiting))
    return other.wait(running).text


def abort_twice_in_the_queue(it, new):
    """The second one comes before the answer to what the first one aborted is sent."""
    other = new()
    running = other.start(LONG, data=b"z" * BLOCK, write=BLOCK)
    time.sleep(0.05)
    it.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # all at once
    for _ in range(4):
        waiting = it.start(READ_10, read=4096, attribute=ORDERED)
        for function in (ABORT_TASK, ABORT_TASK, LUN_RESET):
            it.manage(function, waiting)
    it.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    return other.wait(running).text


def a_refusal_with_old_memory(it, new):
    mark = b"somebody-else's-plaintext"
    other = new()
    other.command(bytes([0x2A, 0, 0, 0, 0, 0, 0, 0, 128, 0]), data=mark * 2621 + bytes(11))
    for _ in range(8):
        other.command(bytes([0x28, 0, 0, 0, 0, 0, 0, 0, 128, 0]), read=65536)
        if mark in it.command(bytes([0xFF] + [0] * 15), read=65536, flags=READ).data:
            return "old memory"
    return "nothing"


def data_where_none_is_expected(it, new):
    it.socket.settimeout(3)
    return it.wait(it.start(WRITE_10, flags=WRITE, data=b"x" * 4096, expected=0)).text


def two_aborts_of_one_command(it, new):
    it.socket.settimeout(5)
    running = it.start(LONG, data=b"z" * BLOCK, write=BLOCK)
    first, second = it.manage(ABORT_TASK, running), it.manage(ABORT_TASK, running)
    seen = []
    try:
        while first not in seen:
            seen.append(int.from_bytes(it.receive()[0][16:20], "big"))
    except Lost:
        return "the first is not answered" if second in seen else "neither is answered"
    return "both are answered"


def main():
    what, host, port, iqn = sys.argv[1:5]

    def new():
        return Initiator(host, port).login(iqn).ready()

    try:
        print(globals()[what](new(), new))
    except Lost:
        print("no answer")
    try:
        new().command(READ_10, read=4096)
    except (Lost, Refused, OSError):
        print("tgtd is dead")


main()
