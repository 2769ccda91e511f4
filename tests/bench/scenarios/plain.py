# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""An encrypted LUN against tgt's plaintext stores, everything else being equal."""
import dataclasses

from clients import AREA, QemuImg, Load, iscsi_load, loads, write_once
from daemons import Keyd, Tgtd
from page import with_spread
from scenario import Scenario
from stats import geomean

UNTUNED = "crypt, no malloc environment"
CLIENTS = ("iscsi-load", "qemu-img")


@dataclasses.dataclass(frozen=True)
class Row:
    client: str
    load: Load

    def __str__(self):
        return f"{self.load} ({self.client})"


class Plain(Scenario):
    name = "plain"
    title = "Against plaintext tgt"
    contestants = ("crypt", "rdwr", "null", "aio", UNTUNED)

    def __init__(self, quick):
        super().__init__(quick)
        sizes = (4, 64, 1024) if quick else (4, 64, 256, 1024)
        kinds = loads(sizes, (32,)) + loads((64,) if quick else sizes, (1,))
        self.rows = [Row(client, load) for load in kinds for client in CLIENTS
                     if not quick or load.depth > 1 or client == "iscsi-load"]
        if quick:
            self.contestants = ("crypt", "rdwr", "null")
        self.rounds = 1 if quick else 4
        self.qemu_rounds = 1 if quick else 3
        self.qemu_seconds = 0.3 if quick else 0.8
        self.step_seconds = 0.75 if quick else 1.1
        self.set_up_seconds = 6

    def contestants_of(self, row):
        if row.client == "qemu-img":
            return tuple(c for c in self.contestants if c != UNTUNED)
        return self.contestants

    def rounds_of(self, row):
        return self.qemu_rounds if row.client == "qemu-img" else self.rounds

    def set_up(self, lab):
        self.lab, self.qemu = lab, QemuImg(lab)
        keyd = Keyd(lab)
        keyd.level("plain")
        tgtd, untuned = Tgtd(lab, keyd), Tgtd(lab, keyd, malloc=False)
        self.pid = dict.fromkeys(self.contestants, tgtd.pid) | {UNTUNED: untuned.pid}
        self.url = {
            "crypt": tgtd.lun("crypt", keyd.volume("plain", AREA, "crypt.img")),
            "rdwr": tgtd.lun("rdwr", lab.tmpfs_file("rdwr.img", AREA)),
            "null": tgtd.lun("null", lab.fast / "rdwr.img"),
            "aio": tgtd.lun("aio", lab.tmpfs_file("aio.img", AREA)),
            UNTUNED: untuned.lun("crypt", keyd.volume("plain", AREA, "untuned.img")),
        }
        for url in self.url.values():
            write_once(lab, url)

    def measure(self, step):
        url, pids = self.url[step.contestant], [self.pid[step.contestant]]
        if step.row.client == "qemu-img":
            metrics = self.qemu.run(url, step.row.load, self.qemu_seconds, pids)
        else:
            metrics = iscsi_load(self.lab, [url], step.row.load, 1, "--warmup", 0, "--sequential",
                                 "--area", AREA, pids=pids)
        yield step.row, step.contestant, metrics

    def report(self, samples, page):
        page.text("One tgtd, the same iSCSI parameters and malloc settings, files on tmpfs: the "
                  "stores alone differ. MB/s, median (lowest–highest); ratios are medians of the "
                  "rounds' own ratios.")
        for client in CLIENTS:
            self._table(client, samples, page)
            self._targets(client, samples, page)
        self._plots(samples, page)

    def _rows(self, client):
        return [row for row in self.rows if row.client == client]

    def _table(self, client, samples, page):
        rows = self._rows(client)
        here = self.contestants_of(rows[0])
        page.text(f"**{client}**")
        page.table(
            ["", *here, "crypt / rdwr", "crypt / null"],
            [[str(row.load), *(with_spread(samples.spread(row, c, "MB_s")) for c in here),
              with_spread(samples.ratio(row, "crypt", "rdwr", "MB_s")),
              with_spread(samples.ratio(row, "crypt", "null", "MB_s"))]
             for row in rows])
        page.text(f"tgtd's CPU seconds for each GiB, {client}:")
        page.table(
            ["", *here, "crypt / rdwr"],
            [[str(row.load), *(with_spread(samples.spread(row, c, "cpu_s_per_GiB")) for c in here),
              with_spread(samples.ratio(row, "crypt", "rdwr", "cpu_s_per_GiB"))]
             for row in rows])

    def _targets(self, client, samples, page):
        rows = self._rows(client)
        speed = samples.ratios(rows, "crypt", "rdwr", "MB_s")
        null = samples.ratios(rows, "crypt", "null", "MB_s")
        cpu = samples.ratios(rows, "crypt", "rdwr", "cpu_s_per_GiB")
        page.at_least(f"throughput / rdwr, worst row ({client})", 1.0, min(speed, default=None))
        page.at_least(f"throughput / rdwr, geometric mean ({client})", 1.3, geomean(speed))
        page.at_most(f"CPU s/GiB / rdwr, worst row ({client})", 1.0, max(cpu, default=None))
        page.at_most(f"CPU s/GiB / rdwr, geometric mean ({client})", 1.0, geomean(cpu))
        page.at_least(f"throughput / null, worst row ({client})", 0.85, min(null, default=None))
        page.at_least(f"throughput / null, geometric mean ({client})", 0.85, geomean(null))

    def _plots(self, samples, page):
        rows = [row for row in self._rows("iscsi-load") if row.load.depth == 32]
        for kind, percent in (("read", 100), ("write", 0)):
            of_kind = [row for row in rows if row.load.read == percent]
            page.curves(
                f"plain-{kind}", f"Throughput by size, {kind}, depth 32", xlabel="KiB",
                ylabel="MB/s", logx=2,
                series={c: [(row.load.size >> 10, found) for row in of_kind
                            if (found := samples.spread(row, c, "MB_s"))]
                        for c in self.contestants})
        page.bars("plain-cpu", "tgtd's CPU seconds for each GiB, depth 32", ylabel="s/GiB",
                  groups=[str(row.load).split(",")[0] for row in rows], logy=True,
                  series={c: [samples.spread(row, c, "cpu_s_per_GiB") for row in rows]
                          for c in self.contestants})
        row = next(row for row in rows if row.load.size == 64 << 10)
        marks = ("p50", "p90", "p99", "p999", "max")
        page.bars("plain-latency", f"Latency, {row.load}", ylabel="µs", groups=marks, logy=True,
                  series={c: [samples.spread(row, c, f"{mark}_us") for mark in marks]
                          for c in self.contestants})
