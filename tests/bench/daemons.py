# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""keyd and tgtd in a Lab: what tests/daemons.sh does, for measurements."""
import contextlib
import itertools
import json
import os
import pathlib
import socket

from lab import Failed, end, wait_until

IQN_PREFIX = "iqn.2007-06.example.tgt-crypt"

# Decisive for writes: tgt's defaults take one Data-Out PDU for each 8 KiB. Every contestant gets
# the same, except where tgt as it comes from Debian is the contestant.
ISCSI_TUNING = {
    "MaxRecvDataSegmentLength": 1048576,
    "MaxXmitDataSegmentLength": 1048576,
    "FirstBurstLength": 1048576,
    "MaxBurstLength": 16776192,
    "InitialR2T": "No",
    "MaxOutstandingR2T": 16,
}

# glibc maps and unmaps every buffer from 128 KiB on, and page faults cost more than the I/O does.
MALLOC_TUNING = ("glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:"
                 "glibc.malloc.top_pad=67108864")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def proc_status(pid, field):
    """A field of /proc/PID/status; sizes are in KiB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise Failed(f"process {pid} has no {field}")


def cpu_seconds(pids):
    """User and system time that the processes have taken so far, all threads."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Keyd:
    """A keyd with a new key store on disk."""

    def __init__(self, lab, revoke_timeout=5):
        self.lab = lab
        self.socket = lab.state / "keyd.sock"
        self.admin_socket = lab.state / "admin.sock"
        config = lab.state / "keyd.conf"
        config.write_text(f"[keyd]\nrevoke-timeout = {revoke_timeout}\n[roles]\nsecurity-admin = 0\n"
                          "storage-admin = 0\n[levels]\nfetch = 0\n")
        self.process = lab.start("keyd", lab.build / "keyd", "--state", lab.state / "store",
                                 "--socket", self.socket, "--admin-socket", self.admin_socket,
                                 "--config", config)
        wait_until(self.admin_socket.is_socket, 10, "keyd")
        self.adm("init")

    def adm(self, *words, seconds=60):
        text = self.lab.run(self.lab.build / "keyadm", "--admin-socket", self.admin_socket,
                            "--json", *words, seconds=seconds)
        return json.loads(text)

    def level(self, name):
        self.adm("level", "create", name)

    def volume(self, level, size, path, *options):
        """A new volume on tmpfs; returns its path."""
        path = self.lab.fast / path
        self.adm("volume", "create", "--level", level, "--size", size, path, *options)
        return path


class Tgtd:
    """One tgtd on a free port of the loopback. Targets and LUNs are numbered from 1."""

    numbers = itertools.count()

    def __init__(self, lab, keyd=None, malloc=True, tuned=True, cpus=None):
        """keyd: with the plugin. malloc, tuned: with the settings above. cpus: taskset's list."""
        self.lab, self.tuned = lab, tuned
        self.luns = {}  # targets: how many LUNs each has
        number = next(Tgtd.numbers)
        self.name = f"tgtd-{number}"
        self.env = dict(os.environ, TGT_IPC_SOCKET=str(lab.state / self.name))
        self.control = ["-C", str(number)]
        command = ["taskset", "-c", cpus] if cpus else []
        command += ["env"]  # the plugin may be loaded by tgtd alone
        command += [f"GLIBC_TUNABLES={MALLOC_TUNING}"] if malloc else []
        if keyd:
            command += [f"LD_PRELOAD={lab.build / 'bs_crypt.so'}", f"KEYD_SOCKET={keyd.socket}"]
        for _ in range(10):
            self.port = free_port()
            self.process = lab.start(self.name, *command, "tgtd", "-f", *self.control, "--iscsi",
                                     f"portal=127.0.0.1:{self.port}", env=self.env,
                                     stop=self._empty)
            if self._listens():
                return
            self.process.kill()
        raise Failed(f"tgtd: {lab.log_of(self.name)}")

    @property
    def pid(self):
        return self.process.pid

    def adm(self, op, mode, *words, check=True):
        return self.lab.run("tgtadm", *self.control, "--lld", "iscsi", "--op", op, "--mode", mode,
                            *words, env=self.env, check=check)

    def _listens(self):
        """tgtd lives on, listening elsewhere, when its port is taken: what it has, it says."""
        def answers():
            return self.process.poll() is not None or self.adm("show", "system", check=False)
        wait_until(answers, 10, "tgtd")
        return f"127.0.0.1:{self.port}," in self.adm("show", "portal", check=False)

    def _empty(self):
        """tgtd does not end while it has targets."""
        if self.process.poll() is None:
            with contextlib.suppress(Failed):
                self.adm("delete", "system", "--force", check=False)

    def close(self):
        """Before the lab does."""
        self._empty()
        end(self.process)

    def iqn(self, tid):
        return f"{IQN_PREFIX}:{self.name}.{tid}"

    def target(self):
        tid = len(self.luns) + 1
        self.adm("new", "target", "--tid", tid, "--targetname", self.iqn(tid))
        for name, value in ISCSI_TUNING.items() if self.tuned else ():
            self.adm("update", "target", "--tid", tid, "--name", name, "--value", value)
        self.adm("bind", "target", "--tid", tid, "--initiator-address", "ALL")
        self.luns[tid] = 0
        return tid

    def lun(self, bstype, path, *options, tid=None):
        """A LUN of target tid, or of a new target; returns its URL."""
        tid = tid or self.target()
        lun = self.luns[tid] + 1
        try:
            self.adm("new", "logicalunit", "--tid", tid, "--lun", lun, "--bstype", bstype,
                     "--backing-store", path, *options)
        except Failed as failed:
            raise Failed(f"{failed}; {self.lab.log_of(self.name)}") from failed
        self.luns[tid] = lun
        return f"iscsi://127.0.0.1:{self.port}/{self.iqn(tid)}/{lun}"

    def remove_lun(self, tid):
        """The newest of the target."""
        self.adm("delete", "logicalunit", "--tid", tid, "--lun", self.luns[tid])
        self.luns[tid] -= 1
