# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""The load of the 2007 paper: 100 clients on four security levels, and one that hangs."""
from concurrent.futures import ThreadPoolExecutor

from clients import AREA, Load, iscsi_load, write_once
from daemons import Keyd, Tgtd
from lab import Failed
from page import with_spread
from scenario import Scenario
from stats import spread

LEVELS = 4
LOAD = Load(64 << 10, 70, 4)
SWEEP = (1, 4, 16, 64, 100)
ALL, ONE, AWAKE, STALLED = "100 clients", "1 client", "4 × 25 clients", "4 × 25, one stalled"
WHERE = ("level 1", "levels 2 to 4")


def sweep_row(clients):
    return f"sweep: {clients}"


class PaperLoad(Scenario):
    name = "paper-load"
    title = "100 clients on four levels, one tgtd for each"
    contestants = ("crypt", "rdwr")

    def __init__(self, quick):
        super().__init__(quick)
        self.rows = (ALL, ONE, AWAKE, STALLED, *map(sweep_row, SWEEP))
        self.rounds = 1 if quick else 3
        self.run_seconds = 1 if quick else 2
        self.step_seconds = 1.2 if quick else 2.6
        self.set_up_seconds = 6

    def contestants_of(self, row):
        """What a stalled client does is asked of the encrypted server only."""
        alone = row in (AWAKE, STALLED) or (self.quick and row not in (ALL, ONE))
        return ("crypt",) if alone else self.contestants

    def set_up(self, lab):
        self.lab, keyd = lab, Keyd(lab)
        self.urls = {contestant: [] for contestant in self.contestants}
        for level in range(1, LEVELS + 1):
            tgtd = Tgtd(lab, keyd)
            keyd.level(f"level-{level}")
            volume = keyd.volume(f"level-{level}", AREA, f"crypt-{level}.img")
            self.urls["crypt"].append(tgtd.lun("crypt", volume))
            plain = lab.tmpfs_file(f"rdwr-{level}.img", AREA)
            self.urls["rdwr"].append(tgtd.lun("rdwr", plain))
        for url in self.urls["crypt"]:
            write_once(lab, url)

    def measure(self, step):
        urls = self.urls[step.contestant]
        if step.row in (AWAKE, STALLED):
            yield from self._level_by_level(step, urls)
        elif step.row in (ALL, ONE):
            clients = 100 if step.row == ALL else 1
            yield step.row, step.contestant, self._load(urls, clients, "--verify")
        else:
            clients = int(step.row.split()[-1])
            yield step.row, step.contestant, self._load(urls, clients)

    def _load(self, urls, clients, *options):
        return iscsi_load(self.lab, urls[:clients], LOAD, self.run_seconds, *options,
                          "--warmup", 0, clients=clients)

    def _level_by_level(self, step, urls):
        """One load for each level, all at once: each has its own latencies."""
        def load(level):
            options = ["--stall", 1] if step.row == STALLED and level == 0 else []
            return self._load([urls[level]], 25, *options)
        with ThreadPoolExecutor(LEVELS) as pool:
            levels = list(pool.map(load, range(LEVELS)))
        if step.row == STALLED and not levels[0]["unread_bytes"]:
            raise Failed("the client that was to stall tgtd did not")
        for where, found in zip(WHERE, (levels[:1], levels[1:])):
            yield f"{step.row}: {where}", step.contestant, {
                "MB_s": sum(level["MB_s"] for level in found),
                "p99_us": max(level["p99_us"] for level in found)}

    def report(self, samples, page):
        page.text(f"{LOAD} for each client, random. Every block that 100 clients and one client "
                  "read is checked. Latencies in ms.")
        columns = {"MB_s": 1, "slowest_by_mean": 1, "p50_us": 1e3, "p99_us": 1e3, "p999_us": 1e3}
        page.table(
            ["", "MB/s in all", "slowest client / mean", "p50", "p99", "p99.9"],
            [[f"{row}, {c}", *(with_spread(scaled(samples, row, c, metric, unit))
                               for metric, unit in columns.items())]
             for row in (ALL, ONE) for c in self.contestants])
        self._stall(samples, page)
        page.curves("clients", f"Scaling with clients, {LOAD}", xlabel="clients",
                    ylabel="MB/s in all", logx=10,
                    series={c: [(n, found) for n in SWEEP
                                if (found := samples.spread(sweep_row(n), c, "MB_s"))]
                            for c in self.contestants_of(sweep_row(1))})
        marks = ("p50", "p99", "p999")
        page.bars("paper-load-latency", "Latency, 100 clients on four levels", ylabel="µs",
                  groups=marks, series={c: [samples.spread(ALL, c, f"{mark}_us") for mark in marks]
                                        for c in self.contestants})
        aggregate = samples.median(ALL, "crypt", "MB_s")
        page.at_least("100 clients on four levels, MB/s in all", 1000, aggregate)
        page.at_least("slowest of 100 clients / mean", 0.5,
                      samples.median(ALL, "crypt", "slowest_by_mean"))

    @staticmethod
    def _stall(samples, page):
        page.text("One client of level 1 asks for 32 MiB and reads nothing. The others, MB/s in all "
                  "and the worst level's p99 in ms:")
        rows = []
        for where in WHERE:
            before, after = f"{AWAKE}: {where}", f"{STALLED}: {where}"
            cells = [with_spread(samples.spread(row, "crypt", "MB_s")) for row in (before, after)]
            cells += [with_spread(scaled(samples, row, "crypt", "p99_us", 1e3))
                      for row in (before, after)]
            rows.append([where, *cells])
        page.table(["", "all awake, MB/s", "one stalled, MB/s", "all awake, p99",
                    "one stalled, p99"], rows)


def scaled(samples, row, contestant, metric, unit):
    values = samples.by_round(row, contestant, metric).values()
    return spread(value / unit for value in values)
