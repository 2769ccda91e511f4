#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""An initiator made of bytes (RFC 7143): it sends whatever it is told to, right or wrong."""

import socket
import struct

NOP_OUT, COMMAND, TASK_MANAGEMENT, LOGIN, TEXT, DATA_OUT, LOGOUT, SNACK = 0, 1, 2, 3, 4, 5, 6, 0x10
NOP_IN, RESPONSE, TASK_RESPONSE, LOGIN_RESPONSE, TEXT_RESPONSE, DATA_IN = 0x20, 0x21, 0x22, 0x23, 0x24, 0x25
LOGOUT_RESPONSE, R2T, REJECT = 0x26, 0x31, 0x3F
IMMEDIATE = 0x40
FINAL, READ, WRITE = 0x80, 0x40, 0x20
SIMPLE, ORDERED, HEAD_OF_QUEUE = 1, 2, 3
ABORT_TASK, ABORT_TASK_SET, LUN_RESET, WARM_RESET = 1, 2, 5, 6
RESERVED_TAG = 0xFFFFFFFF
HEADER_BYTES = 48
LOGIN_EXCHANGES_MAX = 8
GOOD, CHECK_CONDITION, CONDITION_MET = 0, 2, 4


class Lost(Exception):
    """The target closed the connection, or did not answer in time."""


class Refused(Exception):
    """The target did not let the initiator in."""


class Answer:
    """How a command ended. data is all Data-In, whatever the status was."""

    def __init__(self):
        self.status, self.sense, self.data, self.residual, self.r2ts = None, b"", b"", 0, 0

    @property
    def text(self):
        if self.status in (GOOD, CONDITION_MET):
            return "ok"
        if self.status != CHECK_CONDITION:
            return f"status-{self.status:02x}"
        fixed = self.sense[0] & 0x7F in (0x70, 0x71)
        key, asc, ascq = (self.sense[2], self.sense[12], self.sense[13]) if fixed else self.sense[1:4]
        return f"{key & 15:02x}/{asc:02x}/{ascq:02x}"


