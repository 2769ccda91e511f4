/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/store.h on real files: what needs no waiting is done at once, and what is said to be done
 * at once is done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "fake_kernel.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
