/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/store.h on real files: full transfers or an error, at once or not at all, one opener, a
 * lost flush is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store.h"

static char path[64];
static const struct store_flags plain_flags;

/*
 * What the kernel does is the file system's affair. The calls below take the place of the C library's
 * and make it what the test asks for; zero: leave it to the kernel.
 */
static struct {
	ssize_t now_returns; /* of the calls with RWF_NOWAIT: a length, or -errno */
	ssize_t write_fails; /* -errno of the others */
	int read_fails;      /* errno of pread(2) */
	size_t at_most;      /* bytes of a transfer */
	bool interrupted;    /* the next transfer or flush, once */
	bool block_device;   /* is what the file looks like */
	bool no_dioalign;    /* statx(2) does not know it */
	bool no_direct;      /* statx(2) knows that it is not possible */
} kernel;
static unsigned now_calls, dsync_calls, other_calls;

static bool interrupt(void)
{
	bool interrupted = kernel.interrupted;

	kernel.interrupted = false;
	if (interrupted)
		errno = EINTR;
	return interrupted;
}

/* True when the call is not made; *rc is what it returns then. */
static bool answer(int flags, ssize_t *rc)
{
	now_calls += (flags & RWF_NOWAIT) != 0;
	dsync_calls += (flags & RWF_DSYNC) != 0;
	other_calls += !flags;
	*rc = flags & RWF_NOWAIT ? kernel.now_returns : kernel.write_fails;
	if (!*rc && interrupt())
		*rc = -EINTR;
	if (*rc < 0) {
		errno = (int)-*rc;
		*rc = -1;
		return true;
	}
	return *rc > 0;
}

static struct iovec shorten(const struct iovec *iov)
{
	struct iovec part = *iov;

	if (kernel.at_most && part.iov_len > kernel.at_most)
		part.iov_len = kernel.at_most;
	return part;
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int);
	struct iovec part = shorten(iov);
	ssize_t rc;

	*(void **)&real = dlsym(RTLD_NEXT, "preadv2");
	return answer(flags, &rc) ? rc : real(fd, &part, count, offset, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int);
	struct iovec part = shorten(iov);
	ssize_t rc;

	*(void **)&real = dlsym(RTLD_NEXT, "pwritev2");
	return answer(flags, &rc) ? rc : real(fd, &part, count, offset, flags);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t (*real)(int, void *, size_t, off_t);

	*(void **)&real = dlsym(RTLD_NEXT, "pread");
	if (kernel.read_fails)
		errno = kernel.read_fails;
	if (kernel.read_fails || interrupt())
		return -1;
	return real(fd, buf, kernel.at_most && len > kernel.at_most ? kernel.at_most : len, offset);
}

int fdatasync(int fd)
{
	int (*real)(int);

	*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	return interrupt() ? -1 : real(fd);
}

int fstat(int fd, struct stat *st)
{
	int (*real)(int, struct stat *);

	*(void **)&real = dlsym(RTLD_NEXT, "fstat");
	int rc = real(fd, st);
	if (!rc && kernel.block_device)
		st->st_mode = S_IFBLK | 0600;
	return rc;
}

int ioctl(int fd, unsigned long op, ...)
{
	va_list args;

	(void)fd;
	assert_int_equal(op, BLKGETSIZE64);
	va_start(args, op);
	*va_arg(args, uint64_t *) = 4096;
	va_end(args);
	return 0;
}

int statx(int fd, const char *restrict name, int flags, unsigned mask, struct statx *restrict st)
{
	int (*real)(int, const char *, int, unsigned, struct statx *);

	*(void **)&real = dlsym(RTLD_NEXT, "statx");
	int rc = real(fd, name, flags, mask, st);
	if (!rc && kernel.no_direct)
		st->stx_dio_offset_align = st->stx_dio_mem_align = 0;
	if (!rc && kernel.no_dioalign)
		st->stx_mask &= ~STATX_DIOALIGN;
	return rc;
}

