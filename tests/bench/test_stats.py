# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""The benchmark's arithmetic, and its report from samples whose answer is known."""
import contextlib
import pathlib
import tempfile
import unittest

import report
import scenarios
from page import Page, number, with_spread
from scenario import Scenario
from scenarios.plain import Plain
from stats import Samples, Spread, geomean, spread


def canned(scenario, contestants, metrics_of):
    """A document of one scenario; metrics_of(row, contestant, round)."""
    samples = Samples()
    for round_number in range(scenario.rounds):
        for row in scenario.rows:
            for contestant in contestants:
                samples.add(row, contestant, round_number,
                            metrics_of(row, contestant, round_number))
    data = {"samples": samples.samples, "missing": {}, "problems": [],
            "rounds": scenario.rounds}
    return {"quick": scenario.quick, "machine": {"kernel": "canned"}, "interrupted": False,
            "scenarios": {scenario.name: data}}


@contextlib.contextmanager
def report_of(document):
    """(text of report.md, targets missed, folder)"""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        missed = report.write(document, folder)
        yield (folder / "report.md").read_text(), missed, folder


class Arithmetic(unittest.TestCase):
    def test_a_spread_is_median_lowest_and_highest(self):
        self.assertEqual(spread([3, 1, 10]), Spread(3, 1, 10))
        self.assertEqual(spread([1, 2]), Spread(1.5, 1, 2))
        self.assertIsNone(spread([]))

    def test_a_geometric_mean_takes_halves_and_doubles_for_equals(self):
        self.assertAlmostEqual(geomean([0.5, 2]), 1)
        self.assertAlmostEqual(geomean([1, 10, 100]), 10)
        self.assertIsNone(geomean([]))

    def test_ratios_are_paired_by_round(self):
        samples = Samples()
        for number_, (crypt, rdwr) in enumerate([(10, 5), (300, 100), (40, 10)]):
            samples.add("row", "crypt", number_, {"MB_s": crypt})
            samples.add("row", "rdwr", number_, {"MB_s": rdwr})
        samples.add("row", "crypt", 3, {"MB_s": 1000})  # has no partner
        self.assertEqual(samples.ratio("row", "crypt", "rdwr", "MB_s"), Spread(3, 2, 4))
        self.assertEqual(samples.ratios(["row", "other"], "crypt", "rdwr", "MB_s"), [3])

    def test_what_was_not_measured_counts_nowhere(self):
        samples = Samples()
        samples.add("row", "crypt", 0, {"cpu": None})
        self.assertIsNone(samples.spread("row", "crypt", "cpu"))
        self.assertIsNone(samples.median("row", "crypt", "speed"))

    def test_numbers_keep_what_matters(self):
        self.assertEqual([number(n) for n in (0, 0.01234, 1.5, 99.96, 1234.5, None)],
                         ["0", "0.0123", "1.5", "100", "1,234", "—"])
        self.assertEqual(with_spread(Spread(2, 1, 3)), "2 (1–3)")
        self.assertEqual(with_spread(Spread(2, 2, 2)), "2")


class Order(unittest.TestCase):
    def test_contestants_take_turns_and_the_first_one_changes(self):
        scenario = Scenario(True)
        scenario.rows, scenario.contestants, scenario.rounds = ("r",), ("a", "b", "c"), 3
        order = "".join(step.contestant for step in scenario.steps())
        self.assertEqual(order, "abcbcacab")

    def test_every_scenario_has_steps_and_fits_its_budget(self):
        for quick, most in ((True, 220), (False, 1740)):
            all_of_them = [kind(quick) for kind in scenarios.ALL]
            self.assertTrue(all(list(scenario.steps()) for scenario in all_of_them))
            self.assertLess(sum(scenario.seconds() for scenario in all_of_them), most)


class Report(unittest.TestCase):
    def plain(self, crypt):
        """A document in which crypt has this many MB/s, and the other stores 100."""
        return canned(Plain(False), Plain.contestants, lambda row, contestant, n: {
            "MB_s": (crypt if contestant == "crypt" else 100) + n, "cpu_s_per_GiB": 1.0,
            **{f"{mark}_us": 10.0 for mark in ("p50", "p90", "p99", "p999", "max")}})

    def test_targets_that_are_reached_are_told_and_plotted(self):
        with report_of(self.plain(200)) as (text, missed, folder):
            self.assertEqual(missed, [])
            self.assertIn("| throughput / rdwr, worst row (iscsi-load) | >= 1 | 1.99 | yes |", text)
            self.assertIn("202 (200–203)", text)
            for kind in ("svg", "png"):
                self.assertGreater((folder / f"plain-read.{kind}").stat().st_size, 1000)

    def test_targets_that_are_missed_are_told(self):
        with report_of(self.plain(50)) as (text, missed, _):
            self.assertIn("| throughput / rdwr, worst row (iscsi-load) | >= 1 | 0.507 | **no** |",
                          text)
            self.assertIn("throughput / rdwr, worst row (qemu-img)", [t.what for t in missed])

    def test_a_report_of_nothing_says_so(self):
        for quick in (True, False):
            for kind in scenarios.ALL:
                with report_of(canned(kind(quick), (), None)) as (text, missed, _):
                    self.assertEqual(missed, [])
                    self.assertNotIn("| yes |", text)

    def test_bounds_belong_to_what_they_bound(self):
        page = Page(None)
        page.at_most("most", 2, 2)
        page.at_least("least", 2, 2)
        page.at_most("too much", 2, 2.1)
        page.at_least("too little", 2, 1.9)
        page.at_least("unknown", 2, None)
        self.assertEqual([t.met for t in page.targets], [True, True, False, False, None])


if __name__ == "__main__":
    unittest.main()
