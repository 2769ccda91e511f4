# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Against the other ways to encrypt a LUN in user space."""
import peers
from clients import AREA, QemuImg, loads, write_once
from daemons import Keyd, Tgtd
from lab import Failed
from page import number, with_spread
from scenario import Scenario
from stats import geomean


class Peers(Scenario):
    name = "peers"
    title = "Against other encryption in user space"

    def __init__(self, quick):
        super().__init__(quick)
        self.makers = {"rdwr": self._rdwr, "crypt": self._crypt, "gocryptfs": self._gocryptfs,
                       "encfs": self._encfs, "qemu LUKS by FUSE": self._qemu_fuse,
                       "qemu LUKS by NBD": self._qemu_nbd, "nbdkit LUKS by NBD": self._nbdkit}
        self.contestants = tuple(self.makers)
        self.rows = loads((4, 64) if quick else (4, 64, 1024), (32,))
        self.rounds = 1 if quick else 3
        self.step_seconds = 0.45 if quick else 1.1
        self.set_up_seconds = 15

    def set_up(self, lab):
        self.lab, self.qemu = lab, QemuImg(lab)
        self.keyd = Keyd(lab)
        self.keyd.level("peers")
        self.tgtd = Tgtd(lab, self.keyd)
        self.url, self.pids = {}, {}
        for contestant, make in self.makers.items():
            try:
                self.url[contestant], self.pids[contestant] = make()
                write_once(lab, self.url[contestant])
            except Failed as failed:
                self.missing[contestant] = str(failed)

    def measure(self, step):
        yield step.row, step.contestant, self.qemu.run(
            self.url[step.contestant], step.row, 0.2 if self.quick else 0.8,
            self.pids[step.contestant])

    # Each returns a URL, and the processes that serve it.

    def _tgt(self, bstype, path, *others):
        return self.tgtd.lun(bstype, path), [self.tgtd.pid, *(peer.pid for peer in others)]

    def _rdwr(self):
        return self._tgt("rdwr", self.lab.tmpfs_file("rdwr.img", AREA))

    def _crypt(self):
        return self._tgt("crypt", self.keyd.volume("peers", AREA, "crypt.img"))

    def _in_folder(self, folder, daemon):
        path = folder / "lun.img"
        with open(path, "wb") as file:
            file.truncate(AREA)
        return self._tgt("rdwr", path, daemon)

    def _gocryptfs(self):
        return self._in_folder(*peers.gocryptfs(self.lab))

    def _encfs(self):
        return self._in_folder(*peers.encfs(self.lab))

    def _qemu_fuse(self):
        return self._tgt("rdwr", *peers.qemu_fuse(self.lab, AREA))

    def _qemu_nbd(self):
        image, secret = peers.luks_image(self.lab, "qemu-nbd.luks", AREA, peers.CBC_ESSIV)
        url, daemon = peers.qemu_nbd(self.lab, "qemu-nbd", image, secret)
        return url, [daemon.pid]

    def _nbdkit(self):
        image, secret = peers.luks_image(self.lab, "nbdkit.luks", AREA, peers.XTS)
        sock, daemon = peers.nbdkit(self.lab, "nbdkit", "--filter=luks", "file", image,
                                    f"passphrase=+{secret}")
        return f"nbd+unix:///?socket={sock}", [daemon.pid]

    def report(self, samples, page):
        page.text("MB/s with qemu-img bench, which speaks iSCSI and NBD. The file systems are under "
                  "tgt's rdwr; NBD servers are asked without tgt. Everything encrypts with "
                  "AES-256: qemu as we do (CBC, ESSIV), nbdkit with XTS.")
        here = [c for c in self.contestants if c not in self.missing]
        page.table(["", *here], [[str(row), *(with_spread(samples.spread(row, c, "MB_s"))
                                              for c in here)] for row in self.rows])
        page.text("Divided by plaintext rdwr in the same round:")
        others = [c for c in here if c != "rdwr"]
        page.table(["", *others],
                   [*([str(row), *(with_spread(samples.ratio(row, c, "rdwr", "MB_s"))
                                   for c in others)] for row in self.rows),
                    ["geometric mean",
                     *(number(geomean(samples.ratios(self.rows, c, "rdwr", "MB_s")))
                       for c in others)]])
        page.text("CPU seconds for each GiB of all processes that serve:")
        page.table(["", *here], [[str(row), *(with_spread(samples.spread(row, c, "cpu_s_per_GiB"))
                                              for c in here)] for row in self.rows])
        page.bars("peers", "Divided by plaintext tgt", ylabel="/ rdwr",
                  groups=[str(row).split(",")[0] for row in self.rows],
                  series={c: [samples.ratio(row, c, "rdwr", "MB_s") for row in self.rows]
                          for c in others})
