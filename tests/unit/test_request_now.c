/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/request.h, what the main thread does at once: which requests, what they do, and that the
 * workers do the rest, whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_volume.h"

/* True when it was done; done is not called then, and nothing posted. */
static bool now(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data)
{
	dones = posts = 0;
	set_request(op, offset, len, data);
	bool over = request_now(&req);
	assert_int_equal(dones + posts, 0);
	return over;
}

static void a_small_read_or_write_is_done_at_once(void **state)
{
	static const size_t sizes[] = {SECTOR, 4096, 256 * KIB - SECTOR, 256 * KIB};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len = sizes[i];
		uint64_t offset = 70 * KIB * i + SECTOR;
		uint8_t *data = pattern(len, i), *sent = malloc(len), *back = calloc(1, len);
		memcpy(sent, data, len);
		assert_true(now(REQUEST_WRITE, offset, len, sent));
		assert_int_equal(req.outcome, OUTCOME_GOOD);
		assert_plain(data, offset, len);
		assert_true(now(REQUEST_READ, offset, len, back));
		assert_int_equal(req.outcome, OUTCOME_GOOD);
		assert_memory_equal(data, back, len);
		free(data);
		free(sent);
		free(back);
	}
	assert_int_equal(vol.reads + vol.writes, 0); /* nothing that may wait */
	assert_int_equal(vol.encrypted_sectors, 1 + 8 + 511 + 512);
}

static void a_busy_main_thread_leaves_more_to_the_workers(void **state)
{
	uint8_t *data = pattern(256 * KIB, 1);

	(void)state;
	main_thread_is_busy = true;
	assert_true(now(REQUEST_WRITE, 0, 64 * KIB, data));
	assert_false(now(REQUEST_WRITE, 0, 64 * KIB + SECTOR, data));
	assert_true(now(REQUEST_READ, 0, 32 * KIB, data));
	assert_false(now(REQUEST_READ, 0, 32 * KIB + SECTOR, data));
	main_thread_is_busy = false;
	assert_true(now(REQUEST_READ, 0, 256 * KIB, data));
	free(data);
}

static void with_few_workers_more_stays_with_the_main_thread(void **state)
{
	uint8_t *data = pattern(512 * KIB + SECTOR, 1);

	(void)state;
	pool_put();
	assert_int_equal(pool_get(2), 0);
	for (int busy = 0; busy < 2; busy++) {
		main_thread_is_busy = busy;
		assert_true(now(REQUEST_WRITE, 0, 512 * KIB, data));
		assert_false(now(REQUEST_WRITE, 0, 512 * KIB + SECTOR, data));
		assert_int_equal(now(REQUEST_READ, 0, 32 * KIB + SECTOR, data), !busy);
	}
	clients_are_many = true;
	assert_true(now(REQUEST_READ, 0, 256 * KIB, data));
	clients_are_many = false;
	assert_false(now(REQUEST_READ, 0, 256 * KIB, data));
	pool_put();
	assert_int_equal(pool_get(1), 0);
	assert_true(now(REQUEST_WRITE, 0, 512 * KIB, data));
	assert_true(now(REQUEST_READ, 0, 256 * KIB, data));
	vol.encrypts_slowly = true; /* then a second CPU is worth more than it costs */
	assert_false(now(REQUEST_WRITE, 0, 64 * KIB + SECTOR, data));
	assert_false(now(REQUEST_READ, 0, 256 * KIB, data));
	main_thread_is_busy = false;
	assert_false(now(REQUEST_WRITE, 0, 512 * KIB, data));
	assert_true(now(REQUEST_WRITE, 0, 256 * KIB, data));
	free(data);
}

static void assert_left(enum request_op op, uint64_t len, bool durable)
{
	static uint8_t data[128 * KIB], before[128 * KIB];

	memset(data, 0x77, sizeof(data));
	memset(before, 0x77, sizeof(before));
	req.durable = durable;
	assert_false(now(op, 0, len, data));
	assert_memory_equal(data, before, sizeof(data));
	assert_int_equal(vol.reads + vol.reads_now + vol.writes + vol.writes_now + vol.flushes, 0);
	assert_int_equal(vol.encrypted_sectors, 0);
	assert_false(req.encrypted);
}

static void all_but_small_reads_and_writes_is_left_to_the_workers(void **state)
{
	(void)state;
	for (enum request_op op = REQUEST_READ; op <= REQUEST_PREFETCH; op++) {
		assert_left(op, SECTOR, true);
		assert_left(op, 0, false);
		assert_left(op, SECTOR - 1, false);
		assert_left(op, SECTOR + 1, false);
		assert_left(op, 256 * KIB + SECTOR, false);
		if (op != REQUEST_READ && op != REQUEST_WRITE)
			assert_left(op, SECTOR, false);
	}
}

static void a_read_that_would_wait_is_left_to_the_workers(void **state)
{
	uint8_t *data = pattern(8192, 20), sent[8192], back[8192];

	(void)state;
	memcpy(sent, data, sizeof(sent));
	assert_true(now(REQUEST_WRITE, 0, 8192, sent));
	vol.read_now_ends_at = 8191;
	assert_false(now(REQUEST_READ, 0, 8192, back));
	assert_int_equal(vol.reads, 0);
	assert_int_equal(start_and_wait(), OUTCOME_GOOD);
	assert_memory_equal(back, data, 8192);
	assert_int_equal(vol.reads, 1);
	free(data);
}

static void a_write_is_not_begun_where_it_always_waits(void **state)
{
	(void)state;
	vol.never_writes_now = true;
	assert_left(REQUEST_WRITE, SECTOR, false);
	assert_left(REQUEST_WRITE, 256 * KIB, false);
}

