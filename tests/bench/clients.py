# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""The load generators: iscsi-load, and qemu-img bench as the one that others wrote.

Both give metrics of the same names: MB_s (10^6 bytes), IOPS, cpu_s_per_GiB of the servers.
"""
import dataclasses
import json
import re

from daemons import cpu_seconds
from lab import Failed

GIB = 1 << 30
AREA = 256 << 20  # of every LUN that is measured: many times the CPUs' caches


@dataclasses.dataclass(frozen=True)
class Load:
    """One kind of load; str() names it in tables."""
    size: int
    read: int   # percent
    depth: int

    def __str__(self):
        size = f"{self.size >> 20} MiB" if self.size >= 1 << 20 else f"{self.size >> 10} KiB"
        kind = {100: "read", 0: "write"}.get(self.read, f"{self.read} % read")
        return f"{size} {kind}, depth {self.depth}"


def loads(sizes_kib, depths):
    return [Load(size << 10, read, depth)
            for depth in depths for size in sizes_kib for read in (100, 0)]


def percentiles(latency):
    return {name: latency[key] for name, key in (("p50_us", "p50"), ("p90_us", "p90"),
                                                 ("p99_us", "p99"), ("p999_us", "p99.9"),
                                                 ("max_us", "max"))}


def iscsi_load_command(lab, urls, load, seconds, *options, clients=None, pids=(), cpu=None):
    words = ["taskset", "-c", cpu] if cpu else []
    words += [lab.build / "tests/iscsi-load", "--quiet", "--json", "-", "--size", load.size,
              "--read", load.read, "--depth", load.depth, "--seconds", seconds]
    words += ["--clients", clients] if clients else []
    for pid in pids:
        words += ["--server-pid", pid]
    return [*words, *options, *urls]


def iscsi_load_metrics(text):
    result = json.loads(text)
    if result["errors"]["count"]:
        raise Failed(f"iscsi-load: {result['errors']['first']}")
    if result["verify"]["mismatches"]:
        raise Failed(f"iscsi-load: {result['verify']['first']}")
    clients = result["per_client_MB_s"]
    return {"MB_s": result["MB_s"], "IOPS": result["IOPS"],
            "cpu_s_per_GiB": result.get("server_cpu_s_per_GiB"),
            "slowest_by_mean": clients["min"] / clients["mean"],
            "blocks_checked": result["verify"]["blocks_checked"],
            "unread_bytes": result["stalled"]["bytes_unread"],
            **percentiles(result["latency_us"]["all"])}


def iscsi_load(lab, urls, load, seconds, *options, **more):
    """Metrics of one run; Failed when a command failed or data was not what it has to be."""
    text = lab.run(*iscsi_load_command(lab, urls, load, seconds, *options, **more),
                   seconds=seconds + 60)
    return iscsi_load_metrics(text)


class QemuImg:
    """qemu-img bench is told how many requests to make: learns how many fill the time."""

    def __init__(self, lab, cpu=None):
        self.lab = lab
        self.pinned = ["taskset", "-c", cpu] if cpu else []
        self.rates = {}

    def _requests(self, url, load, count):
        """Seconds that count requests took."""
        write = ["-w"] if load.read == 0 else []
        text = self.lab.run(*self.pinned, "qemu-img", "bench", "-f", "raw", "-t", "none",
                            "-d", load.depth, "-s", load.size, "-c", count, *write, url)
        return float(re.search(r"completed in ([0-9.]+) seconds", text)[1])

    def run(self, url, load, seconds, pids=()):
        if (url, load) not in self.rates:
            count = max(load.depth, min(1000, (64 << 20) // load.size))
            self.rates[url, load] = count / self._requests(url, load, count)
        count = max(load.depth, int(self.rates[url, load] * seconds))
        before = cpu_seconds(pids)
        took = self._requests(url, load, count)
        cpu = cpu_seconds(pids) - before
        self.rates[url, load] = count / took
        moved = count * load.size
        return {"MB_s": moved / took / 1e6, "IOPS": count / took,
                "cpu_s_per_GiB": cpu / (moved / GIB) if pids else None}


def write_once(lab, url):
    """So that every page of the LUN's file is there."""
    QemuImg(lab)._requests(url, Load(1 << 20, 0, 8), AREA >> 20)
