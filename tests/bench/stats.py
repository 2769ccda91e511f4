# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Samples, and the few statistics that the report is made of."""
import dataclasses
import math
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    """Some measurements of one thing."""
    median: float
    low: float
    high: float


def spread(values):
    """None without values."""
    values = list(values)
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values))


def geomean(values):
    """None without values."""
    values = list(values)
    if not values:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


class Samples:
    """What was measured in one scenario: for each row, contestant and round some metrics."""

    def __init__(self, samples=()):
        self.samples = list(samples)

    def add(self, row, contestant, round_number, metrics):
        self.samples.append({"row": str(row), "contestant": contestant, "round": round_number,
                             "metrics": metrics})

    def by_round(self, row, contestant, metric):
        """{round: value}"""
        return {s["round"]: s["metrics"][metric] for s in self.samples
                if s["row"] == str(row) and s["contestant"] == contestant
                and s["metrics"].get(metric) is not None}

    def spread(self, row, contestant, metric):
        return spread(self.by_round(row, contestant, metric).values())

    def median(self, row, contestant, metric):
        found = self.spread(row, contestant, metric)
        return found and found.median

    def ratio(self, row, contestant, base, metric):
        """Spread of contestant / base, each round by itself: what slows a round slows both."""
        above = self.by_round(row, contestant, metric)
        below = self.by_round(row, base, metric)
        return spread(above[n] / below[n] for n in above if below.get(n))

    def ratios(self, rows, contestant, base, metric):
        """The median ratio of every row that has one."""
        found = (self.ratio(row, contestant, base, metric) for row in rows)
        return [ratio.median for ratio in found if ratio]
