/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * faulty.so: preloaded into tgtd, makes its system calls on one file fail as faulty.h's plan says, and
 * logs them (log.h). Without $FAULTY_CONTROL it does nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "faulty.h"
#include "log.h"

static struct faulty *control;
static int log_fd = -1;
static atomic_uint log_calls;

static ssize_t (*real_preadv2)(int, const struct iovec *, int, off_t, int);
static ssize_t (*real_pwritev2)(int, const struct iovec *, int, off_t, int);
static int (*real_fdatasync)(int);
static int (*real_fallocate)(int, int, off_t, off_t);

static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

static __attribute__((constructor)) void start(void)
{
	const char *path = getenv("FAULTY_CONTROL"), *log = getenv("FAULTY_LOG");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	*(void **)&real_preadv2 = real("preadv2");
	*(void **)&real_pwritev2 = real("pwritev2");
	*(void **)&real_fdatasync = real("fdatasync");
	*(void **)&real_fallocate = real("fallocate");
	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (map == MAP_FAILED)
		abort(); /* a test that strikes nothing would be believed */
	control = map;
	if (log)
		log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static bool is_target(int fd)
{
	struct stat st;

	return control && !fstat(fd, &st) && st.st_dev == control->device &&
	       st.st_ino == control->inode;
}

static void sleep_ms(uint32_t ms)
{
	const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL);
}

/* ---- The plan ---------------------------------------------------------------------------------- */

/* What becomes of a call. */
struct verdict {
	int error;     /* it is not made, and returns this; */
	bool no_bytes; /* it is not made, and transfers nothing; */
	uint32_t part; /* it is made for this many 256ths */
};

static const struct verdict unharmed = {0, false, 256};

/* True when this call is one of those that the plan strikes, and *first when it is the first of them. */
static bool is_struck(enum call_kind kind, bool *first)
{
	const struct fault_plan *plan = &control->plan;

	if (!atomic_load(&control->armed) || plan->kind != kind)
		return false;
	uint32_t number = atomic_fetch_add(&control->seen, 1) + 1;
	*first = number == plan->nth;
	return number >= plan->nth && number - plan->nth < plan->burst;
}

static void hang(void)
{
	atomic_fetch_add(&control->hanging, 1);
	while (atomic_load(&control->armed))
		sleep_ms(1);
	atomic_fetch_sub(&control->hanging, 1);
}

static struct verdict error_verdict(int error, bool now, bool sync)
{
	if (!now && error != EINTR) {
		atomic_fetch_add(&control->struck_error, 1);
		if (sync)
			atomic_fetch_add(&control->struck_sync, 1);
	}
	return (struct verdict){error, error == 0, 0};
}

static struct verdict strike(enum call_kind kind, int flags)
{
	const struct fault_plan *plan = &control->plan;
	bool now = flags & RWF_NOWAIT, sync = kind == CALL_FLUSH || flags & RWF_DSYNC;
	bool waits = plan->how == FAULT_SLOW || plan->how == FAULT_HANG, first;

	atomic_fetch_add(&control->calls[kind], 1);
	if (sync)
		atomic_fetch_add(&control->syncs, 1);
	if (now && kind == CALL_READ &&
		(atomic_load(&control->cold) || (waits && plan->kind == kind)))
		return (struct verdict){
			EAGAIN, false, 0}; /* what the kernel says of data to wait for */
	if (!is_struck(kind, &first))
		return unharmed;
	atomic_fetch_add(&control->struck, 1);
	if (now)
		atomic_fetch_add(&control->struck_now, 1);
	if (!first && plan->then_error)
		return error_verdict(plan->then_error, now, sync);
	switch (plan->how) {
	case FAULT_ERROR:
		return error_verdict(plan->error, now, sync);
	case FAULT_NONE:
		return error_verdict(0, now, sync);
	case FAULT_SHORT:
		return (struct verdict){0, false, plan->part};
	case FAULT_SLOW:
		sleep_ms(plan->ms);
		break;
	case FAULT_HANG:
		hang();
	}
	return unharmed;
}

