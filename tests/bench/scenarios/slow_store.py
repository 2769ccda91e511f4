# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""A store that takes 5 ms for everything: is its parallelism used, and do others suffer?"""
import dataclasses
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
FAST, RATE = Load(4 << 10, 70, 8), 1000
SMALL = 64 << 20
RAW = "raw file"
PARALLEL, NBDFUSE = "slow-file", "nbdfuse"
ALONE = "fast LUN alone"
BESIDE = {f"fast LUN beside the slow one ({store})": store for store in (PARALLEL, NBDFUSE)}
# The same processes on the same CPUs, but nothing of tgtd is shared.
APART = f"fast LUN of another tgtd beside the slow one ({PARALLEL})"
SLOW_STORE = {**BESIDE, APART: PARALLEL}
FAST_ROWS = (ALONE, *SLOW_STORE)


@dataclasses.dataclass(frozen=True)
class Row:
    store: str
    load: Load

    def __str__(self):
        return f"{self.load} ({self.store})"


STORE_ROWS = [Row(store, Load(4 << 10, read, DEPTH))
              for store in (PARALLEL, NBDFUSE) for read in (100, 0)]


class SlowStore(Scenario):
    name = "slow-store"
    title = "A store that takes 5 ms for each request"
    rows = (*STORE_ROWS, *FAST_ROWS)

    def __init__(self, quick):
        super().__init__(quick)
        self.rounds = 1 if quick else 3
        self.run_seconds = 1 if quick else 3
        self.step_seconds = 1.6 if quick else 4
        self.set_up_seconds = 4

    def contestants_of(self, row):
        return ("crypt",) if row in FAST_ROWS else ("crypt", RAW)

    def set_up(self, lab):
        self.lab, keyd = lab, Keyd(lab)
        keyd.level("slow")
        tgtd = Tgtd(lab, keyd)
        self.raw, self.slow = {}, {}
        for store, slow_down in ((PARALLEL, self._slow_file), (NBDFUSE, self._nbdfuse)):
            raw = lab.tmpfs_file(f"{store}.raw", SMALL)
            self.raw[store] = slow_down(f"{store}-raw", raw)
            volume = keyd.volume("slow", SMALL, f"{store}.img")
            self.slow[store] = tgtd.lun("crypt", slow_down(f"{store}-crypt", volume))
        fast = tgtd.lun("crypt", keyd.volume("slow", AREA, "fast.img"))
        apart = Tgtd(lab, keyd).lun("crypt", keyd.volume("slow", AREA, "apart.img"))
        self.fast = {row: apart if row == APART else fast for row in FAST_ROWS}
        for url in (fast, apart):
            write_once(lab, url)

    def _slow_file(self, name, path):
        """The file as our own slow-file shows it: as many requests at once as are wanted."""
        slow = self.lab.state / name
        slow.touch()
        peers.start_mount(self.lab, name, slow, self.lab.build / "tests/slow-file", DELAY_MS, path,
                          slow, mounted=lambda: slow.stat().st_size > 0)
        return slow

    def _nbdfuse(self, name, path):
        """The file behind nbdkit, which waits, as nbdfuse shows it: ten at once, one write."""
        folder = self.lab.state / name
        folder.mkdir()
        sock, _ = peers.nbdkit(self.lab, f"{name}-nbdkit", "-t", 2 * DEPTH, "--filter=delay",
                               "file", path, f"rdelay={DELAY_MS}ms", f"wdelay={DELAY_MS}ms")
        peers.start_mount(self.lab, name, folder, "nbdfuse", "-C", 8, folder / "disk", "--unix",
                          sock)
        return folder / "disk"

    def measure(self, step):
        if step.row in FAST_ROWS:
            metrics = self._fast_lun(step.row)
        elif step.contestant == RAW:
            metrics = self._raw(step.row)
        else:
            metrics = iscsi_load(self.lab, [self.slow[step.row.store]], step.row.load,
                                 self.run_seconds, "--warmup", 0, "--area", SMALL)
        yield step.row, step.contestant, metrics

    def _fast_lun(self, row):
        """Beside a LUN on a slow store at full depth, but for one row."""
        load = None
        if row in SLOW_STORE:
            slow = self.slow[SLOW_STORE[row]]
            command = iscsi_load_command(self.lab, [slow], STORE_ROWS[0].load, 60)
            load = self.lab.start("slow-load", *command)
        metrics = iscsi_load(self.lab, [self.fast[row]], FAST, self.run_seconds, "--rate", RATE,
                             "--area", AREA)
        if load:
            end(load)
        return metrics

    def _raw(self, row):
        """64 threads that read or write the slow file itself, past the page cache."""
        kind = "read" if row.load.read else "write"
        text = self.lab.run(
            "fio", "--name=raw", f"--filename={self.raw[row.store]}", f"--rw=rand{kind}",
            f"--bs={row.load.size}", f"--size={SMALL}", "--ioengine=psync", "--direct=1",
            "--thread", f"--numjobs={DEPTH}", "--time_based", f"--runtime={self.run_seconds}",
            "--group_reporting", "--output-format=json", seconds=self.run_seconds + 30)
        return {"IOPS": json.loads(text[text.index("{"):])["jobs"][0][kind]["iops"]}

    def report(self, samples, page):
        page.text(f"{DEPTH} requests in flight, {DELAY_MS} ms for each: {IDEAL:,.0f} a second if "
                  "nothing else took time. `slow-file` serves as many at once as there are; nbdfuse "
                  "over nbdkit's delay filter ten reads, or one write. The raw file shows what they "
                  f"allow (fio, {DEPTH} threads, O_DIRECT). Requests a second:")
        page.table(["", "crypt", RAW, f"crypt / {RAW}", f"crypt / {IDEAL:,.0f}"],
                   [[str(row), *(with_spread(samples.spread(row, c, "IOPS"))
                                 for c in ("crypt", RAW)),
                     with_spread(samples.ratio(row, "crypt", RAW, "IOPS")),
                     number((samples.median(row, "crypt", "IOPS") or 0) / IDEAL)]
                    for row in STORE_ROWS])
        page.text(f"Another LUN, on tmpfs: {FAST}, {RATE:,} requests a second. In the last row it "
                  "belongs to a tgtd of its own: what is slower there than alone, the CPUs cost that "
                  "all share, and no queue in tgtd. Latency in µs:")
        marks = ("p50_us", "p99_us", "p999_us")
        page.table(["", "p50", "p99", "p99.9"],
                   [[row, *(with_spread(samples.spread(row, "crypt", mark)) for mark in marks)]
                    for row in FAST_ROWS])
        ratios = samples.ratios(STORE_ROWS, "crypt", RAW, "IOPS")
        page.at_least("slow store, requests a second / raw file, worst row", 0.9,
                      min(ratios, default=None))
        ideal = [median / IDEAL for row in STORE_ROWS if row.store == PARALLEL
                 and (median := samples.median(row, "crypt", "IOPS"))]
        page.at_least(f"slow store, requests a second / {IDEAL:,.0f}, worse of read and write", 0.9,
                      min(ideal, default=None))
        alone, apart = (samples.median(row, "crypt", "p99_us") for row in (ALONE, APART))
        for row, store in BESIDE.items():
            beside = samples.median(row, "crypt", "p99_us")
            page.at_most(f"p99 of a fast LUN beside a slow one ({store}) / alone", 2,
                         beside / alone if alone and beside else None)
            if beside and apart and store == PARALLEL:
                page.text(f"p99 beside the slow LUN / in a tgtd of its own: {number(beside / apart)}.")
