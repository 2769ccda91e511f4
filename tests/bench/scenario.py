# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""What a scenario is: rows to measure, contestants, and a section of the report."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Step:
    """One run. Steps of one row follow each other, so that its contestants share the weather."""
    row: object
    contestant: str
    round: int


class Scenario:
    """Subclasses set the attributes below in __init__ and implement the methods that raise."""
    name = ""
    title = ""
    rows = ()
    contestants = ("crypt",)
    rounds = 1
    step_seconds = 1.0   # how long one step is expected to take
    set_up_seconds = 2.0

    def __init__(self, quick):
        self.quick = quick
        self.missing = {}  # contestants: why they are not here

    def contestants_of(self, row):
        """Where not all take part in every row."""
        return self.contestants

    def rounds_of(self, row):
        """Where some rows have fewer."""
        return self.rounds

    def steps(self):
        """Round-robin; who comes first changes with the round."""
        for number in range(self.rounds):
            for row in self.rows:
                here = self.contestants_of(row)
                turn = number % len(here)
                for contestant in here[turn:] + here[:turn]:
                    if number < self.rounds_of(row):
                        yield Step(row, contestant, number)

    def seconds(self):
        return self.set_up_seconds + self.step_seconds * sum(1 for _ in self.steps())

    def set_up(self, lab):
        """Starts what is measured. Contestants that cannot run here go to self.missing."""
        raise NotImplementedError

    def measure(self, step):
        """Yields (row, contestant, metrics), usually once for the step's own."""
        raise NotImplementedError

    def report(self, samples, page):
        """Writes tables, plots and targets to the page."""
        raise NotImplementedError