class Initiator:
    """A connection, which is a session of its own."""

    def __init__(self, host, port, name="iqn.2007-06.example.tgt-crypt:hostile", timeout=20):
        self.name, self.task, self.command_number, self.status_number = name, 0, 1, 0
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with RST: what is in the air is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # --- PDUs

    def send(self, header, data=b"", ahs=b""):
        """header: 48 bytes, lengths not yet in it."""
        header = bytearray(header)
        header[4] = len(ahs) // 4
        header[5:8] = len(data).to_bytes(3, "big")
        try:
            self.socket.sendall(bytes(header) + ahs + data + bytes(-len(data) % 4))
        except OSError as error:
            raise Lost(error) from error

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Lost(error) from error

    def receive_bytes(self, length):
        got = b""
        while len(got) < length:
            try:
                more = self.socket.recv(min(length - len(got), 1 << 20))
            except OSError as error:
                raise Lost(error) from error
            if not more:
                raise Lost("closed")
            got += more
        return got

    def receive(self):
        """One PDU: header and data. NOP-Ins that ask are answered."""
        while True:
            header = self.receive_bytes(HEADER_BYTES)
            length = int.from_bytes(header[5:8], "big")
            data = self.receive_bytes(length + -length % 4)[:length]
            if header[0] & 0x3F in (RESPONSE, TASK_RESPONSE, NOP_IN, LOGIN_RESPONSE, LOGOUT_RESPONSE) or (
                header[0] & 0x3F == DATA_IN and header[1] & 1
            ):
                self.status_number = int.from_bytes(header[24:28], "big") + 1
            if header[0] & 0x3F != NOP_IN or header[20:24] == b"\xff" * 4:
                return header, data
            self.send(bytes([NOP_OUT | IMMEDIATE, FINAL]) + bytes(14) + struct.pack(
                ">IIII", RESERVED_TAG, int.from_bytes(header[20:24], "big"), self.command_number,
                self.status_number) + bytes(16))

    # --- a session

    def login(self, iqn, **keys):
        text = {"InitiatorName": self.name, "TargetName": iqn, "SessionType": "Normal", "InitialR2T": "No",
                "ImmediateData": "Yes", "MaxRecvDataSegmentLength": "262144", **keys}
        data = b"".join(f"{k}={v}\0".encode() for k, v in text.items())
        for _ in range(LOGIN_EXCHANGES_MAX):
            self.send(struct.pack(">BBHI", LOGIN | IMMEDIATE, 0x87, 0, 0) + bytes([0x80, 0, 0, 0, 0, 1, 0, 0]) +
                      struct.pack(">IHHII", 1, 0, 0, self.command_number, self.status_number) + bytes(16), data)
            header, _ = self.receive()
            if header[0] & 0x3F != LOGIN_RESPONSE or header[36]:
                raise Refused(header.hex())
            if header[1] & 0x83 == 0x83:
                return self
            data = b""
        raise Refused("no end")

    def logout(self):
        self.send(struct.pack(">BBH", LOGOUT | IMMEDIATE, FINAL, 0) + bytes(12) + struct.pack(
            ">IHHII", self.next_task(), 0, 0, self.command_number, self.status_number) + bytes(16))
        while self.receive()[0][0] & 0x3F != LOGOUT_RESPONSE:
            pass
        self.close()

    def next_task(self):
        self.task += 1
        return self.task

    def start(self, cdb, read=0, write=0, data=b"", lun=1, final=True, attribute=SIMPLE, flags=None, ahs=b"",
              expected=None):
        """Sends a command with immediate data and returns its tag; read and write are what is expected."""
        tag = self.next_task()
        if flags is None:
            flags = (READ if read else 0) | (WRITE if write else 0)
        flags |= (FINAL if final else 0) | attribute
        if expected is None:
            expected = write or read
        header = struct.pack(">BBHI", COMMAND, flags, 0, 0) + struct.pack(">HHI", lun, 0, 0)
        header += struct.pack(">IIII", tag, expected & 0xFFFFFFFF, self.command_number, self.status_number)
        self.command_number += 1
        self.send(header + bytes(cdb[:16]).ljust(16, b"\0"), data, ahs)
        return tag

    def data_out(self, tag, transfer_tag, offset, data, number=0, final=True, lun=1, declared=None):
        header = struct.pack(">BBHI", DATA_OUT, FINAL if final else 0, 0, 0) + struct.pack(">HHI", lun, 0, 0)
        header += struct.pack(">IIIIIIII", tag, transfer_tag, 0, self.status_number, 0, number,
                              offset & 0xFFFFFFFF, 0)
        if declared is None:
            self.send(header, data)
        else:
            self.send_bytes(header[:5] + declared.to_bytes(3, "big") + header[8:] + data)

    def manage(self, function, tag=RESERVED_TAG, lun=1):
        """Sends a task management request and returns its tag."""
        own = self.next_task()
        header = struct.pack(">BBHI", TASK_MANAGEMENT | IMMEDIATE, FINAL | function, 0, 0)
        header += struct.pack(">HHI", lun, 0, 0)
        header += struct.pack(">IIII", own, tag, self.command_number, self.status_number)
        self.send(header + struct.pack(">II", self.command_number, 0) + bytes(8))
        return own

    def wait(self, tag, data=b""):
        """The end of a command; R2Ts are served from data. Others' ends are passed over."""
        answer = Answer()
        while True:
            header, payload = self.receive()
            kind = header[0] & 0x3F
            if kind == REJECT:
                raise Lost("rejected")
            if int.from_bytes(header[16:20], "big") != tag:
                continue
            if kind == R2T:
                answer.r2ts += 1
                self.serve(tag, header, data)
            elif kind == DATA_IN:
                answer.data += payload
                if not header[1] & 1:
                    continue
            if kind in (DATA_IN, RESPONSE):
                answer.status = header[3]
                answer.residual = int.from_bytes(header[44:48], "big") if header[1] & 6 else 0
                if kind == RESPONSE and len(payload) > 2:
                    answer.sense = payload[2:]
                return answer
            if kind == TASK_RESPONSE:
                answer.status = header[2]
                return answer

    def serve(self, tag, request, data):
        offset, length = struct.unpack(">II", request[40:48])
        transfer_tag = int.from_bytes(request[20:24], "big")
        self.data_out(tag, transfer_tag, offset, data[offset:offset + length].ljust(length, b"\0"))

    def command(self, cdb, read=0, data=b"", write=None, **more):
        """A whole command. write: what is expected, when it is not what data has."""
        write = len(data) if write is None else write
        return self.wait(self.start(cdb, read=read, write=write, **more), data)

    def ready(self, lun=1):
        """Takes unit attentions away."""
        for _ in range(8):
            if self.command(bytes(6), lun=lun).text == "ok":
                return self
        raise Refused("never ready")
