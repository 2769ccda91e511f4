#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Compares encrypted LUNs with what else there is, and writes a report. See README.md."""
import argparse
import json
import pathlib
import resource
import signal
import sys
import time

import machine
import report
import scenarios
from lab import Failed, Lab
from stats import Samples

QUICK_BUDGET, FULL_BUDGET = 180, 1740  # seconds
TOP = pathlib.Path(__file__).resolve().parents[2]


class Run:
    """The chosen scenarios one after the other, within a time budget."""

    def __init__(self, chosen, build, budget):
        self.build, self.budget = build, budget
        self.waiting = list(chosen)
        self.total = sum(len(list(s.steps())) for s in chosen)
        self.number = 0
        self.began = time.monotonic()

    def seconds_expected(self):
        return sum(s.seconds() for s in self.waiting)

    def all(self, results):
        """Puts every scenario's samples into results as they come."""
        while self.waiting:
            scenario = self.waiting.pop(0)
            data = {"samples": [], "missing": scenario.missing, "problems": [], "rounds": 0}
            results[scenario.name] = data
            try:
                with Lab(self.build) as lab:
                    scenario.set_up(lab)
                    self._steps(scenario, data)
            except Failed as failed:
                problem(data, scenario.name, failed)

    def _steps(self, scenario, data):
        samples = Samples(data["samples"])
        data["samples"] = samples.samples
        began = time.monotonic()
        steps = list(scenario.steps())
        for done, step in enumerate(steps):
            self.number += 1
            if step.round == data["rounds"]:
                ahead = sum(s.round == step.round for s in steps)
                pace = (time.monotonic() - began) / done if done else 0
                if step.round and self._too_late(ahead * pace):
                    self.number += len(steps) - done - 1
                    return
                data["rounds"] += 1
            if step.contestant not in scenario.missing:
                self._step(scenario, step, samples, data)

    def _step(self, scenario, step, samples, data):
        where = f"{scenario.name}: {step.row}: {step.contestant}"
        print(f"[{self.number}/{self.total}] {where}", flush=True)
        try:
            for row, contestant, metrics in scenario.measure(step):
                samples.add(row, contestant, step.round, metrics)
        except Failed as failed:
            problem(data, where, failed)

    def _too_late(self, seconds):
        spent = time.monotonic() - self.began
        return spent + seconds + self.seconds_expected() > self.budget


def problem(data, where, failed):
    data["problems"].append(f"{where}: {failed}")
    print(f"{where}: {failed}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=TOP / "build",
                        help="folder of what was built (default: build)")
    parser.add_argument("--out", type=pathlib.Path, help="folder for the report (BUILD/bench)")
    parser.add_argument("--quick", action="store_true", help="about 3 minutes instead of 30")
    parser.add_argument("--only", default="", metavar="NAME,...", help="these scenarios alone")
    parser.add_argument("--rounds", type=int, help="as many of every scenario, at most")
    parser.add_argument("--list", action="store_true", help="list the scenarios and end")
    parser.add_argument("--render", type=pathlib.Path, metavar="REPORT.JSON",
                        help="measure nothing; write the report of an earlier run again")
    args = parser.parse_args()
    unknown = set(filter(None, args.only.split(","))) - {s.name for s in scenarios.ALL}
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; --list lists them")
    args.out = args.out or args.build / "bench"
    return args


def choose(args):
    wanted = list(filter(None, args.only.split(",")))
    chosen = [kind(args.quick) for kind in scenarios.ALL if not wanted or kind.name in wanted]
    for scenario in chosen:
        scenario.rounds = min(scenario.rounds, args.rounds or scenario.rounds)
    return chosen


def list_scenarios(chosen):
    for scenario in chosen:
        print(f"{scenario.name:14} {len(list(scenario.steps())):4} runs {scenario.seconds():5.0f} s"
              f"  {scenario.title}")


def measure(args, chosen):
    """The document of report.json; what there is of it when it is interrupted."""
    neighbours, began = machine.Neighbours(), time.monotonic()
    document = {"quick": args.quick, "machine": machine.describe(TOP), "scenarios": {},
                "interrupted": False}
    run = Run(chosen, args.build, QUICK_BUDGET if args.quick else FULL_BUDGET)
    print(f"{run.total} runs, about {run.seconds_expected():.0f} s", flush=True)
    try:
        run.all(document["scenarios"])
    except KeyboardInterrupt:
        document["interrupted"] = True
    document["machine"]["took"] = f"{time.monotonic() - began:.0f} s"
    document["machine"].update(neighbours.describe())
    return document


def main():
    def interrupted(*_):
        raise KeyboardInterrupt
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand LUNs
    args = arguments()
    if args.list:
        list_scenarios(choose(args))
        return 0
    document = (json.loads(args.render.read_text()) if args.render
                else measure(args, choose(args)))
    args.out.mkdir(parents=True, exist_ok=True)
    missed = report.write(document, args.out)
    print(f"{args.out}/report.md: {len(missed)} targets missed")
    for target in missed:
        print(f"  {target.what}: {target.measured}, wanted {target.wanted}")
    failed = any(data["problems"] for data in document["scenarios"].values())
    return 130 if document["interrupted"] else int(failed)


if __name__ == "__main__":
    sys.exit(main())
