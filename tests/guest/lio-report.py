#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""lio-report.py DIR JSON NAME=VALUE...: what lio.sh measured (rows, aes, drivers in DIR) as a table and as JSON."""
import collections
import json
import statistics
import sys

CONTESTANTS = ["lio", "lio_dmcrypt", "tgtd", "tgt_crypt"]
SIZES = {4096: "4 KiB", 65536: "64 KiB", 1048576: "1 MiB"}


def pairs(items):
    return dict(item.strip().split("=", 1) for item in items)


def read_rounds(path):
    """{(size, op, depth): [{contestant: MB/s} of each round]}"""
    cells = collections.defaultdict(lambda: collections.defaultdict(dict))
    for line in open(path):
        number, name, size, op, depth, speed = line.split()
        cells[int(size), op, int(depth)][number][name] = float(speed)
    return {cell: list(rounds.values()) for cell, rounds in cells.items()}


def speed(rounds, name):
    return round(statistics.median(r[name] for r in rounds), 2)


def ratio(rounds, of, over):
    """The median of the rounds' ratios: both sides were measured within seconds."""
    return round(statistics.median(r[of] / r[over] for r in rounds), 2)


def ratios(cells, of, over):
    return {f"{SIZES[size]} {op} depth {depth}": ratio(rounds, of, over)
            for (size, op, depth), rounds in cells.items()}


def rows(cells):
    return [{"contestant": name, "size": size, "op": op, "depth": depth, "MB_s": speed(rounds, name)}
            for (size, op, depth), rounds in cells.items() for name in CONTESTANTS]


def print_table(cells, result):
    columns = {"crypt/dmcrypt": result["ratio_tgt_crypt_over_lio_dmcrypt"],
               "crypt/tgtd": result["ratio_tgt_crypt_over_tgtd"],
               "dmcrypt/lio": result["ratio_lio_dmcrypt_over_lio"]}
    print(f"\n{'MB/s, medians':22}" + "".join(f"{head:>14}" for head in CONTESTANTS + list(columns)))
    for (cell, rounds), label in zip(cells.items(), columns["crypt/dmcrypt"]):
        numbers = [speed(rounds, name) for name in CONTESTANTS] + [c[label] for c in columns.values()]
        print(f"{label:22}" + "".join(f"{number:14.2f}" for number in numbers))


def print_result(cells, result):
    print(f"engine {result['engine']}, dm-crypt {result['kernel_drivers'][0]}, {result['rounds']} rounds, "
          f"{result['seconds']} s; other processes took {result['cpu_percent_of_others']} % of the CPUs")
    if result["only_ratios_mean_anything"]:
        print("An emulated CPU: only the ratios mean anything.")
    print_table(cells, result)
    print("\nAES-256-CBC alone, MB/s: " + ", ".join(f"{k[:-5]} {v}" for k, v in result["aes"].items()))


def main(folder, target, *facts):
    cells = read_rounds(f"{folder}/rows")
    facts = pairs(facts)
    drivers = [line.strip() for line in open(f"{folder}/drivers")]
    result = {
        "seconds": int(facts["seconds"]),
        "rounds": min(len(rounds) for rounds in cells.values()),
        "accel": facts["accel"],
        "only_ratios_mean_anything": facts["accel"] == "tcg",
        "cpu_percent_of_others": int(facts["cpu_percent_of_others"]),
        "engine": facts["engine"],
        "kernel_drivers": sorted(drivers, key=lambda driver: "essiv(" not in driver),
        "rows": rows(cells),
        "aes": {name: float(value) for name, value in pairs(open(f"{folder}/aes")).items()},
        "ratio_tgt_crypt_over_lio_dmcrypt": ratios(cells, "tgt_crypt", "lio_dmcrypt"),
        "ratio_tgt_crypt_over_tgtd": ratios(cells, "tgt_crypt", "tgtd"),
        "ratio_lio_dmcrypt_over_lio": ratios(cells, "lio_dmcrypt", "lio"),
        "ratio_tgtd_over_lio": ratios(cells, "tgtd", "lio"),
    }
    with open(target, "w") as file:
        json.dump(result, file, indent=1)
    print_result(cells, result)


main(*sys.argv[1:])
