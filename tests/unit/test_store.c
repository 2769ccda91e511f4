/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/store.h on real files: full transfers or an error, one opener, a lost flush is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store.h"

static char path[] = "/tmp/test_store.XXXXXX";
static const struct store_flags plain_flags;

static int make_file(void **state)
{
	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	int fd = mkstemp(path);
	int rc = fd < 0 || ftruncate(fd, 8192) ? -1 : 0;
	(void)close(fd);
	return rc;
}

static int remove_file(void **state)
{
	(void)state;
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

int main(void)
{
#define ON_FILE(f) cmocka_unit_test_setup_teardown(f, make_file, remove_file)
	const struct CMUnitTest tests[] = {
		ON_FILE(what_is_written_is_read),
		ON_FILE(a_read_past_the_end_is_an_error_not_a_short_read),
		ON_FILE(a_second_opener_is_refused_unless_both_share),
		ON_FILE(only_files_and_block_devices_are_stores),
		ON_FILE(after_a_failed_flush_nothing_is_called_durable),
		ON_FILE(a_full_disk_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
