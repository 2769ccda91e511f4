# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""A state directory as a disk may hold it after a crash.

What was synced is there. Of what was not, a file system may have written any part: each change of a
directory until that directory is synced, each write until its file is synced, whole, in part (torn
at 512 bytes, with old bytes or zeros in the rest; an appended end cut anywhere), or not at all. That a
file is synced says nothing about the directory that names it. A rename is atomic, as POSIX has it.
"""
import hashlib
import itertools
import os
import pathlib

SECTOR_BYTES = 512
RESERVE = "reserve"  # the folder whose files have no content


class Entries:
    """A change of one directory: names and what they stand for from then on, None for nothing."""

    fates = ("lost", "kept")

    def __init__(self, inode, names):
        self.inode, self.names = inode, names

    def apply(self, disk, fate, _rng):
        if fate == "lost":
            return
        for name, target in self.names.items():
            if target is None:
                disk.content[self.inode].pop(name, None)
            else:
                disk.content[self.inode][name] = target


class Write:
    """Bytes at an offset of one file, which grows with them."""

    fates = ("lost", "kept", "first half", "second half", "torn", "cut")

    def __init__(self, inode, offset, data):
        self.inode, self.offset, self.data = inode, offset, data

    def apply(self, disk, fate, rng):
        if fate == "lost":
            return
        old = disk.content[self.inode]
        end = self.offset + len(self.data)
        new = bytearray(old.ljust(end, b"\0"))
        if fate == "cut":
            new[self.offset:end] = self.data
            del new[max(len(old), rng.randrange(self.offset, end + 1)):]
        else:
            for number in self.sectors(fate, rng):
                first = max(self.offset, number * SECTOR_BYTES)
                last = min(end, (number + 1) * SECTOR_BYTES)
                new[first:last] = self.data[first - self.offset:last - self.offset]
        disk.content[self.inode] = bytes(new)

    def sectors(self, fate, rng):
        end = self.offset + len(self.data)
        numbers = range(self.offset // SECTOR_BYTES, (end + SECTOR_BYTES - 1) // SECTOR_BYTES)
        half = (len(numbers) + 1) // 2
        if fate == "first half":
            return numbers[:half]
        if fate == "second half":
            return numbers[half:]
        return [n for n in numbers if fate == "kept" or rng.random() < 0.5]


class Resize:
    fates = ("lost", "kept")

    def __init__(self, inode, size):
        self.inode, self.size = inode, size

    def apply(self, disk, fate, _rng):
        if fate == "kept":
            disk.content[self.inode] = disk.content[self.inode][:self.size].ljust(self.size, b"\0")


class Disk:
    """Inode 0 is the root. A directory's content is a dict of names, a file's is bytes."""

    def __init__(self):
        self.content = [{}]  # what is durable
        self.pending = []    # in the order in which it was done

    def copy(self):
        other = Disk()
        other.content = [dict(c) if isinstance(c, dict) else c for c in self.content]
        other.pending = list(self.pending)
        return other

    def new_inode(self, content):
        self.content.append(content)
        return len(self.content) - 1

    def load(self, root):
        """Everything below root, durable."""
        paths = {os.fspath(root): 0}
        for folder, dirs, files in os.walk(root):
            if paths[folder] == 0 and RESERVE in dirs:
                dirs.remove(RESERVE)
            names = self.content[paths[folder]]
            for name in sorted(dirs):
                names[name] = paths[os.path.join(folder, name)] = self.new_inode({})
            for name in sorted(files):
                names[name] = self.new_inode(pathlib.Path(folder, name).read_bytes())

    def change(self, change):
        self.pending.append(change)

    def sync(self, inode):
        for change in self.pending:
            if change.inode == inode:
                change.apply(self, "kept", None)
        self.pending = [change for change in self.pending if change.inode != inode]

    def now(self):
        """What running processes see: a disk with nothing pending."""
        return self.after(["kept"] * len(self.pending), None)

    def after(self, fates, rng):
        disk = self.copy()
        disk.pending = []
        for change, fate in zip(self.pending, fates):
            change.apply(disk, fate, rng)
        return disk

    def crashes(self, limit, rng):
        """Disks that a crash may leave: all of them, or limit of them with the extremes first."""
        choices = [change.fates for change in self.pending]
        combinations = 1
        for fates in choices:
            combinations *= len(fates)
        if combinations <= limit:
            for fates in itertools.product(*choices):
                yield fates, self.after(fates, rng)
            return
        for fates in itertools.islice(self.sampled(choices, rng), limit):
            yield fates, self.after(fates, rng)

    @staticmethod
    def sampled(choices, rng):
        count = len(choices)
        yield ("lost",) * count
        yield ("kept",) * count
        for i in range(count):
            yield ("lost",) * i + ("kept",) + ("lost",) * (count - i - 1)
            yield ("kept",) * i + ("lost",) + ("kept",) * (count - i - 1)
        while True:
            yield tuple(rng.choice(fates) for fates in choices)

    def tree(self, inode=0, prefix=""):
        """Path -> bytes, or None for a directory."""
        found = {}
        for name, target in self.content[inode].items():
            content = self.content[target]
            if isinstance(content, dict):
                found[prefix + name] = None
                found.update(self.tree(target, prefix + name + "/"))
            else:
                found[prefix + name] = content
        return found

    def fingerprint(self):
        digest = hashlib.sha256()
        for path, content in sorted(self.tree().items()):
            digest.update(repr((path, content)).encode())
        return digest.hexdigest()

    def save(self, root):
        root = pathlib.Path(root)
        root.mkdir(mode=0o700)
        for path, content in sorted(self.tree().items()):
            if content is None:
                (root / path).mkdir(mode=0o700)
            else:
                (root / path).write_bytes(content)
                (root / path).chmod(0o600)
