# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""What the figures were measured on, and how quiet it was."""
import datetime
import os
import pathlib
import platform
import subprocess

PACKAGES = ("tgt", "libssl3", "libipsec-mb1", "libcryptsetup12", "libiscsi7", "qemu-utils",
            "gocryptfs", "encfs", "nbdkit", "libnbd-bin", "fio")


def output(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          timeout=20, check=False)
    return done.stdout.strip()


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def cpu_flags():
    """Those that ciphers can use."""
    words = set(pathlib.Path("/proc/cpuinfo").read_text().split())
    return sorted(words & {"aes", "vaes", "avx2", "avx512f"})


def package_versions():
    form = "${Package} ${Version}\n"
    return dict(line.split() for line in output("dpkg-query", "-W", "-f", form,
                                                *PACKAGES).splitlines() if " " in line)


def commit(folder):
    name = output("git", "-C", folder, "rev-parse", "--short", "HEAD")
    return name + (" with changes" if output("git", "-C", folder, "status", "--porcelain") else "")


def describe(folder):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(folder) or "unknown",
        "CPU": f"{cpu_model()}, {os.cpu_count()} CPUs, {' '.join(cpu_flags())}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load average at the start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "packages": ", ".join(f"{k} {v}" for k, v in package_versions().items()),
    }


class Neighbours:
    """CPU time that went elsewhere since this was made, in seconds of one CPU."""

    def __init__(self):
        self.before = self._now()

    @staticmethod
    def _now():
        """Busy, stolen by the hypervisor, and our own with that of children that have ended."""
        user, nice, system, _, _, irq, softirq, steal = (
            int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in
            pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
        return user + nice + system + irq + softirq, steal, sum(os.times()[:4])

    def describe(self):
        busy, stolen, own = (now - then for now, then in zip(self._now(), self.before))
        return {"CPU time of other processes": f"{max(0, busy - own):.0f} s",
                "CPU time of other virtual machines": f"{stolen:.0f} s"}
