# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""A store that takes 5 ms for everything: is its parallelism used, and do others suffer?"""
import json

import peers
from clients import AREA, Load, iscsi_load, iscsi_load_command, write_once
from daemons import Keyd, Tgtd
from lab import end
from page import number, with_spread
from scenario import Scenario

DELAY_MS = 5
DEPTH = 64
IDEAL = DEPTH / (DELAY_MS / 1e3)
READ, WRITE = Load(4 << 10, 100, DEPTH), Load(4 << 10, 0, DEPTH)
FAST = Load(4 << 10, 70, 8)
RATE = 1000
SMALL = 64 << 20
ALONE, BESIDE = "fast LUN alone", "fast LUN beside the slow one"


class SlowStore(Scenario):
    name = "slow-store"
    title = "A store that takes 5 ms for each request"
    rows = (READ, WRITE, ALONE, BESIDE)
    contestants = ("crypt", "raw file")

    def __init__(self, quick):
        super().__init__(quick)
        self.rounds = 1 if quick else 3
        self.run_seconds = 1 if quick else 3
        self.step_seconds = 1.6 if quick else 4
        self.set_up_seconds = 6

    def contestants_of(self, row):
        return ("crypt",) if row in (ALONE, BESIDE) else self.contestants

    def set_up(self, lab):
        self.lab, keyd = lab, Keyd(lab)
        keyd.level("slow")
        tgtd = Tgtd(lab, keyd)
        self.raw = self._slow("raw", lab.tmpfs_file("raw.img", SMALL))
        self.slow = tgtd.lun("crypt", self._slow("crypt", keyd.volume("slow", SMALL, "slow.img")))
        self.fast = tgtd.lun("crypt", keyd.volume("slow", AREA, "fast.img"))
        write_once(lab, self.fast)

    def _slow(self, name, path):
        """The file behind nbdkit, which waits, as a file of nbdfuse."""
        folder = self.lab.state / f"{name}.slow"
        folder.mkdir()
        sock, _ = peers.nbdkit(self.lab, f"{name}-nbdkit", "-t", 2 * DEPTH, "--filter=delay",
                               "file", path, f"rdelay={DELAY_MS}ms", f"wdelay={DELAY_MS}ms")
        peers.start_mount(self.lab, f"{name}-nbdfuse", folder, "nbdfuse", "-C", 8,
                          folder / "disk", "--unix", sock)
        return folder / "disk"

    def measure(self, step):
        if step.row in (ALONE, BESIDE):
            metrics = self._fast_lun(step.row == BESIDE)
        elif step.contestant == "crypt":
            metrics = iscsi_load(self.lab, [self.slow], step.row, self.run_seconds, "--warmup", 0,
                                 "--area", SMALL)
        else:
            metrics = self._raw(step.row)
        yield step.row, step.contestant, metrics

    def _fast_lun(self, beside):
        load = None
        if beside:
            load = self.lab.start("slow-load", *iscsi_load_command(self.lab, [self.slow], READ, 60))
        metrics = iscsi_load(self.lab, [self.fast], FAST, self.run_seconds, "--rate", RATE,
                             "--area", AREA)
        if load:
            end(load)
        return metrics

    def _raw(self, load):
        """64 threads that read or write the slow file itself, past the page cache."""
        mode = "randread" if load.read else "randwrite"
        text = self.lab.run(
            "fio", "--name=raw", f"--filename={self.raw}", f"--rw={mode}", f"--bs={load.size}",
            f"--size={SMALL}", "--ioengine=psync", "--direct=1", "--thread", f"--numjobs={DEPTH}",
            "--time_based", f"--runtime={self.run_seconds}", "--group_reporting",
            "--output-format=json", seconds=self.run_seconds + 30)
        job = json.loads(text[text.index("{"):])["jobs"][0]
        return {"IOPS": job["read" if load.read else "write"]["iops"]}

    def report(self, samples, page):
        page.text(f"A file on nbdfuse over nbdkit's delay filter, {DELAY_MS} ms for each read and "
                  f"write; {DEPTH} requests in flight. Without any other cost that makes "
                  f"{IDEAL:,.0f} a second; the raw file shows what nbdfuse allows (fio, {DEPTH} "
                  "threads, O_DIRECT). Requests a second:")
        rows = (READ, WRITE)
        page.table(["", "crypt", "raw file", "crypt / raw file", f"crypt / {IDEAL:,.0f}"],
                   [[str(row), *(with_spread(samples.spread(row, c, "IOPS"))
                                 for c in self.contestants),
                     with_spread(samples.ratio(row, "crypt", "raw file", "IOPS")),
                     number((samples.median(row, "crypt", "IOPS") or 0) / IDEAL)]
                    for row in rows])
        page.text(f"Another LUN of the same tgtd, on tmpfs: {FAST}, {RATE:,} requests a second. "
                  "Latency in µs:")
        marks = ("p50_us", "p99_us", "p999_us")
        page.table(["", "p50", "p99", "p99.9"],
                   [[row, *(with_spread(samples.spread(row, "crypt", mark)) for mark in marks)]
                    for row in (ALONE, BESIDE)])
        ratios = samples.ratios(rows, "crypt", "raw file", "IOPS")
        page.at_least("slow store, requests a second / raw file, worse of read and write", 0.9,
                      min(ratios, default=None))
        alone, beside = (samples.median(row, "crypt", "p99_us") for row in (ALONE, BESIDE))
        page.at_most("p99 of a fast LUN beside a slow one / alone", 2,
                     beside / alone if alone and beside else None)
