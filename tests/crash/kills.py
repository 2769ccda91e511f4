#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""kills.py --build DIR: SIGKILLs keyd at random moments of random commands.

After each kill, and now and then a second one while keyd starts, keyd must hold what was
acknowledged; what was under way may be done or not, but not in part, and what was destroyed stays so.
"""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from daemon import SECONDS, Failed, Keyd, key_given_out, settled

LIVE_LEVELS = 3
VOLUMES_OF_A_LEVEL = 3
KILLED_AGAIN = 0.25   # how often a second kill comes while keyd starts
FULL_CHECK_ROUNDS = 100


class Model:
    """What was acknowledged. An object's states: "active", "suspended", "destroyed"; None: not there."""

    def __init__(self, home, rng):
        self.home, self.rng = home, rng
        self.levels = {}   # name -> state
        self.volumes = {}  # path -> (level, state of its own)
        self.keys = {}     # path -> key, as it was first given out
        self.made = 0

    def alive(self):
        return [name for name, state in self.levels.items() if state != "destroyed"]

    def volumes_of(self, level):
        return [path for path, (of, state) in self.volumes.items()
                if of == level and state != "destroyed"]

    def state_of_volume(self, path):
        level, own = self.volumes[path]
        return own if own != "active" else self.levels[level]

    def next_action(self):
        """(kind, object, command, state that the object has when it is done)"""
        choices = []
        if len(self.alive()) < LIVE_LEVELS:
            name = f"level{self.made}"
            choices.append(("level", name, ("level", "create", name), "active"))
        for name in self.alive():
            choices += self.actions_on(name)
            choices.append(("level", name, ("custody", "change", "--custody", "file"),
                            self.levels[name]))
        self.made += 1
        return self.rng.choice(choices)

    def actions_on(self, name):
        active = self.levels[name] == "active"
        change, state = ("suspend", "suspended") if active else ("resume", "active")
        actions = [("level", name, ("level", change, name), state),
                   ("level", name, ("level", "destroy", name, "--yes"), "destroyed")]
        if active and len(self.volumes_of(name)) < VOLUMES_OF_A_LEVEL:
            path = str(self.home / f"volume{self.made}.img")
            command = ("volume", "create", "--level", name, "--size", "1M", path)
            actions += [("volume", path, command, "active")] * 2
        actions += [("volume", path, ("volume", "destroy", path, "--yes"), "destroyed")
                    for path in self.volumes_of(name)[:1]]
        return actions

    def state(self, kind, name):
        if kind == "level":
            return self.levels.get(name)
        return self.volumes[name][1] if name in self.volumes else None

    def set_state(self, kind, name, state, command):
        if state is None:
            return
        if kind == "level":
            self.levels[name] = state
        else:
            level = self.volumes[name][0] if name in self.volumes else command[3]
            self.volumes[name] = (level, state)


class Kills:
    def __init__(self, options, home):
        self.options, self.home = options, home
        self.rng = random.Random(options.seed)
        self.model = Model(home, self.rng)
        self.latest = {}  # command -> seconds after which it is killed at the latest
        self.acknowledged = self.cut = self.done_unacknowledged = 0

    def start(self):
        if self.rng.random() < KILLED_AGAIN:
            self.killed_while_starting()
        return Keyd(self.options.build, self.home)

    def killed_while_starting(self):
        process = subprocess.Popen(
            [f"{self.options.build}/keyd", "--state", self.home / "store", "--socket",
             self.home / "keyd.sock", "--admin-socket", self.home / "admin.sock"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.rng.uniform(0, 0.01))
        process.kill()
        process.wait(SECONDS)

    def kill_during(self, keyd, command):
        """True when the command was acknowledged."""
        words = command[:2]
        latest = self.latest.get(words, 0.01)
        admin = subprocess.Popen(keyd.command(*command), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.rng.uniform(0, latest))
        keyd.kill()
        acknowledged = admin.wait(SECONDS) == 0
        # settles where most kills come in time, on a busy machine too
        self.latest[words] = min(latest * (0.85 if acknowledged else 1.2), 1)
        return acknowledged

    def round(self):
        kind, name, command, target = self.model.next_action()
        keyd = self.start()
        before = self.model.state(kind, name)
        acknowledged = self.kill_during(keyd, command)
        keyd = self.start()
        try:
            found = self.find(keyd, kind, name)
            self.acknowledged += acknowledged
            self.cut += not acknowledged and found == before
            self.done_unacknowledged += not acknowledged and found == target
            if found not in ((target,) if acknowledged else (before, target)):
                raise Failed(f"{' '.join(command)}: {'acknowledged' if acknowledged else 'cut'}, "
                             f"was {before}, is {found}")
            self.model.set_state(kind, name, found, command)
            self.check(keyd, self.model.alive(), name)
        finally:
            keyd.kill()

    def find(self, keyd, kind, name):
        levels = settled(keyd)
        if kind == "level":
            return levels.get(name)
        for volume in keyd.ask("volume", "list"):
            if volume["path"] == name:  # listed with its level's state, unless its own is stricter
                return "active" if volume["state"] == levels[volume["level"]] else volume["state"]
        return None

    def check(self, keyd, levels, also=None):
        """States of all levels; keys of the volumes of some, and of what was just acted on."""
        seen = settled(keyd)
        if seen != self.model.levels:
            raise Failed(f"levels are {seen}, should be {self.model.levels}")
        for path, (level, _) in list(self.model.volumes.items()):
            if level in levels or also in (level, path):
                self.check_key(keyd, path)

    def check_key(self, keyd, path):
        state = self.model.state_of_volume(path)
        key = key_given_out(keyd, path)
        if (key is not None) != (state == "active"):
            raise Failed(f"volume {path} is {state}, its key is {'given out' if key else 'refused'}")
        if key and self.model.keys.setdefault(path, key) != key:
            raise Failed(f"volume {path} has another key")

    def final_check(self):
        keyd = Keyd(self.options.build, self.home)
        try:
            self.check(keyd, list(self.model.levels))
            keyd.do("audit", "--verify")
        finally:
            keyd.stop()

    def run(self):
        keyd = Keyd(self.options.build, self.home)
        keyd.do("init")
        keyd.stop()
        for number in range(1, self.options.kills + 1):
            self.round()
            if number % FULL_CHECK_ROUNDS == 0:
                self.final_check()
        self.final_check()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--dir", default="/dev/shm", help="where the state directory is made")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)))
    options = parser.parse_args()
    print(f"1..1\n# seed {options.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tgt-crypt-kills-", dir=options.dir) as home:
        kills, failure = Kills(options, pathlib.Path(home).resolve()), None
        try:
            kills.run()
        except (Failed, subprocess.TimeoutExpired) as error:
            failure = error
    print(f"{'not ok' if failure else 'ok'} 1 - {options.kills} kills: what was acknowledged is there, "
          "and nothing half-done")
    print(f"# {kills.acknowledged} acknowledged, {kills.done_unacknowledged} done without an answer, "
          f"{kills.cut} not done; {time.monotonic() - began:.0f} s")
    if failure:
        print(f"# {failure}")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