static int make_file_in(const char *folder)
{
	memset(&kernel, 0, sizeof(kernel));
	now_calls = dsync_calls = other_calls = 0;
	(void)snprintf(path, sizeof(path), "%s/test_store.XXXXXX", folder);
	int fd = mkstemp(path);
	int rc = fd < 0 || ftruncate(fd, 8192) ? -1 : 0;
	(void)close(fd);
	return rc;
}

static int make_file(void **state)
{
	(void)state;
	return make_file_in("/tmp");
}

static int make_file_in_memory(void **state)
{
	(void)state;
	return make_file_in("/dev/shm");
}

static int remove_file(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	return unlink(path);
}

static void what_is_written_is_read(void **state)
{
	struct store *s;
	char in[1000], out[1000];

	(void)state;
	memset(in, 'x', sizeof(in));
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_int_equal(s->size_bytes, 8192);
	assert_int_equal(store_write(s, in, sizeof(in), 100, false), 0);
	assert_int_equal(store_write(s, in, 10, 2000, true), 0);
	assert_int_equal(store_read(s, out, sizeof(out), 100), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_prefetch(s, 8192, 0), 0);
	store_close(s);
}

static void a_read_past_the_end_is_an_error_not_a_short_read(void **state)
{
	struct store *s;
	char out[1000];

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_int_equal(store_read(s, out, sizeof(out), 8000), -ENODATA);
	kernel.read_fails = EIO;
	assert_int_equal(store_read(s, out, sizeof(out), 0), -EIO);
	store_close(s);
}

static void a_second_opener_is_refused_unless_both_share(void **state)
{
	const struct store_flags shared = {.shared = true};
	struct store *a, *b;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &a), 0);
	assert_int_equal(store_open_file(path, plain_flags, &b), -EBUSY);
	assert_int_equal(store_open_file(path, shared, &b), -EBUSY); /* a does not share */
	store_close(a);
	assert_int_equal(store_open_file(path, shared, &a), 0);
	assert_int_equal(store_open_file(path, shared, &b), 0);
	store_close(b);
	assert_int_equal(store_open_file(path, plain_flags, &b), -EBUSY);
	store_close(a);
	assert_int_equal(store_open_file(path, plain_flags, &a), 0);
	store_close(a);
}

static void only_files_and_block_devices_are_stores(void **state)
{
	struct store *s;

	(void)state;
	assert_int_equal(store_open_file("/dev/null", plain_flags, &s), -EINVAL);
	assert_int_equal(store_open_file("/nonexistent/x", plain_flags, &s), -ENOENT);
	assert_int_equal(store_open_file("/tmp", plain_flags, &s), -EISDIR);
	remove_file(NULL);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(store_open_file(path, plain_flags, &s), -EINVAL);
}

