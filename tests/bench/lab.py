# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""A place to measure in: private folders and processes that are gone when it closes.

Daemons die with the program that started them, however it ends, and get no Ctrl-C from the
terminal: Lab stops them itself, the last one first.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

TMPFS_LIMIT = 6 << 30


class Failed(Exception):
    """Something to measure with did not work; the message says what."""


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: nothing after {seconds} s")
        time.sleep(0.02)


def last_line(text):
    return (text.strip() or "no message").splitlines()[-1]


class Lab(contextlib.ExitStack):
    """state: a folder on disk for sockets, logs and keys. fast: a folder on tmpfs for data."""

    def __init__(self, build):
        super().__init__()
        self.build = pathlib.Path(build).resolve()
        self.state = self._folder(None)
        self.fast = self._folder(os.environ.get("BENCH_TMPFS", "/dev/shm"))

    def _folder(self, parent):
        path = pathlib.Path(tempfile.mkdtemp(prefix="tgt-crypt-bench.", dir=parent))
        self.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    def run(self, *argv, seconds=30, env=None, check=True, text_input=None):
        """Standard output of a command that ends by itself."""
        argv = [str(word) for word in argv]
        try:
            done = subprocess.run(argv, timeout=seconds, env=env, text=True, input=text_input,
                                  stdin=None if text_input else subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{argv[0]}: not done in {seconds} s") from late
        except FileNotFoundError as missing:
            raise Failed(f"{argv[0]} is not installed") from missing
        if check and done.returncode:
            raise Failed(f"{' '.join(argv[:4])} ...: {last_line(done.stderr or done.stdout)}")
        return done.stdout

    def start(self, name, *argv, env=None, stop=None, last_words="KILL"):
        """A daemon; stop() is asked first, then it is ended by its pid. Log: state/NAME.log."""
        argv = ["setpriv", "--pdeathsig", last_words, *map(str, argv)]
        with open(self.state / f"{name}.log", "ab") as log:
            daemon = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                      stderr=log, start_new_session=True)
        self.callback(end, daemon)
        if stop:
            self.callback(stop)
        return daemon

    def log_of(self, name):
        return last_line((self.state / f"{name}.log").read_text(errors="replace"))

    def tmpfs_file(self, name, size):
        """A new file of random bytes, all of it in memory."""
        used = sum(file.stat().st_blocks * 512 for file in self.fast.rglob("*"))
        if used + size > TMPFS_LIMIT:
            raise Failed(f"{name} would take more than {TMPFS_LIMIT >> 30} GiB of tmpfs")
        block = os.urandom(1 << 20)
        with open(self.fast / name, "wb") as file:
            for _ in range(size >> 20):
                file.write(block)
        return self.fast / name


def end(process, seconds=3):
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
