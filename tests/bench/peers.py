# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""What else can encrypt a disk in user space: each started in a Lab, ready to be used.

Every function returns where it is: a file under a FUSE mount, or an NBD URL, and its daemon.
"""
import contextlib
import os

from lab import Failed, wait_until

PASSWORD = "benchmark"
LUKS1_HEADER = 2 << 20
CBC_ESSIV, XTS = "aes-cbc-essiv:sha256", "aes-xts-plain64"


def unmount(lab, folder):
    with contextlib.suppress(Failed):
        lab.run("fusermount3", "-u", "-z", folder, check=False)


def start_mount(lab, name, folder, *argv, mounted=None):
    """A FUSE daemon in the foreground, which unmounts when it is told to end."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Failed("no access to /dev/fuse")
    daemon = lab.start(name, *argv, last_words="TERM", stop=lambda: unmount(lab, folder))
    ready = mounted or folder.is_mount
    try:
        wait_until(lambda: ready() or daemon.poll() is not None, 20, name)
    except Failed as late:
        raise Failed(f"{late}: {lab.log_of(name)}") from late
    if daemon.poll() is not None:
        raise Failed(f"{name}: {lab.log_of(name)}")
    return daemon


def folders(lab, name):
    """Where ciphertext lies, and where plaintext is seen."""
    cipher, plain = lab.fast / f"{name}.cipher", lab.state / f"{name}.plain"
    cipher.mkdir()
    plain.mkdir()
    return cipher, plain


def password_file(lab):
    path = lab.state / "password"
    path.write_text(PASSWORD + "\n")
    return path


def gocryptfs(lab):
    cipher, plain = folders(lab, "gocryptfs")
    password = password_file(lab)
    lab.run("gocryptfs", "-q", "-init", "-scryptn", 10, "-passfile", password, cipher)
    return plain, start_mount(lab, "gocryptfs", plain, "gocryptfs", "-q", "-fg", "-passfile",
                              password, cipher, plain)


def encfs(lab):
    cipher, plain = folders(lab, "encfs")
    return plain, start_mount(lab, "encfs", plain, "encfs", "-f", "--standard", "--extpass",
                              f"cat {password_file(lab)}", cipher, plain)


def luks_image(lab, name, size, cipher):
    """A LUKS1 image on tmpfs, all of it allocated, and the file of its passphrase."""
    image, secret = lab.fast / name, lab.state / "secret"
    secret.write_text(PASSWORD)
    lab.run("fallocate", "--length", size + LUKS1_HEADER, image)
    lab.run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks1", "--cipher", cipher,
            "--key-size", 512 if "xts" in cipher else 256, "--pbkdf-force-iterations", 1000,
            image, secret)
    return image, secret


def storage_daemon(image, secret=None):
    """The beginning of qemu-storage-daemon's command: node "disk" is the plaintext."""
    words = ["qemu-storage-daemon", "--blockdev",
             f"driver=file,node-name=file,filename={image}"]
    if secret:
        return [*words, "--object", f"secret,id=key,file={secret}", "--blockdev",
                "driver=luks,node-name=disk,file=file,key-secret=key"]
    return [*words, "--blockdev", "driver=raw,node-name=disk,file=file"]


def qemu_fuse(lab, size):
    image, secret = luks_image(lab, "qemu-fuse.luks", size, CBC_ESSIV)
    export = lab.state / "qemu-fuse.plain"
    export.touch()
    daemon = start_mount(lab, "qemu-fuse", export, *storage_daemon(image, secret),
                         "--export", f"type=fuse,id=disk,node-name=disk,mountpoint={export},"
                         "writable=on,growable=off", mounted=lambda: export.stat().st_size > 0)
    return export, daemon


def nbd_ready(lab, name, daemon, sock):
    wait_until(lambda: sock.is_socket() or daemon.poll() is not None, 20, name)
    if daemon.poll() is not None:
        raise Failed(f"{name}: {lab.log_of(name)}")


def qemu_nbd(lab, name, image, secret=None):
    """qemu-storage-daemon's NBD server."""
    sock = lab.state / f"{name}.sock"
    daemon = lab.start(name, *storage_daemon(image, secret), "--nbd-server",
                       f"addr.type=unix,addr.path={sock}", "--export",
                       "type=nbd,id=disk,node-name=disk,name=disk,writable=on")
    nbd_ready(lab, name, daemon, sock)
    return f"nbd+unix:///disk?socket={sock}", daemon


def nbdkit(lab, name, *words):
    """words: filters, plugin, parameters."""
    sock = lab.state / f"{name}.sock"
    daemon = lab.start(name, "nbdkit", "-f", "-U", sock, *words)
    nbd_ready(lab, name, daemon, sock)
    return sock, daemon
