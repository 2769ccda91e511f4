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
BUSY_AGAIN_SECONDS = 1


class Destroy(Scenario):
    name = "destroy"
    title = "Destroying a level of 100 LUNs under the load of 100 clients"
    rows = ("level destroy",)
    marks = {"wiped_ms": "every key wiped, tgtd's acknowledgement on record (suspend)",
             "ms": "destroyed and certified"}

    def __init__(self, quick):
        super().__init__(quick)
        self.rounds = 1 if quick else 15
        self.step_seconds = 11

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
        wiped, _ = self._timed("suspend", level)
        self.keyd.adm("level", "resume", level)
        time.sleep(BUSY_AGAIN_SECONDS)
        destroyed, certificate = self._timed("destroy", level, "--yes")
        end(load)
        tgtd.close()
        for path in paths:
            path.unlink()
        if [tgt["wiped"] for tgt in certificate["acknowledged"]] != [LUNS]:
            raise Failed(f"not all of {LUNS} volumes were wiped")
        yield step.row, step.contestant, {"wiped_ms": wiped, "ms": destroyed}

    def _timed(self, *command):
        """Milliseconds, and keyadm's answer."""
        began = time.monotonic()
        answer = self.keyd.adm("level", *command)
        return (time.monotonic() - began) * 1e3, answer

    def _load(self, tgtd, urls):
        """Runs when this returns, and goes on."""
        command = iscsi_load_command(self.lab, urls, Load(64 << 10, 70, 4), 60, "--no-fill")
        load = self.lab.start("load", *command)
        idle = cpu_seconds([tgtd.pid])
        wait_until(lambda: cpu_seconds([tgtd.pid]) > idle + 0.5, 20, "load on 100 LUNs")
        return load

    def report(self, samples, page):
        row, = self.rows
        page.text("From the start of keyadm to its end. Suspending wipes all keys in tgtd as destroying "
                  "does, and leaves the key store alone; destroying then erases each wrapped key, reads "
                  "that back and writes the certificate. 64 KiB, 70 % reads, depth 4 for each client.")
        lines = []
        for mark, what in self.marks.items():
            times = sorted(samples.by_round(row, "crypt", mark).values())
            if not times:
                return
            found = samples.spread(row, "crypt", mark)
            shown = found.median, times[int(len(times) * 0.9)], found.high
            lines.append([what, *(f"{number(ms)} ms" for ms in shown), str(len(times))])
            page.at_most(f"{what}, p50", 50, found.median, " ms")
            page.at_most(f"{what}, slowest", 50, found.high, " ms")
        page.table(["", "p50", "p90", "slowest", "rounds"], lines)
