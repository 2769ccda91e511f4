# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""A real keyd on a given state directory, started and ended thousands of times."""
import json
import pathlib
import socket
import subprocess
import time

SECONDS = 20  # for anything: a keyd that starts, a command, a destruction that goes on


class Failed(Exception):
    """What the test found wrong, or what keeps it from going on."""


class Keyd:
    """keyd and keyadm on home/store. The caller ends it."""

    def __init__(self, build, home, wrapper=(), options=()):
        self.build = pathlib.Path(build)
        self.home = pathlib.Path(home)
        self.store = self.home / "store"
        self.admin_socket = self.home / "admin.sock"
        self.log = self.home / "keyd.log"
        self.admin_socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, self.build / "keyd", "--state", self.store, "--socket",
                 self.home / "keyd.sock", "--admin-socket", self.admin_socket, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_ready()

    def wait_ready(self):
        deadline = time.monotonic() + SECONDS
        while not self.listens():
            if self.process.poll() is not None:
                raise Failed(f"keyd does not start: {self.last_words()}")
            if time.monotonic() > deadline:
                self.kill()
                raise Failed("keyd is not ready")
            time.sleep(0.001)

    def listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            return probe.connect_ex(str(self.admin_socket)) == 0

    def last_words(self):
        return self.log.read_text(errors="replace")[-400:].strip()

    def command(self, *words):
        return [str(self.build / "keyadm"), "--admin-socket", str(self.admin_socket), "--json",
                *map(str, words)]

    def adm(self, *words):
        """(exit status, standard output, standard error)"""
        done = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=SECONDS)
        return done.returncode, done.stdout, done.stderr.strip()

    def ask(self, *words):
        """What a listing says."""
        status, out, err = self.adm(*words)
        if status:
            raise Failed(f"keyadm {' '.join(map(str, words))}: {err or status}")
        return json.loads(out)

    def do(self, *words):
        status, _, err = self.adm(*words)
        if status:
            raise Failed(f"keyadm {' '.join(map(str, words))}: {err or status}")

    def stop(self):
        self.process.terminate()
        self.process.wait(SECONDS)

    def kill(self):
        self.process.kill()
        self.process.wait(SECONDS)


def observe(keyd, volumes):
    """What keyd holds: states and sizes, and for each path of volumes the key it gives out, or None.

    A destruction that keyd goes on with is waited for: nobody may rely on a state in between.
    """
    levels = settled(keyd)
    seen = {"custody": keyd.ask("status")["custody"], "levels": levels, "volumes": {}}
    for volume in keyd.ask("volume", "list"):
        seen["volumes"][volume["path"]] = volume["state"], volume["size_bytes"]
    seen["keys"] = {str(path): key_given_out(keyd, path) for path in volumes}
    seen["certificates"] = {}
    for name, state in levels.items():
        certificate = keyd.ask("level", "show", name).get("certificate")
        if certificate:
            seen["certificates"][name] = certificate["verification"]["result"]
        elif state == "destroyed":
            raise Failed(f"level {name} is destroyed and has no certificate")
    return seen


def settled(keyd):
    deadline = time.monotonic() + SECONDS
    while True:
        levels = {level["name"]: level["state"] for level in keyd.ask("level", "list")}
        volumes = [volume["state"] for volume in keyd.ask("volume", "list")]
        if not {"destroying", "sanitizing"} & {*levels.values(), *volumes}:
            return levels
        if time.monotonic() > deadline:
            raise Failed("a destruction does not end")
        time.sleep(0.005)


def key_given_out(keyd, path):
    out = keyd.home / "key.out"
    out.unlink(missing_ok=True)
    status, _, _ = keyd.adm("volume", "key", path, "--out", out)
    if status:
        if out.exists():
            raise Failed(f"the key of {path} is refused, and there is a file of it")
        return None
    key = out.read_bytes().hex()
    out.unlink()
    return key