/* /dev/full takes no write; a FIFO's fdatasync(2) fails: both stand in for a failing disk. */
static void after_a_failed_flush_nothing_is_called_durable(void **state)
{
	struct store *s;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	int good_fd = dup(s->fd);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_true(dup2(pipe_fds[1], s->fd) >= 0);
	assert_int_equal(store_flush(s), -EIO);
	assert_true(dup2(good_fd, s->fd) >= 0);
	assert_int_equal(store_flush(s), -EIO);
	assert_int_equal(store_write(s, "x", 1, 0, true), -EIO);
	assert_int_equal(store_write(s, "x", 1, 0, false), 0);
	store_close(s);
	close(good_fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void a_full_disk_says_so(void **state)
{
	struct store *s;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	int full = open("/dev/full", O_WRONLY);
	assert_true(dup2(full, s->fd) >= 0);
	assert_int_equal(store_write(s, "x", 1, 0, false), -ENOSPC);
	store_close(s);
	close(full);
}

static void what_the_kernel_does_in_parts_is_done_whole(void **state)
{
	struct store *s;
	char in[1000], out[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7);
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	kernel.at_most = 300;
	for (int durable = 0; durable < 2; durable++) {
		kernel.interrupted = true;
		assert_int_equal(store_write(s, in, sizeof(in), 100, durable), 0);
		kernel.interrupted = true;
		memset(out, 0, sizeof(out));
		assert_int_equal(store_read(s, out, sizeof(out), 100), 0);
		assert_memory_equal(in, out, sizeof(in));
		memset(in, 'x', sizeof(in));
	}
	kernel.interrupted = true;
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(other_calls, 5);
	assert_int_equal(dsync_calls, 5);
	assert_int_equal(store_read(s, out, sizeof(out), 7500), -ENODATA);
	store_close(s);
}

/* Also the first to hear of a page lost before: a flush would not be told again. */
static void after_a_failed_durable_write_nothing_is_called_durable(void **state)
{
	struct store *s;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	kernel.write_fails = -EIO;
	assert_int_equal(store_write(s, "x", 1, 0, false), -EIO);
	kernel.write_fails = 0;
	assert_int_equal(store_flush(s), 0);
	kernel.write_fails = -EIO;
	assert_int_equal(store_write(s, "x", 1, 0, true), -EIO);
	kernel.write_fails = 0;
	assert_int_equal(store_flush(s), -EIO);
	assert_int_equal(store_write(s, "x", 1, 0, true), -EIO);
	assert_int_equal(store_write(s, "x", 1, 0, false), 0);
	store_close(s);
}

static void sync_makes_every_write_durable_and_none_at_once(void **state)
{
	const struct store_flags sync = {.sync = true};
	struct store *s;
	char out = 0;

	(void)state;
	assert_int_equal(store_open_file(path, sync, &s), 0);
	assert_int_equal(store_write(s, "a", 1, 0, false), 0);
	assert_int_equal(store_write(s, "b", 1, 1, true), 0);
	assert_int_equal(dsync_calls, 2);
	assert_false(store_writes_now(s));
	assert_int_equal(store_write_now(s, "c", 1, 0), -EAGAIN);
	assert_int_equal(now_calls + other_calls, 0);
	assert_int_equal(store_read(s, &out, 1, 0), 0);
	assert_int_equal(out, 'a');
	store_close(s);
}

/* Noting the time of a read may wait for a journal. */
static void reads_of_a_disk_file_leave_its_access_time_alone(void **state)
{
	struct store *s;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_true(fcntl(s->fd, F_GETFL) & O_NOATIME);
	store_close(s);
}

static void without_sync_only_what_is_to_be_durable_is(void **state)
{
	struct store *s;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_int_equal(store_write(s, "a", 1, 0, false), 0);
	assert_int_equal(dsync_calls, 0);
	assert_int_equal(store_write(s, "a", 1, 0, true), 0);
	assert_int_equal(dsync_calls, 1);
	store_close(s);
}

/* tmpfs, where it is one. */
static void memory_answers_at_once(void **state)
{
	struct statfs fs;
	struct store *s;
	char in[1000], out[1000];

	(void)state;
	if (statfs(path, &fs) || fs.f_type != TMPFS_MAGIC)
		skip();
	memset(in, 'x', sizeof(in));
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_true(store_writes_now(s));
	kernel.at_most = 300;
	assert_int_equal(store_write_now(s, in, sizeof(in), 7000), 0);
	assert_int_equal(store_read_now(s, out, sizeof(out), 7000), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(store_read_now(s, out, sizeof(out), 7500), -ENODATA);
	assert_int_equal(now_calls, 0); /* it is not even asked whether it has to wait */
	store_close(s);
}

/* The node of a device is in a tmpfs as a rule: in /dev. The device is not. */
static void a_device_whose_node_is_in_memory_is_not(void **state)
{
	struct store *s;
	char buf[512] = {0};

	(void)state;
	kernel.block_device = true;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_int_equal(s->size_bytes, 4096);
	kernel.now_returns = -EAGAIN;
	assert_int_equal(store_read_now(s, buf, sizeof(buf), 0), -EAGAIN);
	assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), -EAGAIN);
	assert_int_equal(now_calls, 2);
	store_close(s);
}

enum { DISK_BYTES = 1 << 20 };

static uint8_t *fill(struct store *s)
{
	uint8_t *data = malloc(DISK_BYTES);
	unsigned seed = 5;

	assert_non_null(data);
	for (size_t i = 0; i < DISK_BYTES; i++)
		data[i] = (uint8_t)rand_r(&seed);
	assert_int_equal(store_write(s, data, DISK_BYTES, 0, false), 0);
	return data;
}

/* Out of the page cache, as far as the kernel follows. */
static void make_cold(struct store *s)
{
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void what_is_read_at_once_is_right(void **state)
{
	struct store *s;
	uint8_t out[5000];
	unsigned seed = 6;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	uint8_t *data = fill(s);
	for (int i = 0; i < 500; i++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(out) + 1;
		uint64_t at = (uint64_t)rand_r(&seed) % (DISK_BYTES - len);
		if (i % 50 == 0)
			make_cold(s);
		memset(out, 0, sizeof(out));
		int rc = store_read_now(s, out, len, at);
		assert_true(rc == 0 || rc == -EAGAIN);
		if (rc)
			assert_int_equal(store_read(s, out, len, at), 0);
		assert_memory_equal(out, data + at, len);
	}
	free(data);
	store_close(s);
}

/* As the kernel does: what it gives at once, the store gives at once. */
static void what_is_cached_is_read_at_once(void **state)
{
	struct store *s;
	char buf[4096];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	int rc = -EAGAIN;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	for (int i = 0; i < 1000 && rc; i++) { /* memory may be short, but not for ever */
		assert_int_equal(store_read(s, buf, sizeof(buf), 0), 0);
		if (i == 0 && preadv2(s->fd, &iov, 1, 0, RWF_NOWAIT) != (ssize_t)sizeof(buf)) {
			store_close(s);
			skip(); /* the file system cannot */
		}
		rc = store_read_now(s, buf, sizeof(buf), 0);
	}
	assert_int_equal(rc, 0);
	store_close(s);
}

static void what_is_written_at_once_or_again_is_read(void **state)
{
	struct store *s;
	uint8_t out[5000];
	unsigned seed = 7;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	uint8_t *data = fill(s);
	for (int i = 0; i < 500; i++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(out) + 1;
		uint64_t at = (uint64_t)rand_r(&seed) % (DISK_BYTES - len);
		if (i % 50 == 0)
			make_cold(s);
		for (size_t n = 0; n < len; n++)
			data[at + n] = (uint8_t)rand_r(&seed);
		int rc = store_write_now(s, data + at, len, at);
		assert_true(rc == 0 || rc == -EAGAIN);
		if (rc)
			assert_int_equal(store_write(s, data + at, len, at, false), 0);
	}
	for (uint64_t at = 0; at < DISK_BYTES; at += 4096) {
		assert_int_equal(store_read(s, out, 4096, at), 0);
		assert_memory_equal(out, data + at, 4096);
	}
	free(data);
	store_close(s);
}

static void a_part_at_once_counts_for_nothing(void **state)
{
	struct store *s;
	char buf[1000] = {0};

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_int_equal(store_read(s, buf, 192, 8000), 0);
	assert_int_equal(store_read_now(s, buf, sizeof(buf), 8000), -EAGAIN); /* 192 are left */
	assert_int_equal(store_read_now(s, buf, 1, 8192), -EAGAIN);
	kernel.now_returns = 999;
	assert_int_equal(store_read_now(s, buf, sizeof(buf), 0), -EAGAIN);
	assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), -EAGAIN);
	kernel.now_returns = 1000;
	assert_int_equal(store_read_now(s, buf, sizeof(buf), 0), 0);
	assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), 0);
	store_close(s);
}

