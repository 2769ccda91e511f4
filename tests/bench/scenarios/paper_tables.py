# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""The tables of the 2007 paper again, on this machine."""
import json
import time

import peers
from clients import AREA, Load, iscsi_load, write_once
from daemons import Keyd, Tgtd
from lab import Failed
from page import number, with_spread
from scenario import Scenario

FILES, AES, SERVERS = "files", "AES", "servers"
OPENSSL = "openssl enc"
LOAD, CLIENTS, PROCESSES = Load(64 << 10, 70, 4), 16, 4

# MB/s of the paper, with the names that it has for these.
PAPER_FILES = {"raw": (57, 43), "encfs": (15, 29), OPENSSL: (45, 43)}  # write, read
PAPER_DM_CRYPT = (31, 35)
PAPER_SERVERS = {"plain, one process": 213, "encrypted, one worker": 38,
                 "encrypted, a worker for each CPU": 72,
                 f"encrypted, {PROCESSES} processes": 61, f"plain, {PROCESSES} processes": None}


class PaperTables(Scenario):
    name = "paper-tables"
    title = "The 2007 paper's tables again"
    rows = (FILES, AES, SERVERS)
    set_up_seconds = 8

    def __init__(self, quick):
        super().__init__(quick)
        self.rounds = 1 if quick else 3
        self.file_bytes = (128 if quick else 1024) << 20
        self.step_seconds = 1.2 if quick else 4

    def contestants_of(self, row):
        return {FILES: ("raw", "gocryptfs", "encfs", OPENSSL), AES: ("user space",),
                SERVERS: tuple(PAPER_SERVERS)}[row]

    def set_up(self, lab):
        self.lab = lab
        self.source = lab.tmpfs_file("source", self.file_bytes)
        self.folder = {"raw": lab.fast, OPENSSL: lab.fast}
        for name, mount in (("gocryptfs", peers.gocryptfs), ("encfs", peers.encfs)):
            try:
                self.folder[name], _ = mount(lab)
            except Failed as failed:
                self.missing[name] = str(failed)
        self._servers(Keyd(lab))

    def _servers(self, keyd):
        """The URLs of each: one tgtd, or several of them."""
        keyd.level("paper")

        def encrypted(name, *options):
            tgtd = Tgtd(self.lab, keyd)
            return tgtd.lun("crypt", keyd.volume("paper", AREA, f"{name}.img"), *options)

        def plain(name):
            return Tgtd(self.lab).lun("rdwr", self.lab.tmpfs_file(f"{name}.img", AREA))

        self.urls = dict(zip(PAPER_SERVERS, (
            [plain("plain")],
            [encrypted("one", "--bsopts", "threads=1")],
            [encrypted("all")],
            [encrypted(f"encrypted-{n}") for n in range(PROCESSES)],
            [plain(f"plain-{n}") for n in range(PROCESSES)])))
        for urls in self.urls.values():
            for url in urls:
                write_once(self.lab, url)

    def measure(self, step):
        if step.row == FILES:
            write, read = self._file(step.contestant)
            yield "file write", step.contestant, {"MB_s": write}
            yield "file read", step.contestant, {"MB_s": read}
        elif step.row == AES:
            yield from self._aes()
        else:
            yield SERVERS, step.contestant, iscsi_load(
                self.lab, self.urls[step.contestant], LOAD, 1, "--warmup", 0, clients=CLIENTS)

    def _file(self, contestant):
        """MB/s of the source's way into a file, and of the way from there into /dev/null."""
        path = self.folder[contestant] / "file"
        if contestant == OPENSSL:
            crypt = ["openssl", "enc", "-aes-256-cbc", "-K", "5a" * 32, "-iv", "a5" * 16, "-nopad"]
            write = [*crypt, "-in", self.source, "-out", path]
            read = [*crypt, "-d", "-in", path, "-out", "/dev/null"]
        else:
            copy = ["dd", "bs=1M", "status=none"]
            write = [*copy, "conv=fsync", f"if={self.source}", f"of={path}"]
            read = [*copy, f"if={path}", "of=/dev/null"]
        wrote = self._speed(write)
        self.lab.run("dd", "iflag=nocache", "count=0", "status=none", f"if={path}")
        got = self._speed(read)
        path.unlink()
        return wrote, got

    def _speed(self, command):
        began = time.monotonic()
        self.lab.run(*command, seconds=120)
        return self.file_bytes / (time.monotonic() - began) / 1e6

    def _aes(self):
        """Requests of 1 MiB in sectors of 512 bytes."""
        for work in json.loads(self.lab.run(self.lab.build / "tests/cipher-speed", 50)):
            if work["request"] == 1 << 20 and work["sector"] == 512:
                for contestant, speed in work["MB_s"].items():
                    kind = "encrypt" if work["encrypt"] else "decrypt"
                    yield f"AES {kind}", contestant, {"MB_s": speed}

    def report(self, samples, page):
        self._file_table(samples, page)
        self._aes_table(samples, page)
        page.text(f"Servers: {LOAD}, {CLIENTS} clients. MB/s in all; the paper copied one file of "
                  "500 MB from another machine.")
        page.table(["", "here", "paper"],
                   [[c, with_spread(samples.spread(SERVERS, c, "MB_s")), number(paper)]
                    for c, paper in PAPER_SERVERS.items()])
        self._guest(page)

    def _file_table(self, samples, page):
        size = f"{self.file_bytes >> 20} MiB"
        page.text(f"A file of {size} from tmpfs, written and read in blocks of 1 MiB. MB/s; here on "
                  "tmpfs, in the paper on a disk. dm-crypt needs a kernel that has it: below.")
        rows = []
        for c in (c for c in self.contestants_of(FILES) if c not in self.missing):
            here = [with_spread(samples.spread(row, c, "MB_s")) for row in ("file write",
                                                                           "file read")]
            rows.append([c, *here, *map(number, PAPER_FILES.get(c, (None, None)))])
        rows.append(["dm-crypt", "—", "—", *map(number, PAPER_DM_CRYPT)])
        page.table(["", "write", "read", "write (paper)", "read (paper)"], rows)

    @staticmethod
    def _aes_table(samples, page):
        page.text("AES-256-CBC in user space, 1 MiB in sectors of 512 bytes, IVs included (not in "
                  "`raw burst`); the paper had 89, 66 and 47 MB/s on three machines, and 70, 58 and "
                  "44 in their kernels.")
        engines = {s["contestant"]: None for s in samples.samples if s["row"] == "AES encrypt"}
        page.table(["", "encrypt, MB/s", "decrypt, MB/s"],
                   [[e, *(with_spread(samples.spread(f"AES {kind}", e, "MB_s"))
                          for kind in ("encrypt", "decrypt"))] for e in engines])

    @staticmethod
    def _guest(page):
        """What tests/guest/lio.sh found out in a guest, beside this report."""
        path = page.folder / "guest.json"
        if not path.exists():
            page.text("The kernel's dm-crypt and its iSCSI target can be measured in a guest only: "
                      "no guest.json beside this report.")
            return
        guest = json.loads(path.read_text())
        page.text("The kernel in a guest"
                  + (", on an emulated CPU: only ratios mean anything" if
                     guest["only_ratios_mean_anything"] else "")
                  + ". AES-256-CBC alone, MB/s: "
                  + ", ".join(f"{name} {number(speed)}" for name, speed in guest["aes"].items()))
        columns = {"ratio_tgt_crypt_over_lio_dmcrypt": "tgt-crypt / LIO over dm-crypt",
                   "ratio_tgt_crypt_over_tgtd": "tgt-crypt / plaintext tgt",
                   "ratio_lio_dmcrypt_over_lio": "LIO over dm-crypt / plaintext LIO"}
        page.table(["", *columns.values()],
                   [[row, *(number(guest[column].get(row)) for column in columns)]
                    for row in guest["ratio_tgt_crypt_over_lio_dmcrypt"]])
