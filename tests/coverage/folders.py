#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Lines and branches of each folder, out of gcovr's JSON."""
import json
import os
import sys


def main():
    folders = {}
    with open(sys.argv[1], encoding="utf-8") as f:
        files = json.load(f)["files"]
    for file in files:
        sums = folders.setdefault(os.path.dirname(file["file"]) + "/", [0, 0, 0, 0])
        for line in file["lines"]:
            if line.get("gcovr/noncode"):
                continue
            sums[0] += line["count"] > 0
            sums[1] += 1
            sums[2] += sum(branch["count"] > 0 for branch in line["branches"])
            sums[3] += len(line["branches"])
    folders["all"] = [sum(column) for column in zip(*folders.values())]
    for name, (lines, of_lines, branches, of_branches) in folders.items():
        print(f"{name:16} lines {100 * lines / max(of_lines, 1):5.1f} % of {of_lines:5}"
              f"   branches {100 * branches / max(of_branches, 1):5.1f} % of {of_branches:5}")


if __name__ == "__main__":
    main()
