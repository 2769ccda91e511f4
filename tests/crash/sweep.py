#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""sweep.py --build DIR: crashes keyd at every step of what it writes, in every way a disk allows.

For each scenario keyd does the action once under strace. Then for every prefix of its calls, and
for every disk that a crash at that point may leave (disk.py), a real keyd starts on that disk. It
must hold the state of before or that of afterwards, nothing else; only that of afterwards once the
answer was sent, or once no crash could lead back; and the next start must find the same.
"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import trace
from daemon import SECONDS, Failed, Keyd, observe
from disk import Disk

SEALED_TAIL_BYTES = 60  # of a sealed file: nonce, 32 bytes of key, tag; docs/KEYSTORE.md
REPORTED_MAX = 5        # failures told of each scenario


SANITIZE = ("sanitize",)
CONFIG = """[roles]
security-admin = root
storage-admin = root
auditor = root
[levels]
fetch = root
sanitize = yes
"""


@dataclass
class Scenario:
    name: str
    action: tuple
    before: tuple = ()      # commands, after the levels red and blue and a volume of blue were made
    volumes: int = 2        # of red: 0.img, 1.img, …
    new_volume: str = None  # what the action makes
    consumer: bool = False  # one has the key of the first volume of red
    former: bool = False    # red came back by import --force over files that were put back: before/

    @property
    def sanitizes(self):
        """The consumer asks for another key of that volume, which nobody can foretell."""
        return self.action == SANITIZE


SCENARIOS = [
    Scenario("level create", ("level", "create", "green")),
    Scenario("volume create", ("volume", "create", "--level", "red", "--size", "1M", "{new.img}"),
             new_volume="new.img"),
    Scenario("volume resize", ("volume", "resize", "{0.img}", "2M")),
    Scenario("level suspend", ("level", "suspend", "red")),
    Scenario("level resume", ("level", "resume", "red"), before=(("level", "suspend", "red"),)),
    Scenario("volume destroy", ("volume", "destroy", "{0.img}", "--yes")),
    Scenario("level destroy", ("level", "destroy", "red", "--yes")),
    Scenario("level destroy, suspended", ("level", "destroy", "red", "--yes"),
             before=(("level", "suspend", "red"),)),
    Scenario("level destroy under a consumer", ("level", "destroy", "red", "--yes"), consumer=True),
    Scenario("level suspend under a consumer", ("level", "suspend", "red"), consumer=True),
    Scenario("sanitize", SANITIZE, consumer=True),
    Scenario("custody change", ("custody", "change", "--custody", "file")),
    Scenario("custody change with a destroyed and a suspended level",
             ("custody", "change", "--custody", "file"),
             before=(("level", "create", "gone"), ("level", "destroy", "gone", "--yes"),
                     ("level", "suspend", "red"))),
    Scenario("level destroy, with the files of the level before", ("level", "destroy", "red", "--yes"),
             former=True),
    # more than one step of erasing (ERASE_FILES_A_STEP)
    Scenario("level destroy, eighteen volumes", ("level", "destroy", "red", "--yes"), volumes=18),
]


