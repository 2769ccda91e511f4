#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""remnants.py DEVICE DIR FILE...: where on a device is what the sealed FILEs held?

Looks for either half of each sealed key (docs/KEYSTORE.md). Prints the number of places; from each
it cuts out as many bytes as the file had, into DIR: a remnant to be tried.
"""
import mmap
import pathlib
import sys

KEY_BYTES, TAG_BYTES = 32, 16


def places(device, needle):
    at = device.find(needle)
    while at >= 0:
        yield at
        at = device.find(needle, at + 1)


def main():
    device_path, out, *files = map(pathlib.Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    found = 0
    with device_path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as device:
        for path in files:
            whole = path.read_bytes()
            key = len(whole) - TAG_BYTES - KEY_BYTES
            for half in (key, key + KEY_BYTES // 2):
                for at in places(device, whole[half:half + KEY_BYTES // 2]):
                    start = max(at - half, 0)
                    (out / f"{path.name}.{start}").write_bytes(device[start:start + len(whole)])
                    found += 1
    print(found)


if __name__ == "__main__":
    main()
