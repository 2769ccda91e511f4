# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""All scenarios, in the order in which they run."""
from .cipher import Cipher
from .destroy import Destroy
from .luns import Luns
from .paper_load import PaperLoad
from .paper_tables import PaperTables
from .peers import Peers
from .plain import Plain
from .scrub import Scrub
from .slow_store import SlowStore
from .today import Today

ALL = (Plain, Today, Cipher, PaperLoad, SlowStore, Luns, Scrub, Destroy, Peers, PaperTables)