/* The call that may wait finds out whether it is true. */
static void an_error_at_once_is_no_answer(void **state)
{
	static const int errors[] = {EAGAIN, EIO, EINTR};
	struct store *s;
	char buf[512] = {0};

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		kernel.now_returns = -errors[i];
		assert_int_equal(store_read_now(s, buf, sizeof(buf), 0), -EAGAIN);
		assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), -EAGAIN);
		assert_int_equal(now_calls, 2 * i + 2); /* it is asked the next time */
		assert_true(store_writes_now(s));
	}
	assert_int_equal(store_flush(s), 0); /* nor is anything lost */
	store_close(s);
}

static void who_cannot_tell_whether_it_waits_is_asked_once(void **state)
{
	struct store *s;
	char buf[512] = {0};

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_true(store_writes_now(s));
	kernel.now_returns = -EOPNOTSUPP;
	assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), -EAGAIN);
	assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), -EAGAIN);
	assert_int_equal(now_calls, 1);
	assert_false(store_writes_now(s));
	assert_int_equal(
		store_read_now(s, buf, sizeof(buf), 0), -EAGAIN); /* may do, and is asked */
	assert_int_equal(store_read_now(s, buf, sizeof(buf), 0), -EAGAIN);
	assert_int_equal(now_calls, 2);
	assert_int_equal(store_write(s, buf, sizeof(buf), 0, false), 0);
	assert_int_equal(store_read(s, buf, sizeof(buf), 0), 0);
	store_close(s);
}