static struct iovec shorten(const struct iovec *iov, uint32_t part)
{
	size_t unit = part == 256 ? 1 : control->plan.unit;
	size_t len = iov->iov_len * part / 256 / unit * unit;

	if (!len)
		len = iov->iov_len < unit ? iov->iov_len : unit;
	return (struct iovec){iov->iov_base, len};
}

/* ---- The log ----------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The order of records is that of their times. */
static void log_record(struct log_record record, const void *data)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct iovec parts[2] = {
		{&record, sizeof(record)}, {(void *)(uintptr_t)data, data ? record.len_bytes : 0}};
	ssize_t want = (ssize_t)(parts[0].iov_len + parts[1].iov_len);

	if (log_fd < 0 || !atomic_load(&control->logging))
		return;
	pthread_mutex_lock(&lock);
	record.time_ns = now_ns();
	if (writev(log_fd, parts, 2) != want)
		abort(); /* a log with a gap would let a lost write pass */
	pthread_mutex_unlock(&lock);
}

static int32_t result_of(ssize_t rc)
{
	return rc < 0 ? -errno : (int32_t)rc;
}

/* ---- The calls --------------------------------------------------------------------------------- */

static ssize_t read_target(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct verdict v = count == 1 ? strike(CALL_READ, flags) : unharmed;

	if (v.error || v.no_bytes) {
		errno = v.error;
		return v.error ? -1 : 0;
	}
	struct iovec part = shorten(iov, v.part);
	return real_preadv2(fd, v.part == 256 ? iov : &part, count, offset, flags);
}

static ssize_t write_target(int fd, const struct iovec *iov, off_t offset, int flags)
{
	struct verdict v = strike(CALL_WRITE, flags);

	if (v.error || v.no_bytes) {
		errno = v.error;
		return v.error ? -1 : 0;
	}
	struct iovec part = shorten(iov, v.part);
	struct log_record record = {.what = LOG_WRITE_BEGINS,
		.call = atomic_fetch_add(&log_calls, 1),
		.offset_bytes = (uint64_t)offset,
		.len_bytes = (uint32_t)part.iov_len,
		.result = flags};
	log_record(record, part.iov_base);
	if (atomic_load(&control->takes_now))
		flags &= ~RWF_NOWAIT;
	ssize_t rc = real_pwritev2(fd, &part, 1, offset, flags);
	int error = errno;
	record.what = LOG_WRITE_ENDED;
	record.result = result_of(rc);
	log_record(record, NULL);
	errno = error;
	return rc;
}

static int flush_target(int fd)
{
	struct verdict v = strike(CALL_FLUSH, 0);
	struct log_record record = {
		.what = LOG_FLUSH_BEGINS, .call = atomic_fetch_add(&log_calls, 1)};

	if (v.error) {
		errno = v.error;
		return -1;
	}
	log_record(record, NULL);
	int rc = real_fdatasync(fd);
	int error = errno;
	record.what = LOG_FLUSH_ENDED;
	record.result = result_of(rc);
	log_record(record, NULL);
	errno = error;
	return rc;
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return is_target(fd) ? read_target(fd, iov, count, offset, flags)
			     : real_preadv2(fd, iov, count, offset, flags);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	struct iovec iov = {buf, len};

	return preadv2(fd, &iov, 1, offset, 0);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	if (!is_target(fd))
		return real_pwritev2(fd, iov, count, offset, flags);
	if (count != 1)
		abort(); /* the plan and the log know one buffer only */
	return write_target(fd, iov, offset, flags);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};

	return pwritev2(fd, &iov, 1, offset, 0);
}

int fdatasync(int fd)
{
	return is_target(fd) ? flush_target(fd) : real_fdatasync(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct verdict v = is_target(fd) ? strike(CALL_PUNCH, 0) : unharmed;

	errno = v.error;
	return v.error ? -1 : real_fallocate(fd, mode, offset, len);
}