/* Whatever the store took at once: it may be all, some, or none. */
static void a_write_begun_at_once_is_ended_by_a_worker_and_encrypted_once(void **state)
{
	static const size_t taken[] = {0, 1, SECTOR, 5000, 256 * KIB};
	const size_t len = 256 * KIB;

	(void)state;
	for (unsigned i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		uint64_t offset = i * 128 * KIB;
		uint8_t *data = pattern(len, 30 + i), *sent = malloc(len);
		vol.encrypted_sectors = vol.writes = vol.writes_now = 0;
		vol.write_now_ends_at = offset + len - 1;
		vol.takes_at_once = taken[i];
		memcpy(sent, data, len);
		assert_false(now(REQUEST_WRITE, offset, len, sent));
		assert_int_equal(start_and_wait(), OUTCOME_GOOD);
		assert_plain(data, offset, len);
		assert_int_equal(vol.encrypted_sectors, len / SECTOR);
		assert_int_equal(vol.writes_now, 1);
		assert_int_equal(vol.writes, 1);
		assert_int_equal(vol.durable_writes, 0);
		free(data);
		free(sent);
	}
}

static void a_write_begun_at_once_can_still_fail(void **state)
{
	uint8_t data[SECTOR] = {0};

	(void)state;
	vol.write_now_ends_at = 0;
	vol.write = -ENOSPC;
	assert_false(now(REQUEST_WRITE, 0, SECTOR, data));
	assert_int_equal(start_and_wait(), OUTCOME_NO_SPACE);
	vol.write = -EIO;
	assert_false(now(REQUEST_WRITE, 0, SECTOR, data));
	assert_int_equal(start_and_wait(), OUTCOME_WRITE_ERROR);
	vol.writes = 0;
	assert_false(now(REQUEST_WRITE, 0, SECTOR, data));
	vol.status = -EAGAIN; /* suspended meanwhile */
	assert_int_equal(start_and_wait(), OUTCOME_NOT_READY);
	assert_int_equal(vol.writes, 0);
}

/* A failure is an end, too: no worker tries again. */
static void each_failure_at_once_has_its_outcome(void **state)
{
	static const struct {
		int read, decrypt, encrypt, write;
		enum outcome outcome;
	} cases[] = {
		{-EIO, 0, 0, 0, OUTCOME_READ_ERROR},
		{-ENODATA, 0, 0, 0, OUTCOME_READ_ERROR},
		{0, -EAGAIN, 0, 0, OUTCOME_NOT_READY},
		{0, -EACCES, 0, 0, OUTCOME_NO_ACCESS},
		{0, -EIO, 0, 0, OUTCOME_INTERNAL},
		{0, 0, -EAGAIN, 0, OUTCOME_NOT_READY},
		{0, 0, -EACCES, 0, OUTCOME_NO_ACCESS},
		{0, 0, -EIO, 0, OUTCOME_INTERNAL},
		{0, 0, 0, -EIO, OUTCOME_WRITE_ERROR},
		{0, 0, 0, -ENOSPC, OUTCOME_NO_SPACE},
		{0, 0, 0, -EDQUOT, OUTCOME_NO_SPACE},
	};
	uint8_t data[4096] = {0};

	(void)state;
	vol.fail_at = 4095;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool reads = cases[i].read || cases[i].decrypt;
		vol.read = cases[i].read;
		vol.decrypt = cases[i].decrypt;
		vol.encrypt = cases[i].encrypt;
		vol.write = cases[i].write;
		vol.writes_now = 0;
		assert_true(now(reads ? REQUEST_READ : REQUEST_WRITE, 0, 4096, data));
		assert_int_equal(req.outcome, cases[i].outcome);
		assert_false(req.encrypted);
		assert_int_equal(vol.writes_now, cases[i].write != 0);
		assert_int_equal(vol.reads + vol.writes, 0);
	}
}

static void assert_all_durable(enum request_op op, uint64_t len)
{
	uint8_t *data = calloc(2, len);

	vol.writes = vol.durable_writes = 0;
	req.durable = true;
	assert_false(now(op, 0, len, data));
	assert_int_equal(start_and_wait(), OUTCOME_GOOD);
	assert_true(vol.writes > 0);
	assert_int_equal(vol.durable_writes, vol.writes);
	assert_int_equal(vol.writes_now, 0);
	free(data);
}

static void durable_writes_are_never_left_in_the_cache(void **state)
{
	static const enum request_op ops[] = {REQUEST_WRITE, REQUEST_WRITE_VERIFY, REQUEST_OR_WRITE,
		REQUEST_WRITE_SAME, REQUEST_COMPARE_WRITE};

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		assert_all_durable(ops[i], SECTOR);
		assert_all_durable(ops[i], 300 * SECTOR);
		assert_all_durable(ops[i], 700 * KIB);
		if (ops[i] == REQUEST_WRITE || ops[i] == REQUEST_OR_WRITE)
			assert_all_durable(ops[i], SECTOR + 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(a_small_read_or_write_is_done_at_once),
		FRESH(a_busy_main_thread_leaves_more_to_the_workers),
		FRESH(with_few_workers_more_stays_with_the_main_thread),
		FRESH(all_but_small_reads_and_writes_is_left_to_the_workers),
		FRESH(a_read_that_would_wait_is_left_to_the_workers),
		FRESH(a_write_is_not_begun_where_it_always_waits),
		FRESH(a_write_begun_at_once_is_ended_by_a_worker_and_encrypted_once),
		FRESH(a_write_begun_at_once_can_still_fail),
		FRESH(each_failure_at_once_has_its_outcome),
		FRESH(durable_writes_are_never_left_in_the_cache),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
