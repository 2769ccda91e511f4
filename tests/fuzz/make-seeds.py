#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""make-seeds.py: writes corpus/TARGET/seed-NAME, what fuzzing begins with: a good input of each kind.

Other files of the corpus were found by fuzzing and are kept.
"""
import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
UUID = b"11111111-2222-4333-8444-555555555555"

# Types as in keyd/common/proto.h.
(HELLO, HELLO_REPLY, ATTACH, ATTACH_REPLY, DETACH, REVOKE, REVOKE_ACK, RESTORE, PING, PONG, RESTORE_ACK,
 SCRUB, GROWS, SANITIZE, SANITIZE_REPLY, HEADER, HEADER_WRITTEN) = range(1, 18)
(INIT, STATUS, LEVEL_CREATE, LEVEL_LIST, LEVEL_SHOW, LEVEL_SUSPEND, LEVEL_RESUME, LEVEL_DESTROY, VOLUME_CREATE,
 VOLUME_COMMIT, VOLUME_LIST, VOLUME_SHOW, VOLUME_KEY, VOLUME_DESTROY, AUDIT, AUDIT_VERIFY, UNLOCK,
 INIT_PASSPHRASE) = range(32, 50)
REPLY, TEXT, VOLUME_HEADER, KEY = range(64, 68)
PAGE, UPLOAD, VOLUME_RESIZE = 71, 80, 90


def message(kind, layout="", *fields):
    body = struct.pack("<" + layout, *fields)
    return struct.pack("<4sHHII", b"TGTC", 2, kind, 16 + len(body), 7) + body


def proto():
    level, path = b"red", b"/srv/luns/red.img"
    yield "hello", message(HELLO, "16s", b"tgtd")
    yield "hello-reply", message(HELLO_REPLY, "I512s", 1, b"no")
    yield "attach", message(ATTACH, "40s64s4096sI", UUID, level, path, 64)
    yield "attach-reply", message(ATTACH_REPLY, "IIQQ40s64s32s512sII", 0, 4096, 1 << 24, 1 << 30, UUID, level,
                                  b"aes-cbc-essiv:sha256", b"", 32, 64)
    yield "detach", message(DETACH, "40s", UUID)
    yield "revoke", message(REVOKE, "I64s40s", 2, level, b"")
    yield "revoke-ack", message(REVOKE_ACK, "I", 3)
    yield "restore-ack", message(RESTORE_ACK)
    yield "ping", message(PING)
    yield "sanitize", message(SANITIZE, "40s256s", UUID, b"iqn.2007-06.example:host")
    yield "header", message(HEADER, "QI40s", 1 << 24, 1, UUID)
    yield "header-written", message(HEADER_WRITTEN, "I40s", 1, UUID)
    yield "init", message(INIT, "16s", b"file")
    yield "init-passphrase", message(INIT_PASSPHRASE, "16sII", b"passphrase", 4, 0)
    yield "unlock", message(UNLOCK, "II", 4, 0)
    yield "status", message(STATUS)
    yield "level-create", message(LEVEL_CREATE, "64s", level)
    yield "volume-create", message(VOLUME_CREATE, "QI64s32s4096s", 1 << 30, 512, level, b"aes-xts-plain64", path)
    yield "volume-resize", message(VOLUME_RESIZE, "QI4096s", 1 << 31, 1, UUID)
    yield "volume-show", message(VOLUME_SHOW, "4096s", path)
    yield "reply", message(REPLY, "I512s", 0, b"done")
    yield "text", message(TEXT, "I4096s", 2, b"{}")
    yield "volume-header", message(VOLUME_HEADER, "Q40s", 1 << 24, UUID)
    yield "key", message(KEY, "II", 64, 4032)
    yield "upload", message(UPLOAD, "IIII", 3, 0, 3, 4093)
    yield "page", message(PAGE)


# Words of fuzz_server.c's choose().
(RED, BLUE, GONE, VOLUME, RED_PATH, BLUE_PATH, NEW_PATH, NEW, NOTHING, DOTS, SLASH, FILE, PASSPHRASE, ESSIV, XTS,
 LONGEST) = range(16)
TGTD, TGTD2, ADMIN, ADMIN2 = range(4)


def say(who, kind, *choices):
    return bytes([who, kind, 9, *choices])


def raw(who, data):
    return bytes([who + 4]) + struct.pack("<H", len(data)) + data


WAIT = bytes([8])


def again(who):
    return bytes([who + 12])


def server():
    hello, attach = say(TGTD, HELLO, RED), say(TGTD, ATTACH, VOLUME, RED, RED_PATH, 3)
    create = say(ADMIN, VOLUME_CREATE, 1, 20, 0, RED, ESSIV, NEW_PATH)
    yield "attach", hello + attach + say(TGTD, PING, 0) + say(TGTD, DETACH, VOLUME)
    yield "destroy", (hello + attach + say(ADMIN, LEVEL_DESTROY, RED) + say(TGTD, REVOKE_ACK, 1) + WAIT
                      + say(ADMIN2, LEVEL_SHOW, RED))
    yield "destroy-silent", hello + attach + say(ADMIN, LEVEL_DESTROY, RED) + again(TGTD) + hello + WAIT
    yield "destroy-volume", hello + attach + say(ADMIN, VOLUME_DESTROY, VOLUME) + WAIT + say(ADMIN, VOLUME_LIST, RED)
    yield "suspend", (hello + say(ADMIN, LEVEL_SUSPEND, RED) + WAIT + attach + say(ADMIN, LEVEL_RESUME, RED) + WAIT
                      + attach)
    sanitize = hello + attach + say(TGTD, SANITIZE, VOLUME, RED)
    yield "sanitize", (sanitize + say(TGTD, REVOKE_ACK, 1) + WAIT + attach + say(TGTD, HEADER_WRITTEN, 1, VOLUME) + WAIT
                       + say(ADMIN, VOLUME_SHOW, VOLUME))
    yield "sanitize-lost", sanitize + again(TGTD) + WAIT + hello + attach + say(ADMIN, LEVEL_DESTROY, RED) + WAIT
    yield "sanitize-not-mine", hello + say(TGTD, SANITIZE, VOLUME, RED) + say(TGTD, HEADER_WRITTEN, 0, VOLUME)
    yield "two", hello + say(TGTD2, HELLO, RED) + attach + say(TGTD2, ATTACH, VOLUME, NOTHING, RED_PATH)
    yield "create", say(ADMIN, LEVEL_CREATE, NEW) + create + say(ADMIN, VOLUME_COMMIT, 0) + say(ADMIN, VOLUME_LIST, 0)
    grow = hello + say(TGTD, GROWS, 0) + attach + say(ADMIN, VOLUME_RESIZE, 1, 40, 0, VOLUME) + say(
        ADMIN, VOLUME_RESIZE, 1, 40, 1, VOLUME)
    yield "resize", grow + attach + say(TGTD, RESTORE_ACK, 1) + WAIT
    yield "resize-destroy", grow + say(ADMIN2, VOLUME_DESTROY, VOLUME) + say(TGTD, REVOKE_ACK, 1) + WAIT
    yield "resize-silent", hello + attach + say(ADMIN, VOLUME_RESIZE, 1, 40, 1, VOLUME) + again(TGTD) + hello + WAIT
    yield "create-left", create + again(ADMIN) + create
    yield "look", b"".join(say(ADMIN, kind, RED) for kind in (STATUS, LEVEL_LIST, LEVEL_SHOW, VOLUME_LIST, AUDIT,
                                                              AUDIT_VERIFY)) + say(ADMIN, VOLUME_SHOW, BLUE_PATH)
    yield "key", say(ADMIN, PAGE, 0) + say(ADMIN, VOLUME_KEY, VOLUME) + say(TGTD, VOLUME_KEY, VOLUME)
    yield "upload", say(ADMIN, PAGE, 0) + say(ADMIN, UPLOAD, 9, 0, 5, 7) + say(ADMIN, UPLOAD, 9, 5, 4, 0) + again(ADMIN)
    yield "init", say(ADMIN, INIT, FILE) + say(ADMIN, INIT, PASSPHRASE)
    yield "wrong", raw(TGTD, b"TGTC") + raw(ADMIN, message(STATUS)[:-1]) + raw(ADMIN2, b"") + raw(TGTD2, bytes(9000))
    yield "swapped", say(TGTD, STATUS, 0) + say(ADMIN, HELLO, RED) + say(ADMIN2, ATTACH, VOLUME, RED, RED_PATH)


def store():
    for number in range(14):
        yield f"empty-{number}", bytes([number, 0])
        yield f"byte-{number}", bytes([number, 1, 60, 0, 255])
    yield "text", bytes([0, 0]) + b'{"seq":1,"time":"2026-01-01T00:00:00Z","event":"x"}\n'
    yield "holders", bytes([3, 0]) + b'{"boot":"x","holders":[{"pid":1,"uid":0,"start":1,"volumes":["%s"]}]}' % UUID
    for kind in range(8):
        for name in range(4):
            body = {"destroyed_at": 1, "volumes": [{"uuid": UUID.decode(), "path": "/x"}], "path": "/x"}
            yield f"sealed-{kind}-{name}", bytes([0, 2, kind, name]) + json.dumps(body).encode()


def config():
    yield "shipped", (TOP / "configs/keyd.conf").read_bytes()
    yield "sections", b"[roles]\nsecurity-admin = 0, @0,\n 1001\n[level a]\nfetch = 5\n[level b]\n"
    yield "sandbox", b"[keyd]\nsandbox = required\nsandbox-paths = /a /b\nsandbox-network = yes\n"
    yield "wrong", b"[keyd]\nstate = x\n[bogus\n= 3\nlog-level\n"
    yield "long", b"[levels]\nfetch = " + b"1," * 300 + b"\n"


def luks():
    header = {
        "keyslots": {},
        "tokens": {"0": {"type": "tgt-keyd", "keyslots": [], "level": "red", "volume": UUID.decode()}},
        "segments": {"0": {"type": "crypt", "offset": "16777216", "size": "dynamic", "iv_tweak": "0",
                           "encryption": "aes-cbc-essiv:sha256", "sector_size": 512}},
        "digests": {"0": {"type": "pbkdf2", "keyslots": [], "segments": ["0"], "hash": "sha256", "iterations": 1000,
                          "salt": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                          "digest": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
        "config": {"json_size": "12288", "keyslots_size": "16744448"},
    }
    yield "json", b"\0" + json.dumps(header).encode()
    for name, change in (("integrity", {"integrity": {"type": "hmac(sha256)", "journal_encryption": "none"}}),
                         ("tweak", {"iv_tweak": "8"}), ("linear", {"type": "linear"}), ("sized", {"size": "4096"})):
        changed = json.loads(json.dumps(header))
        changed["segments"]["0"].update(change)
        yield name, b"\0" + json.dumps(changed).encode()
    header["digests"]["0"]["iterations"] = 4000000000
    yield "slow", b"\0" + json.dumps(header).encode()
    yield "binary", b"\1" + b"LUKS\xba\xbe" + struct.pack(">HQQ48s32s64s40s", 2, 16384, 1, b"", b"sha256", b"", UUID)
    yield "empty", b"\0"


def bsopts():
    yield "all", b"level=red;keyd=/run/keyd/keyd.sock;threads=4;engine=openssl;grace=10;shared=on;malloc=off;discard=on"
    yield "twice", b"level=red;level=blue"
    yield "odd", b";;threads=-1;=;grace;client_timeout=99999999999999999999"


def unmap():
    def listed(*extents):
        described = b"".join(struct.pack(">QII", lba, blocks, 0) for lba, blocks in extents)
        return struct.pack(">HHI", 6 + len(described), len(described), 0) + described
    yield "none", b"\0" + listed()
    yield "two", b"\0" + listed((0, 8), (1000, 1))
    yield "end", b"\1" + listed((16383, 1))
    yield "past", b"\1" + listed((0, 1), (16383, 2))
    yield "wraps", b"\2" + listed((2**64 - 1, 2**32 - 1))
    yield "cut", b"\3" + listed((5, 5), (6, 6))[:30]


def initiator():
    more = b"SessionType=Normal\0TargetName=iqn.2007-06.example:t\0MaxRecvDataSegmentLength=262144\0"
    yield "good", b"InitiatorName=iqn.1993-08.org.debian:01:a3a1ad5f9b10\0InitiatorAlias=host-1.example\0" + more
    yield "eui", b"InitiatorName=eui.02004567A425678D\0" + more
    yield "words", b"InitiatorName=iqn.x:a\0InitiatorAlias=x I_T nexus: 1;command;true #\0" + more
    yield "lines", b"InitiatorName=iqn.x:a\n    I_T nexus: 1\0InitiatorAlias=\nTarget 9: x\0" + more
    yield "twice", b"InitiatorName=iqn.x:a\0InitiatorName=iqn.x: b\0"
    yield "open", b"=\0==\0InitiatorName=\0InitiatorAlias=iqn"


def args():
    yield "create", b"volume\ncreate\n--level\nred\n--size=10G\n--sector-size\n4096\n/srv/x.img"
    yield "json", b"--json\nlevel\nlist"
    yield "end", b"volume\nshow\n--\n--odd"
    yield "size", b"18446744073709551616T"
    yield "custody", b"init\n--custody\npassphrase\n--passphrase-fd=3"


def fingerprint(key):
    return hashlib.sha256(b"tgt-crypt key fingerprint v1" + key).hexdigest()[:32].encode()


def export():
    level_key, volume_key, path = bytes(range(32)), bytes(range(1, 33)), b"/srv/x.img"
    volume = struct.pack("<40s32s40sQQQII64s", UUID, b"aes-cbc-essiv:sha256", fingerprint(volume_key), 1, 16777216,
                         1 << 20, 512, len(path), volume_key) + path
    level = struct.pack("<64s40sQII32s", b"red", fingerprint(level_key), 1, 1, 1, level_key) + volume
    for name, levels in (("none", b""), ("one", level)):
        length = 120 + len(levels) + 32
        head = struct.pack("<16s24s64sQII", b"TGTKEYD keys v1", b"exp-0123456789abcdef", b"host", 1, bool(levels), length)
        yield name, b"\0" + head + levels + bytes(32)
    yield "der", b"\1" + bytes.fromhex("3003020101")
    text = b"tgt-crypt-share-1 exp-0123456789abcdef 2/3 1 " + b"ab" * 32 + b" "
    yield "share", b"\2" + text + hashlib.sha256(text).hexdigest()[:8].encode() + b"\n"


def format():
    odd = "\x1b[2J\x9b2J\u202egmi.live\u2028"
    person = {"uid": 0, "user": odd, "pid": 1, "program": odd, "volumes": [odd]}
    volume = {"uuid": UUID.decode(), "path": "/srv/" + odd, "level": "red", "state": "active", "size_bytes": 1 << 20,
              "fingerprint": odd, "cipher": odd, "attached": [person]}
    entry = {"id": odd, "kind": "export", "level": "red", "to": odd, "time": odd, "user": odd, "uid": 0,
             "destroyed": person, "recipients": [{"subject": odd}]}
    request = {"id": odd, "scope": odd, "subject": odd, "path": odd, "requester": person, "approved_by": person,
               "requested_at": odd, "approved_at": odd, "expires_at": odd, "takes_effect_at": odd}
    certificate = {"scope": "volume", "level": odd, "volumes": [volume], "requester": person, "acknowledged": [person],
                   "unacknowledged": [person], "outstanding_exports": [entry], "vouched_exports": [entry],
                   "verification": {"result": odd, "detail": odd}, "erase_class": odd, "completed_at": odd,
                   "method": {"name": odd}, "tool": {"name": odd}, "location": {"host": odd},
                   "signature": {"algorithm": odd, "key_id": odd, "value": odd}}
    status = {"initialized": True, "custody": odd, "levels": {"active": 1}, "consumers": [person], "roles": [odd]}
    level = {"name": odd, "state": odd, "volumes": [volume], "certificate": certificate}
    answers = (status, [level], level, [volume], volume, certificate, request, [request], {"export": entry, "levels": [entry]},
               {"levels": [entry]}, {"exports": [entry], "imports": [entry]}, {"seq": 1, "time": odd, "event": odd, "path": odd})
    for kind, answer in enumerate(answers):
        yield f"{kind}", bytes([kind]) + json.dumps(answer).encode()
        yield f"{kind}-raw", bytes([kind]) + json.dumps(answer, ensure_ascii=False).encode()
    yield "types", b"\5" + json.dumps({"volumes": 1, "requester": [], "verification": "", "level": {}}).encode()
    yield "no-utf8", b"\4{\"path\":\"/a\xff\xe2\x80\"}"


def records():
    for which in range(3):
        yield f"none-{which}", bytes([which, 0, 0, 0])
        yield f"byte-{which}", bytes([which, 1, 60, 0, 88])
        yield f"more-{which}", bytes([which, 1, 0, 1]) + b"x" * 4000
    line = b'{"seq":1,"time":"2026-01-01T00:00:00Z","event":"hello","uid":0,"pid":1,"result":"denied","prev":"' + b"0" * 64
    yield "line", bytes([0, 0, 0, 0]) + line + b'","hash":"' + b"1" * 64 + b'"}\n'
    yield "head", bytes([1, 0, 0, 0]) + b"tgt-crypt audit head v1 " + b"0" * 19 + b"4 " + b"2" * 64 + b" " + b"3" * 64 + b"\n"
    entry = b'{"id":"exp-0123456789abcdef","time":"2026-01-01T00:00:00Z","kind":"%s","uid":0,"user":"root","level":"%s"}\n'
    yield "entry", bytes([2, 0, 0, 0]) + entry % (b"export", b"red")
    yield "other-level", bytes([2, 0, 0, 0]) + entry % (b"export", b"blue")
    yield "vouched", bytes([2, 0, 0, 0]) + entry % (b"export", b"red") + entry % (b"destroyed", b"red")


def requests():
    body = {"type": "tgt-crypt request to destroy", "id": "0123abcd", "requester_uid": 2001, "requested_at": 1,
            "needs_approval": True, "approved": False, "approver_uid": 0, "approved_at": 0, "delay_s": 60, "wait_s": 60,
            "since": {"boot_id": "x", "boot_s": 1, "wall_s": 1}}
    yield "destroy", b"\0" + json.dumps(body).encode()
    yield "volume", b"\1" + json.dumps(body).encode()
    yield "huge", b"\0" + json.dumps({**body, "wait_s": 2**63, "since": {"wall_s": 2**63 - 1}}).encode()
    for operation in ("export", "volume-key", "import-force", "custody-change", "destroy"):
        parameters = {"level": "red", "what": operation, "volume": UUID.decode(), "fingerprint": "ab",
                      "recipients": [{"subject": "CN=x", "sha256": "ab"}, 5]}
        yield operation, b"\3" + json.dumps({**body, "type": "tgt-crypt request", "operation": operation,
                                             "approved": True, "parameters": parameters}).encode()
    yield "no-parameters", b"\0" + json.dumps({**body, "type": "tgt-crypt request", "operation": "export",
                                               "parameters": []}).encode()
    yield "list", b"\2" + json.dumps([{"id": "0123abcd", "what": "x", "state": "approved", "expires_at": 5,
                                       "parameters": {"recipients": {}}}, None, []]).encode()


def signature():
    certificate = {"type": "tgt-crypt certificate of destruction", "version": 1, "scope": "level", "level": "red",
                   "volumes": [{"uuid": UUID.decode(), "path": "/x", "size_bytes": 1}, 1], "acknowledged": [{"pid": 1}],
                   "requester": {"uid": 0, "user": "root"}, "verification": {"result": "passed"}}
    text = json.dumps(certificate, separators=(",", ":")).encode()
    member = b',"signature":{"algorithm":"Ed25519","key_id":"%s","value":"%s"}}' % (b"ab" * 32, b"cd" * 64)
    yield "pem", b"\0\0\0" + (b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
                              b"-----END PUBLIC KEY-----\n")
    yield "unsigned", b"\1\0\0" + text
    yield "signed", b"\1\0\0" + text[:-1] + member + b"\n"
    yield "cut", b"\1\0\0" + text[:-1] + member[:-1]
    yield "only", b"\1\0\0" + member
    for at in (0, 40, 400):
        yield f"changed-{at}", b"\2" + struct.pack("<H", at) + text[1:-1]
    yield "print", b"\3\0\0" + text
    yield "print-odd", b"\3\0\0" + json.dumps({key: [value] for key, value in certificate.items()}).encode()


for target in (proto, server, store, config, luks, bsopts, unmap, initiator, args, export, format, records, requests,
               signature):
    folder = HERE / "corpus" / target.__name__
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in target():
        (folder / f"seed-{name}").write_bytes(data)
