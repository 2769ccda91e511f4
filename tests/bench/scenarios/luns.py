# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Many LUNs in one tgtd: what each costs, and what the others notice."""
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from clients import AREA, Load, iscsi_load, write_once
from daemons import Keyd, Tgtd, proc_status
from page import number, with_spread
from scenario import Scenario

LUNS_A_TARGET = 100
LUKS_HEADERS = 32 << 10  # both; the key slots' area and the data are never used here


def small_volume(keyd, level, name):
    """A volume of 1 MiB that takes 32 KiB of memory instead of 17 MiB."""
    path = keyd.volume(level, "1M", name)
    keyd.lab.run("fallocate", "--punch-hole", "--offset", LUKS_HEADERS, "--length", 17 << 20, path)
    return path


def small_volumes(keyd, level, names):
    """Made by two keyadms at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda name: small_volume(keyd, level, name), names))


def add_luns(tgtd, bstype, paths):
    """Seconds that each took."""
    seconds = []
    for i, path in enumerate(paths):
        if i % LUNS_A_TARGET == 0:
            tid = tgtd.target()
        began = time.monotonic()
        tgtd.lun(bstype, path, tid=tid)
        seconds.append(time.monotonic() - began)
    return seconds


def again_and_again(tgtd, path, times):
    """Seconds of each opening of one volume that is closed in between."""
    tid, seconds = tgtd.target(), []
    for _ in range(times):
        began = time.monotonic()
        tgtd.lun("crypt", path, tid=tid)
        seconds.append(time.monotonic() - began)
        tgtd.remove_lun(tid)
    return seconds


def memory(tgtd):
    return {field: proc_status(tgtd.pid, field) for field in ("VmRSS", "VmLck", "Threads")}


class Luns(Scenario):
    name = "luns"
    title = "Many LUNs in one tgtd"
    step_seconds = 5

    def __init__(self, quick):
        super().__init__(quick)
        self.rows = (1, 100) if quick else (1, 10, 100, 2000)
        self.set_up_seconds = 7 if quick else 150  # volumes

    def set_up(self, lab):
        self.lab, self.keyd = lab, Keyd(lab, revoke_timeout=60)
        self.keyd.level("many")
        self.plain = lab.tmpfs_file("null.img", 1 << 20)
        self.measured = self.keyd.volume("many", AREA, "measured.img")
        self.volumes = []

    def measure(self, step):
        """Each number of LUNs in a tgtd of its own. The volumes are made once."""
        create_ms = self._more_volumes(step.row)
        tgtd = Tgtd(self.lab, self.keyd)
        first = tgtd.lun("crypt", self.measured)
        nulls = add_luns(tgtd, "null", [self.plain] * 50)
        null_s = statistics.median(nulls)
        before = memory(tgtd)
        opened = add_luns(tgtd, "crypt", self.volumes[:step.row])
        after = memory(tgtd)
        again = again_and_again(tgtd, self.spare, 20)
        resumed_s = self._resume()
        write_once(self.lab, first)
        load = iscsi_load(self.lab, [first], Load(64 << 10, 100, 32), 1, "--warmup", 0, "--area",
                          AREA)
        tgtd.close()
        yield step.row, step.contestant, {
            "create_ms": create_ms,
            "open_ms": (statistics.median(opened) - null_s) * 1e3,
            "slowest_ms": (max(opened) - null_s) * 1e3,
            "again_ms": (statistics.median(again) - null_s) * 1e3,
            "null_ms": null_s * 1e3,
            "threads": after["Threads"],
            "KiB": (after["VmRSS"] - before["VmRSS"]) / step.row,
            "locked_KiB": (after["VmLck"] - before["VmLck"]) / step.row,
            "MB_s": load["MB_s"],
            "resumed_s": resumed_s,
        }

    def _resume(self):
        """Seconds of keyadm: it ends when tgtd has said that every LUN has its key again."""
        self.keyd.adm("level", "suspend", "many")
        began = time.monotonic()
        self.keyd.adm("level", "resume", "many", seconds=90)
        return time.monotonic() - began

    def _more_volumes(self, count):
        """As many as needed and a spare one. Milliseconds for each."""
        names = [f"{n}.img" for n in range(len(self.volumes), count + 1)]
        began = time.monotonic()
        self.volumes += small_volumes(self.keyd, "many", names)
        self.spare = self.volumes[count]
        return (time.monotonic() - began) / len(names) * 1e3

    def report(self, samples, page):
        page.text("Beside one LUN that is measured, N small ones. Opening: the wall time of tgtadm "
                  "less that of a null LUN. Volumes are made by two keyadm at a time, the key store "
                  "is on disk.")
        columns = {"create_ms": "volume made, ms", "open_ms": "opened, ms (median)",
                   "slowest_ms": "opened, ms (slowest)", "again_ms": "one again and again, ms",
                   "null_ms": "null LUN, ms", "threads": "threads of tgtd",
                   "KiB": "resident KiB a LUN", "locked_KiB": "of these locked",
                   "resumed_s": "all resumed, s", "MB_s": "64 KiB reads of one, MB/s"}
        page.table(["LUNs", *columns.values()],
                   [[str(row), *(with_spread(samples.spread(row, "crypt", metric))
                                 for metric in columns)] for row in self.rows])
        points = {metric: [(row, found) for row in self.rows
                           if (found := samples.spread(row, "crypt", metric))]
                  for metric in ("MB_s", "open_ms")}
        page.curves("luns-throughput", "Throughput of one LUN with N more open", xlabel="LUNs",
                    ylabel="MB/s", logx=10, series={"64 KiB reads": points["MB_s"]})
        page.curves("luns-open", "Time to open a LUN", xlabel="LUNs", ylabel="ms", logx=10,
                    series={"median": points["open_ms"]})
        most = self.rows[-1]
        threads = [samples.median(row, "crypt", "threads") for row in self.rows]
        page.target("threads of tgtd with 1 and with many LUNs", "the same",
                    f"{number(threads[0])} and {number(threads[-1])}",
                    None if None in threads else len(set(threads)) == 1)
        page.at_most(f"resident memory a LUN, {most} LUNs", 64,
                     samples.median(most, "crypt", "KiB"), " KiB")
        page.at_most(f"resuming a level of {most} LUNs", 10,
                     samples.median(most, "crypt", "resumed_s"), " s")
        page.at_most(f"opening a LUN, {most} LUNs, median", 10,
                     samples.median(most, "crypt", "open_ms"), " ms")
        page.at_most(f"opening a LUN, {most} LUNs, slowest", 10,
                     samples.median(most, "crypt", "slowest_ms"), " ms")
