# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""What keyd asks of the file system, from strace's record, done again on a Disk one by one."""
import os
import re

from daemon import Failed
from disk import RESERVE, Entries, Resize, Write

# A call that changes files and is not understood below must not be overlooked: it ends the test.
UNKNOWN = ("open,creat,writev,pwritev,pwritev2,rename,unlink,mkdir,rmdir,link,linkat,symlink,"
           "symlinkat,truncate,copy_file_range,sendfile,splice,sync_file_range,io_uring_setup,dup,dup2,"
           "dup3")
KNOWN = ("openat,close,lseek,write,pwrite64,fsync,fdatasync,renameat,renameat2,unlinkat,mkdirat,"
         "ftruncate,fallocate,sendmsg,sendto")

STRACE = ("strace", "-f", "-q", "-xx", "-s", "1048576", "--signal=none", "-e",
          "trace=" + KNOWN + "," + UNKNOWN)

LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)")
UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")


def text(argument):
    """A string argument's bytes."""
    if not argument.startswith('"') or not argument.endswith('"'):
        raise Failed(f"strace cut a string: {argument[:60]}")
    return bytes.fromhex(argument[1:-1].replace("\\x", ""))


def calls(path):
    """(name, arguments, result) of every call that succeeded, in the order of their ends."""
    begun = {}
    with open(path, encoding="ascii") as trace:
        for line in trace:
            line = line.rstrip("\n")
            if match := UNFINISHED.match(line):
                begun[match[1]] = match[2]
                continue
            if match := RESUMED.match(line):
                line = f"{match[1]} {begun.pop(match[1], '')}{match[2]}"
            match = LINE.match(line)
            if match and int(match[4]) >= 0:
                yield match[2], match[3].split(", "), int(match[4])


class OpenFile:
    def __init__(self, inode, append):
        self.inode, self.append, self.offset = inode, append, 0


class Replay:
    """Does calls on disk, whose root is the directory root."""

    def __init__(self, disk, root):
        self.disk = disk
        self.root = os.fsencode(root)
        self.files = {}  # descriptor -> OpenFile, of what lies below the root only
        self.sent = 0    # messages to anybody

    def step(self, name, args, result):
        """True when the call changed or synced something below the root, or sent a message."""
        handler = getattr(self, "do_" + name, None)
        if handler:
            return bool(handler(args, result))
        touched = args and args[0].isdigit() and int(args[0]) in self.files
        if touched or self.names_ours(args):
            raise Failed(f"keyd does what this test does not know: {name}({', '.join(args)[:80]})")
        return False

    def names_ours(self, args):
        return any(a.startswith('"') and text(a).startswith(self.root) for a in args)

    def find(self, dir_fd, path):
        """The directory's inode and the last name of path; (None, None) when it is elsewhere."""
        path = text(path)
        if path.startswith(b"/"):
            if path != self.root and not path.startswith(self.root + b"/"):
                return None, None
            inode, path = 0, path[len(self.root):]
        elif dir_fd.isdigit() and int(dir_fd) in self.files:
            inode = self.files[int(dir_fd)].inode
        else:
            return None, None
        names = [n for n in path.decode().split("/") if n not in ("", ".")]
        if inode == 0 and names[:1] == [RESERVE]:
            return None, None  # room on the disk, no content: nothing depends on it
        for name in names[:-1]:
            inode = self.disk.now().content[inode][name]
        return inode, names[-1] if names else ""

    def do_openat(self, args, result):
        inode, name = self.find(args[0], args[1])
        if inode is None:
            return False
        target = self.disk.now().content[inode].get(name) if name else inode
        created = target is None
        if created:
            target = self.disk.new_inode(b"")
            self.disk.change(Entries(inode, {name: target}))
        elif "O_TRUNC" in args[2]:
            raise Failed(f"keyd truncates {name}")
        self.files[result] = OpenFile(target, "O_APPEND" in args[2])
        return created

    def do_close(self, args, _result):
        self.files.pop(int(args[0]), None)

    def do_lseek(self, args, result):
        if int(args[0]) in self.files:
            self.files[int(args[0])].offset = result

    def do_write(self, args, result):
        file = self.files.get(int(args[0]))
        if not file or not result:
            return False
        if file.append:
            file.offset = len(self.disk.now().content[file.inode])
        self.disk.change(Write(file.inode, file.offset, text(args[1])[:result]))
        file.offset += result
        return True

    def do_pwrite64(self, args, result):
        file = self.files.get(int(args[0]))
        if file and result:
            self.disk.change(Write(file.inode, int(args[3]), text(args[1])[:result]))
        return file and result

    def do_fsync(self, args, _result):
        file = self.files.get(int(args[0]))
        if file:
            self.disk.sync(file.inode)
        return file

    do_fdatasync = do_fsync

    def do_renameat(self, args, _result):
        old_dir, old = self.find(args[0], args[1])
        new_dir, new = self.find(args[2], args[3])
        if old_dir is None and new_dir is None:
            return False
        if old_dir != new_dir:
            raise Failed(f"keyd moves {old} to another directory")
        target = self.disk.now().content[old_dir][old]
        self.disk.change(Entries(old_dir, {old: None, new: target}))
        return True

    do_renameat2 = do_renameat

    def do_unlinkat(self, args, _result):
        inode, name = self.find(args[0], args[1])
        if inode is not None:
            self.disk.change(Entries(inode, {name: None}))
        return inode is not None

    def do_mkdirat(self, args, _result):
        inode, name = self.find(args[0], args[1])
        if inode is not None:
            self.disk.change(Entries(inode, {name: self.disk.new_inode({})}))
        return inode is not None

    def do_ftruncate(self, args, _result):
        file = self.files.get(int(args[0]))
        if file:
            self.disk.change(Resize(file.inode, int(args[1])))
        return file

    def do_fallocate(self, args, _result):
        file = self.files.get(int(args[0]))
        if not file:
            return False
        if "PUNCH_HOLE" not in args[1]:
            raise Failed(f"keyd allocates: {args}")
        offset, length = int(args[2]), int(args[3])
        length = min(length, len(self.disk.now().content[file.inode]) - offset)
        self.disk.change(Write(file.inode, offset, bytes(max(length, 0))))
        return True

    def do_sendmsg(self, _args, result):
        self.sent += 1
        return result

    do_sendto = do_sendmsg
