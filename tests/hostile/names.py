#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Initiators whose names are attacks on whoever reads "tgtadm --op show".

usage: names.py stay HOST PORT IQN COMMAND   logs in with every name and alias, COMMAND in those that are shell code, and
                                             prints "in" or "refused" and what it was; the sessions stay until the
                                             standard input ends
"""

import sys

from initiator import Initiator, Lost, Refused

IQN = "iqn.2007-06.example.tgt-crypt:"
FORGED = "\n    I_T nexus: 1; {} #\n            Connection: 1; {} #\n"
TARGET = "\nTarget 99; {} #: iqn.x; {} #\n    I_T nexus information:\n        I_T nexus: 1; {} #\n            Connection: 0; {} #\n"


def attacks(command):
    """What it is, InitiatorName, InitiatorAlias or None."""
    code = {"code in lines": FORGED, "a forged target": TARGET, "printable code": "x I_T nexus: 1;{};true #",
            "a printable connection": "x Connection: 0;{};true #", "printable code in backquotes": "x I_T nexus: `{}`"}
    for what, text in code.items():
        text = text.replace("{}", command)
        yield f"name: {what}", IQN + text, None
        yield f"alias: {what}", IQN + "alias", text
    for what, text in {"a space": "a b", "a tab": "a\tb", "a line": "a\nb", "a carriage return": "a\rb", "an escape": "a\x1b[2Jb",
                       "a shell": "a$(true)", "an underscore": "a_b", "a C1 control": "a\u0085b",
                       "a bidirectional override": "a\u202eb", "nothing but a type": ""}.items():
        yield f"name: {what}", (IQN + text) if text else "iqn.", None
    yield "name: no type", "Driver:", None
    yield "name: too long", IQN + "x" * 200, None
    for what, text in {"a line": "a\nb", "an escape": "a\x1b[2Jb", "too long": "x" * 256, "words": "Bob's disk: C",
                       "a no-break space": "a\u00a0b", "a host": "host-1.example"}.items():
        yield f"alias: {what}", IQN + "alias", text
    yield "name: plain", IQN + "plain-1.A", None
    yield "name: an eui", "eui.02004567A425678D", None
    yield "name: a naa", "naa.52004567BA64678D", None


def stay(where, command):
    host, port, iqn = where
    sessions = []
    for what, name, alias in attacks(command):
        it = Initiator(host, port, name=name)
        try:
            it.login(iqn, **({"InitiatorAlias": alias} if alias is not None else {}))
            sessions.append(it)
            print("in", what)
        except (Lost, Refused) as error:
            # 0207h: a parameter is missing, the name
            print("refused" if str(error)[72:76] == "0207" else f"lost ({error})", what)
            it.close()
    print("ready", flush=True)
    sys.stdin.read()


stay(sys.argv[2:5], sys.argv[5])
