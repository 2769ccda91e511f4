#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Logins, and what is no iSCSI.

usage: wire.py logins HOST PORT IQN PID   COUNT (1000) logins one after the other, with and without a logout, then
                                          many at the same time; tgtd's memory and descriptors stay as they were
       wire.py garbage HOST PORT IQN      COUNT (2000) connections that send nonsense, before and after the login

SEED from the environment. Exit status 1 and a line for each that is wrong.
"""

import os
import random
import struct
import sys
import threading
import time

from initiator import (FINAL, IMMEDIATE, LOGIN, NOP_OUT, RESERVED_TAG, SNACK, TASK_MANAGEMENT, TEXT, Initiator, Lost,
                       Refused)

AT_THE_SAME_TIME = 50
# glibc's heap has its own ideas; a session is some 20 KiB. A sanitizer keeps what is freed, 256 MiB of it.
GROWTH_KIB_MAX = 16384 + (400 << 10 if os.environ.get("TGTD_PRELOAD") else 0)
SECONDS_TO_CLOSE = 20
LOGIN_BYTES_MAX = 8192


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def come_and_go(where, politely):
    host, port, iqn = where
    it = Initiator(host, port).login(iqn).ready()
    if it.command(bytes([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]), read=4096).text != "ok":
        raise Refused("no read")
    if politely:
        it.logout()
    else:
        it.reset()


def together(where, wrong):
    def one():
        try:
            come_and_go(where, True)
        except (Lost, Refused, OSError) as error:
            wrong.append(f"a login among {AT_THE_SAME_TIME}: {error}")

    threads = [threading.Thread(target=one) for _ in range(AT_THE_SAME_TIME)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def logins(where, pid):
    count, wrong = int(os.environ.get("COUNT") or 1000), []
    files = descriptors(pid)
    for i in range(count // 5):  # what the first ones allocate stays
        come_and_go(where, i % 3 != 0)
    together(where, wrong)
    before = resident_kib(pid)
    for i in range(count - count // 5):
        come_and_go(where, i % 3 != 0)
    for _ in range(4):
        together(where, wrong)
    deadline = time.monotonic() + SECONDS_TO_CLOSE
    while descriptors(pid) > files and time.monotonic() < deadline:
        time.sleep(0.1)
    after = resident_kib(pid)
    print(f"logins {count + 5 * AT_THE_SAME_TIME} resident_kib {before} {after} descriptors {files} {descriptors(pid)}")
    if descriptors(pid) > files:
        wrong.append("descriptors are left open")
    if after - before > GROWTH_KIB_MAX:
        wrong.append(f"tgtd grew by {after - before} KiB")
    return wrong


# --- nonsense. Each sends something to a connection that is new, or logged in.


def noise(it, rng):
    it.send_bytes(rng.randbytes(rng.choice([1, 47, 48, 49, 500, 20000])))


def half_a_header(it, rng):
    it.send_bytes(bytes([LOGIN | IMMEDIATE, 0x87]) + bytes(rng.randrange(46)))


def login_with(it, rng, text, flags=0x87, declared=None):
    header = bytearray(struct.pack(">BBHI", LOGIN | IMMEDIATE, flags, 0, 0) + bytes([0x80, 0, 0, 0, 0, 1, 0, 0]) +
                       struct.pack(">IHHII", 1, rng.getrandbits(16), 0, 1, 0) + bytes(16))
    header[5:8] = (len(text) if declared is None else declared).to_bytes(3, "big")
    it.send_bytes(bytes(header) + text + bytes(-len(text) % 4))


def login_of_noise(it, rng):
    login_with(it, rng, rng.randbytes(rng.randrange(1, 2000)), rng.getrandbits(8))


def login_without_zeros(it, rng):
    login_with(it, rng, b"InitiatorName=" + b"x" * rng.choice([10, 223, 224, 1000, 8000]))


def login_of_many_keys(it, rng):
    keys = [b"MaxRecvDataSegmentLength=", b"HeaderDigest=", b"DataDigest=", b"SessionType=", b"AuthMethod=", b"X-y=",
            b"InitialR2T=", b"CHAP_A=", b"CHAP_N=", b"CHAP_R=0x", b"CHAP_I=", b"TargetName=", b"="]
    text = b"InitiatorName=iqn.x\0"
    while len(text) < rng.choice([100, 1000, 7000]):
        text += rng.choice(keys) + rng.choice([b"", b"0", b"-1", b"99999999999999999999", b"Yes", b"None,CRC32C", b"z" * 300])
        text += b"\0"
    login_with(it, rng, text[:LOGIN_BYTES_MAX - 96], rng.choice([0x87, 0x81, 0x04, 0x00]))


def login_too_long(it, rng):
    login_with(it, rng, b"", declared=rng.choice([8193, 65536, 0xFFFFFF]))


def login_of_another_stage(it, rng):
    for flags in rng.sample(range(256), 4):
        login_with(it, rng, b"InitiatorName=iqn.x\0SessionType=Discovery\0", flags)


BEFORE = [noise, half_a_header, login_of_noise, login_without_zeros, login_of_many_keys, login_too_long,
          login_of_another_stage]


def header_of(it, opcode, flags, tag, rng):
    return struct.pack(">BBHI", opcode, flags, 0, 0) + struct.pack(">HHI", 1, 0, 0) + struct.pack(
        ">IIII", tag, rng.getrandbits(32), it.command_number, it.status_number) + bytes(16)


def unknown_opcode(it, rng):
    known = {0, 1, 2, 3, 4, 5, 6, 0x10}
    it.send(header_of(it, rng.choice([o for o in range(64) if o not in known]), FINAL, 9, rng))


def text_or_snack(it, rng):
    it.send(header_of(it, rng.choice([TEXT, SNACK]), FINAL, 9, rng), b"SendTargets=All\0")


def second_login(it, rng):
    login_with(it, rng, b"InitiatorName=iqn.x\0")


def data_for_nobody(it, rng):
    it.data_out(rng.getrandbits(32) | 0x80000000, rng.getrandbits(32), rng.getrandbits(20), b"x" * 512)


def command_number_of_long_ago(it, rng):
    it.command_number = rng.choice([0, 0x7FFFFFFF, 0x80000005, RESERVED_TAG - 1])
    it.start(bytes(6))
    it.start(bytes(6))


def command_number_to_come(it, rng):
    it.command_number += rng.randrange(2, 100)
    for _ in range(20):
        it.start(bytes([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]), read=4096)


def management_of_nothing(it, rng):
    for function in range(16):
        it.send(header_of(it, TASK_MANAGEMENT | IMMEDIATE, FINAL | function, 100 + function, rng))


def pings(it, rng):
    for _ in range(20):
        it.send(struct.pack(">BBHI", NOP_OUT | IMMEDIATE, FINAL, 0, 0) + bytes(8) + struct.pack(
            ">IIII", rng.getrandbits(31), RESERVED_TAG, it.command_number, it.status_number) + bytes(16),
            rng.randbytes(rng.choice([0, 4, 1000, 8192])))  # tgt has no room for the padding of others


AFTER = [unknown_opcode, text_or_snack, second_login, data_for_nobody, command_number_of_long_ago,
         command_number_to_come, management_of_nothing, pings]


def nonsense(where, rng, act, logged_in):
    host, port, iqn = where
    it = Initiator(host, port, timeout=20)
    try:
        if logged_in:
            it.login(iqn)
        act(it, rng)
        if rng.randrange(2):
            it.socket.settimeout(0.01)
            it.receive()
    except (Lost, Refused):
        pass
    it.close()


def garbage(where):
    seed = int(os.environ.get("SEED") or random.SystemRandom().getrandbits(32))
    rng, count, wrong = random.Random(seed), int(os.environ.get("COUNT") or 2000), []
    print("seed", seed, flush=True)
    for i in range(count):
        act = rng.choice(BEFORE + AFTER)
        try:
            nonsense(where, rng, act, act in AFTER)
            if i % 50 == 49:
                come_and_go(where, True)
        except (Lost, Refused, OSError) as error:
            wrong.append(f"after {act.__name__}: {error}")
            break
    print("connections", i + 1)
    return wrong


def main():
    where = sys.argv[2:5]
    wrong = logins(where, int(sys.argv[5])) if sys.argv[1] == "logins" else garbage(where)
    for line in wrong:
        print("WRONG:", line)
    sys.exit(1 if wrong else 0)


try:
    main()
except (Lost, Refused, OSError) as error:
    sys.exit(f"WRONG: {error}")
