# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Against what people have today: tgt as Debian ships it, and SPDK's iSCSI target."""
import dataclasses

from clients import AREA, Load, QemuImg, iscsi_load, loads, write_once
from daemons import Keyd, Tgtd
from page import number, with_spread
from scenario import Scenario
from stats import geomean

STOCK = "tgt as it comes"
TARGET_CPU, CLIENT_CPU = "0", "1"

# MiB/s that were measured once with qemu-img bench, target and client pinned to a core each (2
# cores, AMD Zen 5, Debian 12): SPDK with AES-256-CBC by ipsec-mb over its aio store, and tgt's
# rdwr (tuned) in the same session.
SPDK = {Load(64 << 10, 100, 32): (1118, 1096), Load(64 << 10, 0, 32): (817, 1223),
        Load(128 << 10, 100, 32): (1070, 845), Load(128 << 10, 0, 32): (845, 1888),
        Load(1 << 20, 100, 32): (943, 1493), Load(1 << 20, 0, 32): (847, 2377)}
MIB = 1.048576  # MB


@dataclasses.dataclass(frozen=True)
class Row:
    load: Load
    pinned: bool

    def __str__(self):
        return f"{self.load}{' (pinned)' if self.pinned else ''}"


class Today(Scenario):
    name = "today"
    title = "Against tgt as it comes, and against SPDK"

    def __init__(self, quick):
        super().__init__(quick)
        kinds = loads((4, 64, 1024), (32,)) if quick else loads((4, 64, 256, 1024), (32, 1))
        self.stock_rows = [Row(load, False) for load in kinds]
        self.spdk_rows = [Row(load, True) for load in list(SPDK)[:2 if quick else None]]
        self.rows = self.stock_rows + self.spdk_rows
        self.rounds = 1 if quick else 3
        self.step_seconds = 0.9 if quick else 1.1
        self.set_up_seconds = 5

    def contestants_of(self, row):
        """rdwr is there to compare with SPDK's figures."""
        return ("crypt", "rdwr") if row.pinned else ("crypt", STOCK)

    def set_up(self, lab):
        self.lab, self.qemu = lab, QemuImg(lab, CLIENT_CPU)
        keyd = Keyd(lab)
        keyd.level("today")
        free, pinned = Tgtd(lab, keyd), Tgtd(lab, keyd, cpus=TARGET_CPU)
        stock = Tgtd(lab, malloc=False, tuned=False)
        plain = lab.tmpfs_file("plain.img", AREA)
        self.url = {
            ("crypt", False): free.lun("crypt", keyd.volume("today", AREA, "free.img")),
            (STOCK, False): stock.lun("rdwr", plain),
            ("crypt", True): pinned.lun("crypt", keyd.volume("today", AREA, "pinned.img")),
            ("rdwr", True): pinned.lun("rdwr", plain),
        }
        for url in self.url.values():
            write_once(lab, url)

    def measure(self, step):
        url, load = self.url[step.contestant, step.row.pinned], step.row.load
        if step.row.pinned:
            metrics = self.qemu.run(url, load, 0.4 if self.quick else 0.8)
        else:
            metrics = iscsi_load(self.lab, [url], load, 1, "--warmup", 0, "--sequential",
                                 "--area", AREA)
        yield step.row, step.contestant, metrics

    def report(self, samples, page):
        self._stock(samples, page)
        self._spdk(samples, page)

    def _stock(self, samples, page):
        page.text("tgtd without any setting and its plaintext store rdwr, against an encrypted LUN "
                  "with the settings that we ship. MB/s.")
        rows = self.stock_rows
        page.table(["", "crypt", STOCK, "ratio"],
                   [[str(row), *(with_spread(samples.spread(row, c, "MB_s"))
                                 for c in ("crypt", STOCK)),
                     with_spread(samples.ratio(row, "crypt", STOCK, "MB_s"))] for row in rows])
        deep = [row for row in rows if row.load.depth == 32]
        page.text("Geometric mean of the ratios at depth 32: "
                  f"{number(geomean(samples.ratios(deep, 'crypt', STOCK, 'MB_s')))}.")
        page.at_least("throughput / tgt as it comes, geometric mean", 2.5,
                      geomean(samples.ratios(rows, "crypt", STOCK, "MB_s")))

    def _spdk(self, samples, page):
        page.text("SPDK with AES-256-CBC is not installed here. Its figures are those of an earlier "
                  "session on such a machine, as they are and scaled by what rdwr does here and did "
                  "there. Target and client have a core each. MB/s, qemu-img bench.")
        table, scaled_ratios = [], []
        for row in self.spdk_rows:
            spdk, rdwr_there = (figure * MIB for figure in SPDK[row.load])
            crypt, rdwr = (samples.median(row, c, "MB_s") for c in ("crypt", "rdwr"))
            if not crypt or not rdwr:
                continue
            scaled = spdk * rdwr / rdwr_there
            scaled_ratios.append(crypt / scaled)
            table.append([str(row.load), *(with_spread(samples.spread(row, c, "MB_s"))
                                           for c in ("crypt", "rdwr")),
                          number(spdk), number(crypt / spdk),
                          number(scaled), number(crypt / scaled)])
        page.table(["", "crypt", "rdwr", "SPDK there", "crypt / that", "SPDK, scaled",
                    "crypt / that"], table)
        page.at_least("throughput / SPDK with AES-256-CBC, scaled, worst row", 1.0,
                      min(scaled_ratios, default=None))
