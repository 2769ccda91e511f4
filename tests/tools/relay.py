#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""A wire that can be told to damage one bit of what it carries.

usage: relay.py PORT

Listens on a free port of the loopback, prints it, and carries every connection to PORT. Each line on stdin,
"target" or "initiator", is one order: the next data of the load (load-init.sh) on its way there gets one bit
flipped, and "flipped" is printed.
"""

import socket
import sys
import threading

CHUNK = 1 << 16
PERIOD = 12  # bytes after which the load's data repeats itself

orders = {"target": threading.Event(), "initiator": threading.Event()}


def find_data(chunk):
    """Where three periods of data begin, or None. Headers have none; zeros are not the load's."""
    for i in range(len(chunk) - 3 * PERIOD):
        period = chunk[i : i + PERIOD]
        if chunk.startswith(period * 3, i) and any(period):
            return i
    return None


def damage(chunk, order):
    where = find_data(chunk)
    if where is None:
        return chunk
    order.clear()
    damaged = bytearray(chunk)
    damaged[where + PERIOD] ^= 1
    print("flipped", flush=True)
    return bytes(damaged)


def carry(source, sink, order):
    try:
        while chunk := source.recv(CHUNK):
            sink.sendall(damage(chunk, order) if order.is_set() else chunk)
    except OSError:
        pass  # the other end has gone
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener, port):
    while True:
        client = listener.accept()[0]
        try:
            target = socket.create_connection(("127.0.0.1", port))
        except OSError:
            client.close()
            continue
        for ends in ((client, target, orders["target"]), (target, client, orders["initiator"])):
            threading.Thread(target=carry, args=ends, daemon=True).start()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=serve, args=(listener, int(sys.argv[1])), daemon=True).start()
    for line in sys.stdin:
        orders[line.strip()].set()


main()
