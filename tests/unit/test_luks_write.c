/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A new header on its way to the medium: one whole copy is there at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bs_crypt/luks.h"

enum { HEADER_BYTES = 3 * 1024 * 1024, COPY = 16 * 1024, CALLS_MAX = 32 };

/* What the store was asked for; a flush has no length. */
static struct {
	uint64_t offset, len;
} calls[CALLS_MAX];
static size_t call_count, fail_at;
static uint8_t medium[HEADER_BYTES];

static int note(uint64_t offset, uint64_t len)
{
	assert_true(call_count < CALLS_MAX);
	calls[call_count].offset = offset;
	calls[call_count].len = len;
	return ++call_count == fail_at ? -EIO : 0;
}

static int take(struct store *s, const void *buf, size_t len, uint64_t offset, bool durable)
{
	(void)s;
	assert_false(durable);
	assert_int_equal((uintptr_t)buf % 4096, 0); /* O_DIRECT */
	assert_int_equal(len % 4096, 0);
	assert_true(offset + len <= sizeof(medium));
	memcpy(medium + offset, buf, len);
	return note(offset, len);
}

static int flush(struct store *s)
{
	(void)s;
	return note(0, 0);
}

static const struct store_ops ops = {.write = take, .flush = flush};
static struct store store = {.ops = &ops};
static int fd;

static int make_header(void **state)
{
	static uint8_t bytes[HEADER_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i / 512 + i);
	memset(medium, 0xee, sizeof(medium));
	call_count = fail_at = 0;
	fd = memfd_create("header", MFD_CLOEXEC);
	return fd < 0 || write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes);
}

static int drop_header(void **state)
{
	(void)state;
	return close(fd);
}

static void second_copy_first_copy_then_the_rest_each_flushed(void **state)
{
	static uint8_t bytes[HEADER_BYTES];
	uint64_t at = 2 * COPY;

	(void)state;
	assert_int_equal(luks_write(&store, fd, HEADER_BYTES), 0);
	assert_int_equal(calls[0].offset, COPY);
	assert_int_equal(calls[0].len, COPY);
	assert_int_equal(calls[1].len, 0);
	assert_int_equal(calls[2].offset, 0);
	assert_int_equal(calls[2].len, COPY);
	assert_int_equal(calls[3].len, 0);
	for (size_t i = 4; i + 1 < call_count; i++) {
		assert_int_equal(calls[i].offset, at);
		at += calls[i].len;
	}
	assert_int_equal(at, HEADER_BYTES);
	assert_int_equal(calls[call_count - 1].len, 0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_memory_equal(medium, bytes, sizeof(bytes));
}

static void nothing_is_written_after_an_error(void **state)
{
	(void)state;
	for (fail_at = 1; fail_at <= 5; fail_at++) {
		call_count = 0;
		assert_int_equal(luks_write(&store, fd, HEADER_BYTES), -EIO);
		assert_int_equal(call_count, fail_at);
	}
}

static void a_header_that_is_too_short_is_refused(void **state)
{
	(void)state;
	assert_int_equal(luks_write(&store, fd, COPY), -EINVAL);
	assert_int_equal(luks_write(&store, fd, HEADER_BYTES + 4096), -ENODATA);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_header, drop_header)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(second_copy_first_copy_then_the_rest_each_flushed),
		TEST(nothing_is_written_after_an_error),
		TEST(a_header_that_is_too_short_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