class Sweep:
    """One scenario: its trace, and the keyds that start on what crashes leave."""

    def __init__(self, scenario, options, home):
        self.scenario, self.options, self.home = scenario, options, home
        self.rng = random.Random(f"{options.seed} {scenario.name}")
        self.red = [home / f"{i}.img" for i in range(scenario.volumes)]
        self.images = [*self.red, home / "blue.img"]
        if scenario.new_volume:
            self.images.append(home / scenario.new_volume)
        self.calls = []
        self.outcomes = {}  # a disk's fingerprint -> what keyd holds on it
        self.failures = []
        self.checked = 0
        self.renewed_key = None

    def words(self, command):
        return [str(self.home / w[1:-1]) if w.startswith("{") else w for w in command]

    def prepare(self):
        keyd = Keyd(self.options.build, self.home)
        try:
            keyd.do("init")
            for level, images in (("red", self.red), ("blue", [self.home / "blue.img"])):
                keyd.do("level", "create", level)
                for image in images:
                    keyd.do("volume", "create", "--level", level, "--size", "1M", image)
            for command in self.scenario.before:
                keyd.do(*self.words(command))
        finally:
            keyd.stop()
        if self.scenario.former:
            red = keyd.store / "levels" / "red"
            shutil.copytree(red, self.home / "before")
            shutil.move(self.home / "before", red)
        self.disk = Disk()
        self.disk.load(keyd.store)
        keys = {path: content[-SEALED_TAIL_BYTES:] for path, content in self.disk.tree().items()
                if path.endswith(".key") and path != "root.key"}
        self.tails = list(keys.values())
        destroyed = self.scenario.action[:2] == ("level", "destroy")
        self.to_erase = {tail for path, tail in keys.items() if destroyed and path.startswith("levels/red/")}

    def record(self):
        """Does the action under strace and kills keyd: its calls up to the answer and a little on."""
        path = self.home / "trace"
        config = self.home / "keyd.conf"
        config.write_text(CONFIG)
        keyd = Keyd(self.options.build, self.home, (*trace.STRACE, "-o", str(path)),
                    ("--config", config))
        traced = pathlib.Path(f"/proc/{keyd.process.pid}/task/{keyd.process.pid}/children")
        consumer = self.start_consumer(keyd) if self.scenario.consumer else None
        try:
            if self.scenario.sanitizes:
                self.sanitize(consumer)
            else:
                keyd.do(*self.words(self.scenario.action))
        finally:
            if consumer:
                consumer.kill()
                consumer.communicate()
            os.kill(int(traced.read_text().split()[0]), 9)
            keyd.process.wait(SECONDS)
        self.calls = list(trace.calls(path))
        replay = trace.Replay(self.disk.copy(), keyd.store)
        for call in self.calls:
            replay.step(*call)
        self.answer = replay.sent  # the last message is the action's answer
        shutil.rmtree(keyd.store)
        return replay.disk.now()

    def start_consumer(self, keyd):
        uuid = next(v["uuid"] for v in keyd.ask("volume", "list") if v["path"] == str(self.red[0]))
        consumer = subprocess.Popen(
            [pathlib.Path(__file__).with_name("consumer.py"), self.home / "keyd.sock", uuid],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if consumer.stdout.readline() != "attached\n":
            raise Failed("the consumer gets no key")
        return consumer

    @staticmethod
    def sanitize(consumer):
        print("now", file=consumer.stdin, flush=True)
        if consumer.stdout.readline() != "sanitized\n":
            raise Failed("the key was not replaced")

    def outcome(self, disk):
        """What keyd holds on the disk; a second start must agree."""
        fingerprint = disk.fingerprint()
        if fingerprint not in self.outcomes:
            self.checked += 1
            shutil.rmtree(self.home / "store", ignore_errors=True)
            disk.save(self.home / "store")
            try:
                first, second = self.start_and_observe(), self.start_and_observe()
                if first != second:
                    raise Failed(f"the second start finds {second}, the first {first}")
                self.outcomes[fingerprint] = first
            except (Failed, subprocess.TimeoutExpired) as failure:
                self.outcomes[fingerprint] = str(failure)
        return self.outcomes[fingerprint]

    def start_and_observe(self):
        keyd = Keyd(self.options.build, self.home)
        try:
            seen = observe(keyd, self.images)
            status, _, err = keyd.adm("audit", "--verify")
            seen["audit"] = status and err
            if self.scenario.sanitizes:
                self.look_at_renewed(keyd, seen)
        finally:
            keyd.kill()
        content = b"".join(p.read_bytes() for p in sorted(keyd.store.rglob("*")) if p.is_file())
        seen["sealed keys left"] = [tail in content for tail in self.tails]
        return seen

    def look_at_renewed(self, keyd, seen):
        """Which key it is does not count, but that it is given out, and whether the one of before is certified."""
        image = str(self.red[0])
        volume = keyd.ask("volume", "show", image)
        if not self.renewed_key:
            self.renewed_key = seen["keys"][image]  # of before: that disk is looked at first
        if seen["keys"][image] and seen["keys"][image] != self.renewed_key:
            seen["keys"][image] = "another"
            certificate = keyd.ask("certificate", "show", volume["uuid"])
            seen["certificates"][image] = certificate["verification"]["result"]
            seen["header due"] = volume["header_due"]

    def crash_after(self, step, replay, final):
        """Every crash after that many calls; True when all led to the new state."""
        only_new = True
        for fates, disk in replay.disk.crashes(self.options.variants, self.rng):
            seen = self.outcome(disk)
            only_new = only_new and seen == self.new
            if seen != self.new and (final or seen != self.old):
                self.failures.append(
                    f"after call {step} ({self.calls[step - 1][0]})"
                    f"{', with no way back' if final else ''}, pending {list(fates)}: {seen}")
        return only_new

    def crash_everywhere(self):
        replay = trace.Replay(self.disk, self.home / "store")
        final = False
        for step, call in enumerate(self.calls, 1):
            if not replay.step(*call):
                continue
            final = final or replay.sent >= self.answer
            final = self.crash_after(step, replay, final) or final

    def run(self):
        self.prepare()
        final = self.record()
        self.old, self.new = self.outcome(self.disk), self.outcome(final)
        if isinstance(self.old, str) or isinstance(self.new, str) or self.old == self.new:
            raise Failed(f"without a crash: {self.old}, then {self.new}")
        if any(left and tail in self.to_erase for left, tail in zip(self.new["sealed keys left"], self.tails)):
            raise Failed("without a crash: a sealed key of red is left")
        self.crash_everywhere()


def sweep(scenario, options, number):
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tgt-crypt-crash-", dir=options.dir) as home:
        run = Sweep(scenario, options, pathlib.Path(home).resolve())
        try:
            run.run()
        except (Failed, subprocess.TimeoutExpired) as failure:
            run.failures.append(str(failure))
    good = not run.failures
    print(f"{'ok' if good else 'not ok'} {number} - {scenario.name}: the old state or the new one")
    print(f"# {len(run.calls)} calls, {run.checked} disks, {time.monotonic() - began:.0f} s", flush=True)
    for failure in run.failures[:REPORTED_MAX]:
        print(f"# {failure}")
    if len(run.failures) > REPORTED_MAX:
        print(f"# and {len(run.failures) - REPORTED_MAX} more")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--dir", default="/dev/shm", help="where state directories are made")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)))
    parser.add_argument("--variants", type=int, default=16, help="of each prefix, at most")
    parser.add_argument("--only", help="the scenarios whose name has this in it")
    options = parser.parse_args()
    scenarios = [s for s in SCENARIOS if not options.only or options.only in s.name]
    print(f"# seed {options.seed}, up to {options.variants} disks a prefix")
    print(f"1..{len(scenarios)}", flush=True)
    good = [sweep(scenario, options, i) for i, scenario in enumerate(scenarios, 1)]
    return 0 if all(good) and good else 1


if __name__ == "__main__":
    sys.exit(main())
