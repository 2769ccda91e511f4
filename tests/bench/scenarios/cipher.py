# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""The ciphers in memory on one core: ours, the library below, and openssl speed."""
import dataclasses
import json
import os
import re

from page import with_spread
from scenario import Scenario

ENGINES = ("ipsec-mb-avx512", "ipsec-mb-avx2", "ipsec-mb-sse", "openssl")  # best first
BURST = "raw burst"
SPEED = "openssl speed"


@dataclasses.dataclass(frozen=True)
class Work:
    encrypt: bool
    sector: int
    request: int

    def __str__(self):
        size = f"{self.request >> 10} KiB" if self.request < 1 << 20 else "1 MiB"
        kind = "encrypt" if self.encrypt else "decrypt"
        return f"{kind} {size} in sectors of {self.sector}"


WORK = [Work(encrypt, sector, request) for encrypt in (True, False) for sector in (512, 4096)
        for request in (4 << 10, 64 << 10, 1 << 20)]


class Cipher(Scenario):
    name = "cipher"
    title = "AES-256-CBC with ESSIV in memory, one core"
    rows = ("all",)
    contestants = ("cipher-speed", SPEED)
    set_up_seconds = 0

    def __init__(self, quick):
        super().__init__(quick)
        self.rounds = 1 if quick else 5
        self.milliseconds = 25 if quick else 100
        self.step_seconds = 3 if quick else 4

    def set_up(self, lab):
        self.lab = lab
        self.pinned = ["taskset", "-c", os.cpu_count() - 1]

    def measure(self, step):
        if step.contestant == SPEED:
            yield from self._openssl_speed()
            return
        text = self.lab.run(*self.pinned, self.lab.build / "tests/cipher-speed", self.milliseconds)
        for row in json.loads(text):
            work = Work(row["encrypt"], row["sector"], row["request"])
            for contestant, speed in row["MB_s"].items():
                yield work, contestant, {"MB_s": speed}

    def _openssl_speed(self):
        """Knows no requests, so its figure is that of every request of such sectors."""
        for encrypt, sector in sorted({(work.encrypt, work.sector) for work in WORK}):
            direction = [] if encrypt else ["-decrypt"]
            text = self.lab.run(*self.pinned, "openssl", "speed", "-seconds", 1, "-bytes", sector,
                                *direction, "-evp", "aes-256-cbc")
            speed = float(re.findall(r"^AES-256-CBC +([0-9.]+)k", text, re.MULTILINE)[-1]) / 1e3
            for work in WORK:
                if (work.encrypt, work.sector) == (encrypt, sector):
                    yield work, SPEED, {"MB_s": speed}

    def report(self, samples, page):
        page.text("MB/s; a LUN takes the first engine. `raw burst` is ipsec-mb by itself with the same sectors and IVs that cost "
                  "nothing; `openssl speed` neither makes IVs nor starts anew for every sector.")
        engines = [e for e in (*ENGINES, BURST, SPEED)
                   if any(samples.spread(work, e, "MB_s") for work in WORK)]
        best = next((e for e in engines if e in ENGINES), ENGINES[0])
        page.table(
            ["", *engines, f"{best} / {BURST}", f"{best} / {SPEED}"],
            [[str(work), *(with_spread(samples.spread(work, e, "MB_s")) for e in engines),
              with_spread(samples.ratio(work, best, BURST, "MB_s")),
              with_spread(samples.ratio(work, best, SPEED, "MB_s"))] for work in WORK])
        page.bars("cipher", "AES-256-CBC-ESSIV in memory, one core", ylabel="MB/s",
                  groups=[str(work) for work in WORK],
                  series={e: [samples.spread(work, e, "MB_s") for work in WORK] for e in engines})
        burst = samples.ratios(WORK, best, BURST, "MB_s")
        page.at_least(f"{best} / {BURST}, worst row", 0.9, min(burst, default=None))
        many = [work for work in WORK if work.encrypt and work.request > work.sector * 8]
        speed = samples.ratios(many, best, SPEED, "MB_s")
        page.at_least("encryption / openssl speed, requests of more than 8 sectors, worst row", 8,
                      min(speed, default=None))