static void a_full_file_system_is_asked_once(void **state)
{
	static const int errors[] = {ENOSPC, EDQUOT};
	char buf[512] = {0};
	struct store *s;

	(void)state;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_int_equal(store_open_file(path, plain_flags, &s), 0);
		kernel.now_returns = -errors[i];
		assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), -EAGAIN);
		assert_int_equal(store_write_now(s, buf, sizeof(buf), 0), -EAGAIN);
		assert_int_equal(now_calls, i + 1);
		assert_int_equal(store_write(s, buf, sizeof(buf), 0, false), 0);
		store_close(s);
	}
}

static void through_the_cache_any_byte_is_aligned(void **state)
{
	struct store *s;

	(void)state;
	assert_int_equal(store_open_file(path, plain_flags, &s), 0);
	assert_int_equal(s->align_bytes, 1);
	assert_false(fcntl(s->fd, F_GETFL) & O_DIRECT);
	store_close(s);
}

static void direct_goes_past_the_cache_and_never_at_once(void **state)
{
	const struct store_flags direct = {.direct = true};
	uint8_t *in = aligned_alloc(4096, 4096), *out = aligned_alloc(4096, 4096);
	struct store *s;

	(void)state;
	int rc = store_open_file(path, direct, &s);
	if (rc == -EOPNOTSUPP) {
		free(in);
		free(out);
		skip(); /* the file system cannot */
	}
	assert_int_equal(rc, 0);
	assert_true(fcntl(s->fd, F_GETFL) & O_DIRECT);
	assert_in_range(s->align_bytes, 1, 4096);
	assert_int_equal(4096 % s->align_bytes, 0);
	memset(in, 'x', 4096);
	for (int durable = 0; durable < 2; durable++) {
		size_t len = 4096 - (size_t)durable * s->align_bytes;
		in[0]++;
		assert_int_equal(store_write(s, in, len, s->align_bytes, durable), 0);
		assert_int_equal(store_read(s, out, len, s->align_bytes), 0);
		assert_memory_equal(in, out, len);
	}
	assert_false(store_writes_now(s));
	assert_int_equal(store_write_now(s, in, 4096, 0), -EAGAIN);
	assert_int_equal(store_read_now(s, out, 4096, 0), -EAGAIN);
	assert_int_equal(now_calls, 0);
	store_close(s);
	free(in);
	free(out);
}

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void direct_is_refused_where_it_is_not_possible(void **state)
{
	const struct store_flags direct = {.direct = true},
				 read_only = {.direct = true, .read_only = true};
	unsigned fds = count_fds();
	struct store *s;

	(void)state;
	kernel.no_direct = true;
	assert_int_equal(store_open_file(path, direct, &s), -EOPNOTSUPP);
	kernel.no_direct = false;
	kernel.no_dioalign = true;
	assert_int_equal(store_open_file(path, direct, &s), -EOPNOTSUPP);
	assert_int_equal(store_open_file("/proc/version", read_only, &s), -EOPNOTSUPP);
	assert_int_equal(count_fds(), fds);
}

