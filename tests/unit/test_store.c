/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/store.h on real files: full transfers or an error, one opener, a lost flush is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_kernel.h"

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
		ON_FILE(through_the_cache_any_byte_is_aligned),
		ON_FILE(direct_goes_past_the_cache_and_never_at_once),
		ON_FILE(direct_is_refused_where_it_is_not_possible),
		ON_FILE(what_is_refused_leaves_nothing_open),
		ON_FILE(a_read_only_store_takes_no_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
