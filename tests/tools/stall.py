#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""An initiator that asks for more than a socket takes and reads none of it: the client to be afraid of.

usage: stall.py HOST PORT IQN

Logs in (RFC 7143) with a MaxRecvDataSegmentLength of 16 MiB, asks LUN 1 for 8 times 1 MiB, prints
"stalled" and sleeps until it is killed.
"""

import socket
import struct
import sys
import time

READS = 8
BLOCKS = 2048
LOGIN_REQUEST, LOGIN_RESPONSE, SCSI_COMMAND = 0x43, 0x23, 0x01
TO_FULL_FEATURE = 0x87  # T, from operational negotiation
FINAL_READ_SIMPLE = 0xC1
SMALL_RECEIVE_BUFFER = 4096
ETHERNET_SEGMENT = 1460  # loopback's 64 KiB would have the target make a send buffer of megabytes
LOGIN_EXCHANGES_MAX = 4


def send_login(connection, text, expected_status):
    header = struct.pack(">BBBB", LOGIN_REQUEST, TO_FULL_FEATURE, 0, 0)
    header += struct.pack(">I", len(text))  # no AHS
    header += bytes([0x80, 0, 0, 0, 0, 1]) + bytes(2)  # ISID, TSIH
    header += struct.pack(">IHHII", 1, 0, 0, 1, expected_status) + bytes(16)
    connection.sendall(header + text + bytes(-len(text) % 4))


def read_answer(connection):
    answer = connection.recv(48, socket.MSG_WAITALL)
    if len(answer) < 48 or answer[0] != LOGIN_RESPONSE or answer[36]:
        sys.exit(f"login refused: {answer.hex()}")
    length = int.from_bytes(answer[5:8], "big")
    connection.recv(length + -length % 4, socket.MSG_WAITALL)
    return answer


def login(connection, iqn):
    """Returns the status number to expect next."""
    keys = {
        "InitiatorName": "iqn.2007-06.example.tgt-crypt:stalled",
        "TargetName": iqn,
        "SessionType": "Normal",
        "MaxRecvDataSegmentLength": "16777215",
    }
    text = b"".join(f"{k}={v}\0".encode() for k, v in keys.items())
    expected_status = 0
    for _ in range(LOGIN_EXCHANGES_MAX):
        send_login(connection, text, expected_status)
        answer = read_answer(connection)
        expected_status = int.from_bytes(answer[24:28], "big") + 1
        if answer[1] == TO_FULL_FEATURE:
            return expected_status
        text = b""
    sys.exit("login does not end")


def ask(connection, number, expected_status):
    cdb = struct.pack(">BBIBHB", 0x28, 0, number * BLOCKS, 0, BLOCKS, 0) + bytes(6)
    header = struct.pack(">BBH", SCSI_COMMAND, FINAL_READ_SIMPLE, 0) + bytes(4)
    header += struct.pack(">HHI", 1, 0, 0)  # LUN 1
    header += struct.pack(">IIII", 2 + number, BLOCKS * 512, 1 + number, expected_status)
    connection.sendall(header + cdb)


def main():
    host, port, iqn = sys.argv[1:]
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_RECEIVE_BUFFER)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT)
    connection.settimeout(10)
    connection.connect((host, int(port)))
    expected_status = login(connection, iqn)
    for number in range(READS):
        ask(connection, number, expected_status)
    print("stalled", flush=True)
    time.sleep(600)


main()
