# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""How long it takes until a level's keys are gone while its LUNs are as busy as can be."""
import time

from clients import Load, iscsi_load_command
from daemons import Keyd, Tgtd, cpu_seconds
from lab import Failed, end, wait_until
from page import number
from scenario import Scenario
from .luns import small_volumes

LUNS = 100


class Destroy(Scenario):
    name = "destroy"
    title = "Destroying a level of 100 LUNs under the load of 100 clients"
    rows = ("level destroy",)

    def __init__(self, quick):
        super().__init__(quick)
        self.rounds = 3 if quick else 20
        self.step_seconds = 9

    def set_up(self, lab):
        self.lab, self.keyd = lab, Keyd(lab)

    def measure(self, step):
        level = f"level-{step.round}"
        self.keyd.level(level)
        paths = small_volumes(self.keyd, level, [f"{level}-{n}.img" for n in range(LUNS)])
        tgtd = Tgtd(self.lab, self.keyd)
        tid = tgtd.target()
        urls = [tgtd.lun("crypt", path, tid=tid) for path in paths]
        load = self._load(tgtd, urls)
        began = time.monotonic()
        certificate = self.keyd.adm("level", "destroy", level, "--yes")
        seconds = time.monotonic() - began
        end(load)
        tgtd.close()
        for path in paths:
            path.unlink()
        if [tgt["wiped"] for tgt in certificate["acknowledged"]] != [LUNS]:
            raise Failed(f"not all of {LUNS} volumes were wiped")
        yield step.row, step.contestant, {"ms": seconds * 1e3}

    def _load(self, tgtd, urls):
        """Runs when this returns, and goes on."""
        command = iscsi_load_command(self.lab, urls, Load(64 << 10, 70, 4), 60, "--no-fill")
        load = self.lab.start("load", *command)
        idle = cpu_seconds([tgtd.pid])
        wait_until(lambda: cpu_seconds([tgtd.pid]) > idle + 0.5, 20, "load on 100 LUNs")
        return load

    def report(self, samples, page):
        row, = self.rows
        found = samples.spread(row, "crypt", "ms")
        if not found:
            return
        times = sorted(samples.by_round(row, "crypt", "ms").values())
        page.text("From the start of keyadm to its end, with tgtd's confirmation that every key is "
                  "wiped, the wrapped keys erased and the certificate written. 64 KiB, 70 % reads, "
                  f"depth 4 for each client; {len(times)} rounds.")
        page.table(["p50", "p90", "slowest"],
                   [[f"{number(ms)} ms" for ms in (found.median, times[int(len(times) * 0.9)],
                                                   found.high)]])
        page.at_most("destroying a level under load, p50", 50, found.median, " ms")
        page.at_most("destroying a level under load, slowest", 50, found.high, " ms")
