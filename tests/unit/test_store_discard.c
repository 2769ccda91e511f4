/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/store.h: space is given back as zeros or not at all, and holes are told from data. */
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

#include "fake_kernel.h"

static const struct store_flags thin = {.discard = true};

static struct store *opened(struct store_flags flags)
{
	struct store *s;
	char data[8192];

	assert_int_equal(store_open_file(path, flags, &s), 0);
	memset(data, 'x', sizeof(data));
	if (!flags.read_only)
		assert_int_equal(store_write(s, data, sizeof(data), 0, false), 0);
	return s;
}

/* Of the 8 KiB from the store's start, the zeros; everything else is as it was written. */
static void assert_zeros(struct store *s, size_t first, size_t len)
{
	char data[8192];

	assert_int_equal(store_read(s, data, sizeof(data), 0), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		assert_int_equal(data[i], i >= first && i < first + len ? 0 : 'x');
}

static void what_is_discarded_reads_as_zeros(void **state)
{
	struct store *s = opened(thin);

	(void)state;
	assert_true(store_discards(s));
	assert_int_equal(store_discard(s, 4096, 4096), 0);
	assert_zeros(s, 4096, 4096);
	store_close(s);
	s = opened(thin);
	assert_int_equal(store_discard(s, 4608, 512), 0);
	assert_zeros(s, 512, 4608);
	assert_int_equal(store_discard(s, 0, 512), 0);
	store_close(s);
}

static void a_file_keeps_its_length_and_gives_blocks_back(void **state)
{
	struct store *s = opened(thin);
	struct stat before, after;

	(void)state;
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(fstat(s->fd, &before), 0);
	assert_int_equal(store_discard(s, 4096, 4096), 0);
	assert_int_equal(fstat(s->fd, &after), 0);
	assert_int_equal(after.st_size, 8192);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(s->discard_bytes, after.st_blksize);
	store_close(s);
}

static void errors_are_told_and_interruptions_are_not(void **state)
{
	struct store *s = opened(thin);

	(void)state;
	kernel.interrupted = true;
	assert_int_equal(store_discard(s, 4096, 4096), 0);
	assert_zeros(s, 4096, 4096);
	kernel.punch_fails = ENOSPC;
	assert_int_equal(store_discard(s, 4096, 0), -ENOSPC);
	assert_zeros(s, 4096, 4096);
	kernel.punch_fails = EIO;
	assert_int_equal(store_discard(s, 4096, 0), -EIO);
	store_close(s);
}

static void a_file_system_without_holes_is_known_from_the_start(void **state)
{
	struct store *s;

	(void)state;
	kernel.punch_fails = EOPNOTSUPP;
	s = opened(thin);
	assert_false(store_discards(s));
	store_close(s);
	kernel.punch_fails = 0;
	s = opened(plain_flags);
	assert_false(store_discards(s)); /* it was not asked for, and the file not touched */
	store_close(s);
	s = opened((struct store_flags){.discard = true, .read_only = true});
	assert_false(store_discards(s));
	store_close(s);
}

/* The file stands for a device of 4 KiB blocks: holes are made of these alone. */
static void on_a_device_what_fills_no_block_is_overwritten(void **state)
{
	kernel.block_device = true;
	struct store *s = opened(thin);

	(void)state;
	assert_int_equal(store_discard(s, 8192 - 1024, 512), 0);
	assert_zeros(s, 512, 8192 - 1024);
	store_close(s);
	s = opened(thin);
	punched_bytes = 0;
	assert_int_equal(store_discard(s, 1024, 3584), 0); /* around the border of two */
	assert_zeros(s, 3584, 1024);
	assert_int_equal(punched_bytes, 0);
	assert_int_equal(store_discard(s, 4608, 3584), 0);
	assert_int_equal(punched_first, 4096);
	assert_int_equal(punched_bytes, 4096);
	assert_zeros(s, 3584, 4608);
	store_close(s);
}

/* A FIFO's fdatasync(2) fails: with sync the hole has to be on the medium, too. */
static void sync_makes_a_hole_durable(void **state)
{
	struct store *s = opened((struct store_flags){.discard = true, .sync = true});
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	int good_fd = dup(s->fd);
	assert_true(dup2(pipe_fds[1], s->fd) >= 0);
	assert_int_equal(store_discard(s, 0, 0), -EIO);
	assert_true(dup2(good_fd, s->fd) >= 0);
	store_close(s);
	close(good_fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void holes_are_told_from_data(void **state)
{
	struct store *s;
	uint64_t end;
	bool hole;
	char data[4096] = "x";

	(void)state;
	assert_int_equal(truncate(path, 1 << 20), 0); /* a hole, but for what comes */
	assert_int_equal(store_open_file(path, thin, &s), 0);
	assert_int_equal(store_write(s, data, sizeof(data), 1 << 19, true), 0);
	assert_int_equal(store_map(s, 0, &end, &hole), 0);
	assert_true(hole);
	assert_int_equal(end, 1 << 19);
	assert_int_equal(store_map(s, (1 << 19) + 512, &end, &hole), 0);
	assert_false(hole);
	assert_true(end > (1 << 19) + 512 && end < 1 << 20);
	assert_int_equal(store_map(s, end, &end, &hole), 0);
	assert_true(hole && end >= 1 << 20); /* to the end, and behind it */
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_FILE(what_is_discarded_reads_as_zeros),
		ON_FILE(a_file_keeps_its_length_and_gives_blocks_back),
		ON_FILE(errors_are_told_and_interruptions_are_not),
		ON_FILE(a_file_system_without_holes_is_known_from_the_start),
		ON_FILE(on_a_device_what_fills_no_block_is_overwritten),
		ON_FILE(sync_makes_a_hole_durable),
		ON_FILE(holes_are_told_from_data),
		IN_MEMORY(what_is_discarded_reads_as_zeros),
		IN_MEMORY(holes_are_told_from_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
