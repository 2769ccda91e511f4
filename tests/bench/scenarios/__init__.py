# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""All scenarios, in the order in which they run."""
from . import cipher, destroy, luns, plain

ALL = (plain.Plain, cipher.Cipher, luns.Luns, destroy.Destroy)