static void what_is_refused_leaves_nothing_open(void **state)
{
	unsigned fds = count_fds();
	struct store *a, *b;

	(void)state;
	assert_int_equal(store_open_file("/dev/null", plain_flags, &b), -EINVAL);
	assert_int_equal(store_open_file(path, plain_flags, &a), 0);
	assert_int_equal(store_open_file(path, plain_flags, &b), -EBUSY);
	store_close(a);
	store_close(NULL);
	assert_int_equal(count_fds(), fds);
}

static void a_read_only_store_takes_no_write(void **state)
{
	const struct store_flags read_only = {.read_only = true};
	struct store *s;
	char out;

	(void)state;
	assert_int_equal(store_open_file(path, read_only, &s), 0);
	assert_int_equal(store_write(s, "x", 1, 0, false), -EBADF);
	assert_true(store_write_now(s, "x", 1, 0) < 0);
	assert_int_equal(store_read(s, &out, 1, 0), 0);
	assert_int_equal(out, 0);
	store_close(s);
}

int main(void)
{
#define ON_FILE(f)   cmocka_unit_test_setup_teardown(f, make_file, remove_file)
#define IN_MEMORY(f) cmocka_unit_test_setup_teardown(f, make_file_in_memory, remove_file)
	const struct CMUnitTest tests[] = {
		ON_FILE(what_is_written_is_read),
		ON_FILE(a_read_past_the_end_is_an_error_not_a_short_read),
		ON_FILE(a_second_opener_is_refused_unless_both_share),
		ON_FILE(only_files_and_block_devices_are_stores),
		ON_FILE(after_a_failed_flush_nothing_is_called_durable),
		ON_FILE(a_full_disk_says_so),
		ON_FILE(what_the_kernel_does_in_parts_is_done_whole),
		ON_FILE(after_a_failed_durable_write_nothing_is_called_durable),
		ON_FILE(sync_makes_every_write_durable_and_none_at_once),
		ON_FILE(reads_of_a_disk_file_leave_its_access_time_alone),
		ON_FILE(without_sync_only_what_is_to_be_durable_is),
		IN_MEMORY(memory_answers_at_once),
		IN_MEMORY(a_device_whose_node_is_in_memory_is_not),
		ON_FILE(what_is_read_at_once_is_right),
		ON_FILE(what_is_cached_is_read_at_once),
		ON_FILE(what_is_written_at_once_or_again_is_read),
		IN_MEMORY(what_is_written_at_once_or_again_is_read),
		ON_FILE(a_part_at_once_counts_for_nothing),
		ON_FILE(an_error_at_once_is_no_answer),
		ON_FILE(who_cannot_tell_whether_it_waits_is_asked_once),
		ON_FILE(a_full_file_system_is_asked_once),
		ON_FILE(through_the_cache_any_byte_is_aligned),
		ON_FILE(direct_goes_past_the_cache_and_never_at_once),
		ON_FILE(direct_is_refused_where_it_is_not_possible),
		ON_FILE(what_is_refused_leaves_nothing_open),
		ON_FILE(a_read_only_store_takes_no_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
