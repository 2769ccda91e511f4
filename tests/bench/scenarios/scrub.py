# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""What it costs to wipe every buffer of clients' data as it is freed."""
from clients import AREA, iscsi_load, loads, write_once
from daemons import Keyd, Tgtd
from page import number, with_spread
from scenario import Scenario
from stats import geomean

OFF, ON = "scrub=off", "scrub=on"


class Scrub(Scenario):
    name = "scrub"
    title = "The price of scrub=on"
    contestants = (OFF, ON)

    def __init__(self, quick):
        super().__init__(quick)
        self.rows = loads((4, 1024) if quick else (4, 64, 256, 1024), (32,))
        self.rounds = 1 if quick else 4
        self.step_seconds = 1.1
        self.set_up_seconds = 4

    def set_up(self, lab):
        """A tgtd for each: the option holds for all of its LUNs."""
        self.lab, keyd = lab, Keyd(lab)
        keyd.level("scrub")
        self.url, self.pid = {}, {}
        for contestant in self.contestants:
            tgtd = Tgtd(lab, keyd)
            image = keyd.volume("scrub", AREA, f"{contestant}.img")
            self.url[contestant] = tgtd.lun("crypt", image, "--bsopts", contestant)
            self.pid[contestant] = tgtd.pid
            write_once(lab, self.url[contestant])

    def measure(self, step):
        yield step.row, step.contestant, iscsi_load(
            self.lab, [self.url[step.contestant]], step.row, 1, "--warmup", 0, "--sequential",
            "--area", AREA, pids=[self.pid[step.contestant]])

    def report(self, samples, page):
        page.text("Two tgtds, everything but the option the same, files on tmpfs, one client. MB/s, "
                  "median (lowest–highest); ratios are medians of the rounds' own ratios.")
        page.table(["", OFF, ON, "ratio"],
                   [[str(row), *(with_spread(samples.spread(row, c, "MB_s"))
                                 for c in self.contestants),
                     with_spread(samples.ratio(row, ON, OFF, "MB_s"))] for row in self.rows])
        page.text("Geometric mean of the ratios: "
                  f"{number(geomean(samples.ratios(self.rows, ON, OFF, 'MB_s')))}. "
                  "tgtd's CPU seconds for each GiB:")
        page.table(["", OFF, ON, "ratio"],
                   [[str(row), *(with_spread(samples.spread(row, c, "cpu_s_per_GiB"))
                                 for c in self.contestants),
                     with_spread(samples.ratio(row, ON, OFF, "cpu_s_per_GiB"))]
                    for row in self.rows])
