/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Files and block devices, through the page cache or past it. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/uio.h>
#include <unistd.h>

struct file_store {
	struct store store;
	bool sync;
	bool in_memory;          /* tmpfs: nothing below could be waited for */
	atomic_bool no_read_now; /* the file system cannot tell whether it would wait */
	atomic_bool no_write_now;
	atomic_bool flush_failed; /* sticky until the store is reopened */
};

static struct file_store *file_of(struct store *s)
{
	return (struct file_store *)s;
}

static int file_read(struct store *s, void *buf, size_t len, uint64_t offset)
{
	uint8_t *at = buf;

	while (len) {
		ssize_t n = pread(s->fd, at, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/*
 * What RWF_NOWAIT gave: all, or nothing that counts. A file system that does not know the flag is not
 * asked again, nor a full one, which may first wait for space, RWF_NOWAIT or not.
 */
static int now_result(ssize_t n, size_t len, atomic_bool *never)
{
	if (n == (ssize_t)len)
		return 0;
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSPC || errno == EDQUOT))
		atomic_store(never, true);
	return -EAGAIN; /* errors, too: the call that may wait will tell */
}

static int file_read_now(struct store *s, void *buf, size_t len, uint64_t offset)
{
	struct file_store *f = file_of(s);
	struct iovec iov = {.iov_base = buf, .iov_len = len};

	if (f->in_memory)
		return file_read(s, buf, len, offset);
	if (atomic_load(&f->no_read_now))
		return -EAGAIN;
	return now_result(preadv2(s->fd, &iov, 1, (off_t)offset, RWF_NOWAIT), len, &f->no_read_now);
}

static int flush_error(struct file_store *f)
{
	atomic_store(&f->flush_failed, true);
	return -EIO;
}

static int file_flush(struct store *s)
{
	struct file_store *f = file_of(s);

	if (atomic_load(&f->flush_failed))
		return -EIO;
	while (fdatasync(s->fd)) {
		if (errno != EINTR)
			return flush_error(f);
	}
	return atomic_load(&f->flush_failed) ? -EIO : 0;
}

static int file_write(struct store *s, const void *buf, size_t len, uint64_t offset, bool durable)
{
	struct file_store *f = file_of(s);
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};

	durable = durable || f->sync;
	if (durable && atomic_load(&f->flush_failed))
		return -EIO;
	while (iov.iov_len) {
		ssize_t n = pwritev2(s->fd, &iov, 1, (off_t)offset, durable ? RWF_DSYNC : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int rc = n ? -errno : -EIO;
			/* The kernel tells of a lost page once, maybe here: fdatasync will not. */
			if (durable)
				atomic_store(&f->flush_failed, true);
			return rc;
		}
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static bool file_writes_now(struct store *s)
{
	struct file_store *f = file_of(s);

	return !f->sync && !atomic_load(&f->no_write_now);
}

static int file_write_now(struct store *s, const void *buf, size_t len, uint64_t offset)
{
	struct file_store *f = file_of(s);
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};

	if (!file_writes_now(s))
		return -EAGAIN;
	if (f->in_memory)
		return file_write(s, buf, len, offset, false);
	return now_result(
		pwritev2(s->fd, &iov, 1, (off_t)offset, RWF_NOWAIT), len, &f->no_write_now);
}

static int file_prefetch(struct store *s, uint64_t len, uint64_t offset)
{
	return -posix_fadvise(s->fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

static void file_close(struct store *s)
{
	(void)close(s->fd);
	free(file_of(s));
}

static int measure(struct store *s)
{
	struct stat st;

	if (fstat(s->fd, &st))
		return -errno;
	s->io_bytes = (uint32_t)st.st_blksize;
	if (S_ISREG(st.st_mode)) {
		s->size_bytes = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return -EINVAL;
	return ioctl(s->fd, BLKGETSIZE64, &s->size_bytes) ? -errno : 0;
}

static const struct store_ops file_ops = {
	.read = file_read,
	.read_now = file_read_now,
	.writes_now = file_writes_now,
	.write_now = file_write_now,
	.write = file_write,
	.flush = file_flush,
	.prefetch = file_prefetch,
	.measure = measure,
	.close = file_close,
};

/* A device is none, whatever its node lies in: a tmpfs, as a rule, that has access times. */
static bool is_regular_file(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

static bool lies_in_memory(int fd)
{
	struct statfs fs;

	return is_regular_file(fd) && !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC;
}

/*
 * Noting the time of a read may wait for the file system's journal, RWF_NOWAIT or not. Ciphertext
 * needs none; who may not turn it off (open(2), O_NOATIME: not the owner) does not read at once.
 */
static void stop_access_times(struct file_store *f)
{
	int flags = fcntl(f->store.fd, F_GETFL);

	if (flags < 0 || fcntl(f->store.fd, F_SETFL, flags | O_NOATIME))
		atomic_store(&f->no_read_now, true);
}

/* How much may be waited for, and what transfers must look like. */
static int find_nature(struct file_store *f, bool direct)
{
	struct statx st;

	f->store.align_bytes = 1;
	if (!direct) {
		f->in_memory = lies_in_memory(f->store.fd);
		if (!f->in_memory && is_regular_file(f->store.fd))
			stop_access_times(f);
		return 0;
	}
	/* Past the cache there is a device to wait for. */
	atomic_store(&f->no_read_now, true);
	atomic_store(&f->no_write_now, true);
	if (statx(f->store.fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st))
		return -errno;
	f->store.align_bytes = st.stx_dio_offset_align > st.stx_dio_mem_align
				       ? st.stx_dio_offset_align
				       : st.stx_dio_mem_align;
	return st.stx_mask & STATX_DIOALIGN && f->store.align_bytes ? 0 : -EOPNOTSUPP;
}

/*
 * An open-file-description lock (fcntl(2)), which belongs to this opener and not to the process:
 * a second LUN of the same tgtd is a second opener too. Openers that share hold it together; one that
 * does not share keeps them out, and they keep it out. cryptsetup uses flock(2), so that
 * luksDump and --test-passphrase still work on a volume that is being served.
 */
static int lock_file(int fd, struct store_flags flags)
{
	struct flock lock = {
		.l_type = flags.read_only || flags.shared ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int store_open_file(const char *path, struct store_flags flags, struct store **store)
{
	struct file_store *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->store.ops = &file_ops;
	f->sync = flags.sync;
	/* O_NONBLOCK: opening a FIFO by mistake must not stop tgtd; no effect on files and devices.
	 * O_EXCL: a block device that is mounted or in use otherwise is refused; none on files. */
	f->store.fd =
		open(path, (flags.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
				   (flags.shared ? 0 : O_EXCL) | (flags.direct ? O_DIRECT : 0));
	rc = f->store.fd < 0 ? -errno : measure(&f->store);
	if (f->store.fd < 0 && rc == -EINVAL && flags.direct)
		rc = -EOPNOTSUPP; /* what open(2) says of O_DIRECT where it is not possible */
	if (!rc)
		rc = find_nature(f, flags.direct);
	if (!rc)
		rc = lock_file(f->store.fd, flags);
	if (!rc) {
		*store = &f->store;
		return 0;
	}
	if (f->store.fd >= 0)
		(void)close(f->store.fd);
	free(f);
	return rc;
}
