/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fake_kernel.h"

struct kernel kernel;
unsigned now_calls, dsync_calls, other_calls;
uint64_t punched_first, punched_bytes;
char path[64];
const struct store_flags plain_flags;

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
	va_start(args, op);
	if (op == BLKSSZGET)
		*va_arg(args, int *) = 4096;
	else
		*va_arg(args, uint64_t *) = 4096;
	va_end(args);
	assert_true(op == BLKSSZGET || op == BLKGETSIZE64);
	return 0;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	int (*real)(int, int, off_t, off_t);

	*(void **)&real = dlsym(RTLD_NEXT, "fallocate");
	punched_first = (uint64_t)offset;
	punched_bytes = (uint64_t)len;
	assert_int_equal(mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	if (kernel.punch_fails)
		errno = kernel.punch_fails;
	return kernel.punch_fails || interrupt() ? -1 : real(fd, mode, offset, len);
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

int make_file(void **state)
{
	(void)state;
	return make_file_in("/tmp");
}

int make_file_in_memory(void **state)
{
	(void)state;
	return make_file_in("/dev/shm");
}

int remove_file(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	return unlink(path);
}
