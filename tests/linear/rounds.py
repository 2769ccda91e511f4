#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""rounds.py --rounds N --doomed URL --kept URL: destructions and suspensions under the load of 64 clients.

Every round makes a level with a volume, exports it as LUN 1 of target 2, lets the clients at it, suspends
and resumes it at random, and destroys it. The clients' log has the times of each command, so that after
every acknowledgement it can be told what began later. Needs $BUILD, $STATE and tgtadm's $TGT_IPC_SOCKET.
"""
import argparse
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field

BUILD, STATE = pathlib.Path(os.environ["BUILD"]), pathlib.Path(os.environ["STATE"])
TARGET = ("--tid", "2", "--lun", "1")
DATA_OFFSET = 16 << 20  # of a LUKS2 image
CLIENTS = 64
SECONDS = 30
# After an acknowledgement, what began before it ends; then the image must stand still for this long.
SETTLE_S, STILL_S = 0.03, 0.05

DESTROYED, SUSPENDED = "07/74/71", "02/04/01"


class Failed(Exception):
    pass


def run(*words):
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=SECONDS)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def keyadm(*words):
    """Begin and end; the answer came before the end."""
    began = time.monotonic_ns()
    run(BUILD / "keyadm", "--admin-socket", STATE / "admin.sock", *words)
    return began, time.monotonic_ns()


def tgtadm(*words):
    run("tgtadm", "--lld", "iscsi", *words)


class Load:
    """iscsi-io stress in the background."""

    def __init__(self, name, url, clients):
        self.name, self.log = name, STATE / f"{name}.ops"
        self.log.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [BUILD / "tests/iscsi-io", "stress", "--connections", str(clients), "--depth", "2",
             "--slots", "4", "--size", "4096", "--seconds", str(SECONDS), "--log", self.log, url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + SECONDS
        while not (self.log.exists() and self.log.stat().st_size):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"load {name} does not run: {self.process.stderr.read().decode()}")
            time.sleep(0.005)

    def stop(self):
        """Its commands: (begin, end, kind, outcome)."""
        self.process.terminate()
        words = self.process.communicate(timeout=SECONDS)[1].decode().strip()
        if self.process.returncode:
            raise Failed(f"load {self.name}: status {self.process.returncode}: {words}")
        lines = map(str.split, self.log.read_text().splitlines())
        return [(int(began), int(ended), kind, how) for began, ended, _, kind, _, how in lines]


@dataclass
class Window:
    """From an acknowledgement until keyadm was asked to undo it; for ever after a destruction."""
    sense: str
    acknowledged: int
    undone: int = 1 << 63
    compared: int = 0  # when the image was read for the first time; 0: not
    changed: bool = False


@dataclass
class Totals:
    commands: int = 0
    refused: int = 0
    compared: int = 0
    unsettled: int = 0
    windows: dict = field(default_factory=lambda: {DESTROYED: 0, SUSPENDED: 0})
    slowest_ms: float = 0


def image_digest(image):
    with image.open("rb") as file:
        file.seek(DATA_OFFSET)
        return hashlib.sha256(file.read()).digest()


def watch(image, window):
    time.sleep(SETTLE_S)
    window.compared = time.monotonic_ns()
    before = image_digest(image)
    time.sleep(STILL_S)
    window.changed = image_digest(image) != before


class Round:
    def __init__(self, number, options, rng, totals):
        self.level, self.image = f"level{number}", STATE / f"level{number}.img"
        self.options, self.rng, self.totals = options, rng, totals
        self.windows = []

    def acknowledge(self, sense, *words):
        began, ended = keyadm(*words)
        self.totals.slowest_ms = max(self.totals.slowest_ms, (ended - began) / 1e6)
        window = Window(sense, ended)
        self.windows.append(window)
        watch(self.image, window)
        return window

    def events(self):
        time.sleep(self.rng.uniform(0.01, 0.15))
        for _ in range(self.rng.randrange(3)):
            window = self.acknowledge(SUSPENDED, "level", "suspend", self.level)
            window.undone, _ = keyadm("level", "resume", self.level)
            time.sleep(self.rng.uniform(0, 0.1))
        what = self.rng.choice([("level", "destroy", self.level), ("volume", "destroy", self.image)])
        self.acknowledge(DESTROYED, *what, "--yes")

    def judge_window(self, window, commands):
        """No command that began in the window came back with data, or wrote any."""
        inside = [(kind, how) for began, ended, kind, how in commands
                  if began > window.acknowledged and ended < window.undone]
        wrong = [(kind, how) for kind, how in inside if how != window.sense]
        if wrong:
            raise Failed(f"{len(wrong)} of {len(inside)} commands begun after the acknowledgement "
                         f"ended as {sorted(set(wrong))}, should be {window.sense}")
        self.totals.refused += len(inside)
        self.totals.windows[window.sense] += bool(inside)
        if any(began < window.acknowledged and ended > window.compared
               for began, ended, _, _ in commands):
            self.totals.unsettled += 1  # what began before may still write
            return
        self.totals.compared += 1
        if window.changed:
            raise Failed("the image changed after the acknowledgement")

    def judge(self, commands, kept):
        for window in self.windows:
            self.judge_window(window, commands)
        if not any(how == "ok" for _, _, _, how in commands):
            raise Failed("there was no I/O before the acknowledgement")
        errors = {how for _, _, _, how in kept} - {"ok"}
        if errors:
            raise Failed(f"the other level saw {sorted(errors)}")
        last = self.windows[-1].acknowledged
        if not any(began > last for began, _, _, _ in kept):
            raise Failed("the other level stood still")
        self.totals.commands += len(commands) + len(kept)

    def run(self):
        keyadm("level", "create", self.level)
        keyadm("volume", "create", "--level", self.level, "--size", "4M", self.image)
        tgtadm("--op", "new", "--mode", "logicalunit", *TARGET, "--backing-store", self.image,
               "--bstype", "crypt")
        kept = Load("kept", self.options.kept, 4)
        doomed = Load("doomed", self.options.doomed, CLIENTS)
        self.events()
        commands = doomed.stop()
        self.judge(commands, kept.stop())
        tgtadm("--op", "delete", "--mode", "logicalunit", *TARGET)
        self.image.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)))
    parser.add_argument("--doomed", required=True)
    parser.add_argument("--kept", required=True)
    options = parser.parse_args()
    print(f"# seed {options.seed}", flush=True)
    rng, totals = random.Random(options.seed), Totals()
    number = 0
    try:
        for number in range(1, options.rounds + 1):
            Round(number, options, rng, totals).run()
        if not all(totals.windows.values()) or not totals.compared:
            raise Failed(f"not everything was tried: {totals}")
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(f"# round {number}: {failure}")
        return 1
    finally:
        print(f"# {number} rounds, {totals.commands} commands; {totals.refused} began after an "
              f"acknowledgement, of {totals.windows[DESTROYED]} destructions and "
              f"{totals.windows[SUSPENDED]} suspensions, and were refused\n"
              f"# images compared {totals.compared} times, {totals.unsettled} times not: a command from "
              f"before was still under way; slowest acknowledgement {totals.slowest_ms:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
