/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Files and block devices, through the page cache or past it. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/uio.h>
#include <unistd.h>

struct file_store {
	struct store store;
	bool sync;
	bool discards;
	uint32_t punch_align_bytes; /* of what fallocate(2) takes: 1, or a device's logical block */
	bool in_memory;             /* tmpfs: nothing below could be waited for */
	atomic_bool no_read_now;    /* the file system cannot tell whether it would wait */
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

static int punch(struct file_store *f, uint64_t len, uint64_t offset)
{
	while (len && fallocate(f->store.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)offset, (off_t)len)) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int write_zeros(struct store *s, uint64_t len, uint64_t offset)
{
	static const uint8_t zeros[4096] __attribute__((aligned(4096)));
	int rc = 0;

	for (uint64_t n; len && !rc; len -= n, offset += n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		rc = file_write(s, zeros, (size_t)n, offset, false);
	}
	return rc;
}

static bool file_discards(struct store *s)
{
	return file_of(s)->discards;
}

/*
 * What fills no block of a device at either end is overwritten with zeros. fallocate(2) makes zeros of
 * all the rest or fails: of a file's partial blocks, and on a device, where a discard alone
 * (BLKDISCARD) would promise nothing.
 */
static int file_discard(struct store *s, uint64_t len, uint64_t offset)
{
	struct file_store *f = file_of(s);
	uint64_t align = f->punch_align_bytes, end = offset + len;
	uint64_t first = (offset + align - 1) / align * align, last = end / align * align;

	if (first >= last)
		first = last = end;
	int rc = write_zeros(s, first - offset, offset);
	if (!rc)
		rc = punch(f, last - first, first);
	if (!rc)
		rc = write_zeros(s, end - last, last);
	return !rc && f->sync ? file_flush(s) : rc;
}

static int file_map(struct store *s, uint64_t offset, uint64_t *end, bool *hole)
{
	off_t at = lseek(s->fd, (off_t)offset, SEEK_DATA);

	*hole = at > (off_t)offset || (at < 0 && errno == ENXIO); /* ENXIO: no data up to the end */
	if (!*hole && at >= 0)
		at = lseek(s->fd, (off_t)offset, SEEK_HOLE);
	*end = at < 0 ? UINT64_MAX : (uint64_t)at;
	return at < 0 && errno != ENXIO && errno != EINVAL ? -errno : 0; /* EINVAL: cannot tell */
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
	.discards = file_discards,
	.discard = file_discard,
	.map = file_map,
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

/* sysfs' word for a device, or for the disk that a partition belongs to; 0 when it says none. */
static unsigned long long queue_limit(dev_t device, const char *name)
{
	static const char *const folders[] = {"queue", "../queue"};
	unsigned long long limit = 0;
	char path[96];

	for (size_t i = 0; i < 2 && !limit; i++) {
		(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(device),
			minor(device), folders[i], name);
		FILE *file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &limit) != 1)
			limit = 0;
		(void)fclose(file);
	}
	return limit;
}

/* A file system that knows holes says so of one behind the end of the file, where none is made. */
static int find_discard_of_file(struct file_store *f, const struct stat *st)
{
	f->punch_align_bytes = 1;
	f->store.discard_bytes = (uint32_t)st->st_blksize;
	f->discards = !punch(f, (uint64_t)st->st_blksize, f->store.size_bytes);
	return 0;
}

static int find_discard_of_device(struct file_store *f, const struct stat *st)
{
	int block_bytes;

	if (ioctl(f->store.fd, BLKSSZGET, &block_bytes))
		return -errno;
	f->punch_align_bytes = (uint32_t)block_bytes;
	f->store.discard_bytes = (uint32_t)queue_limit(st->st_rdev, "discard_granularity");
	f->discards = queue_limit(st->st_rdev, "write_zeroes_max_bytes") > 0;
	return 0;
}

/* Whether space can be given back, and how. */
static int find_discard(struct file_store *f, struct store_flags flags)
{
	struct stat st;

	f->punch_align_bytes = 1;
	if (!flags.discard || flags.read_only)
		return 0;
	if (fstat(f->store.fd, &st))
		return -errno;
	return S_ISREG(st.st_mode) ? find_discard_of_file(f, &st) : find_discard_of_device(f, &st);
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
	if (!rc)
		rc = find_discard(f, flags);
	if (!rc) {
		*store = &f->store;
		return 0;
	}
	if (f->store.fd >= 0)
		(void)close(f->store.fd);
	free(f);
	return rc;
}
