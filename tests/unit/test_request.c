/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/request.h over a volume in memory, by the pool's workers: what each operation does, and what it
 * says when a step fails.
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

static void assert_written_and_read(uint64_t offset, size_t len, unsigned seed)
{
	uint8_t *data = pattern(len, seed), *sent = malloc(len), *back = calloc(1, len);

	memcpy(sent, data, len);
	vol.encrypted_sectors = 0;
	assert_int_equal(run(REQUEST_WRITE, offset, len, sent), OUTCOME_GOOD);
	assert_int_equal(vol.encrypted_sectors, len / SECTOR); /* each once */
	assert_plain(data, offset, len);
	assert_int_equal(run(REQUEST_READ, offset, len, back), OUTCOME_GOOD);
	assert_memory_equal(data, back, len);
	free(data);
	free(sent);
	free(back);
}

static void what_is_written_is_read_at_every_size(void **state)
{
	static const size_t sizes[] = {512, 1024, 65536, 65536 + 512, 131072 - 512, 131072, 131584,
		196608, 262144, 1 << 20, (1 << 20) + 512};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_written_and_read(4096 + 512 * i, sizes[i], i);
}

static void a_part_of_a_sector_is_merged_and_read(void **state)
{
	uint8_t *old = pattern(2048, 1), *data = pattern(1100, 2);
	uint8_t sent[2048], back[1100 + 16];

	(void)state;
	memcpy(sent, old, sizeof(sent));
	assert_int_equal(run(REQUEST_WRITE, 0, 2048, sent), OUTCOME_GOOD);
	memcpy(sent, data, 1100);
	assert_int_equal(run(REQUEST_WRITE, 0, 1100, sent), OUTCOME_GOOD);
	assert_plain(data, 0, 1100);
	assert_plain(old + 1100, 1100, 2048 - 1100);
	memset(back, 0xee, sizeof(back));
	assert_int_equal(run(REQUEST_READ, 0, 1100, back), OUTCOME_GOOD);
	assert_memory_equal(back, data, 1100);
	assert_int_equal(back[1100], 0xee);
	memcpy(sent, old, 100);
	assert_int_equal(run(REQUEST_WRITE, 512, 100, sent), OUTCOME_GOOD); /* no whole one */
	assert_plain(old, 512, 100);
	assert_plain(data + 612, 612, 1100 - 612);
	assert_int_equal(run(REQUEST_READ, 512, 100, back), OUTCOME_GOOD);
	assert_memory_equal(back, old, 100);
	assert_memory_equal(back + 100, data + 100, 1000);
	free(old);
	free(data);
}

static void verify_tells_the_first_difference(void **state)
{
	const size_t len = 700000;
	uint8_t *data = pattern(len, 3), *sent = malloc(len);

	(void)state;
	memcpy(sent, data, len);
	assert_int_equal(run(REQUEST_WRITE, 0, len, sent), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_VERIFY, 0, len, data), OUTCOME_GOOD);
	data[600001] ^= 1;
	data[300002] ^= 1;
	assert_int_equal(run(REQUEST_VERIFY, 0, len, data), OUTCOME_MISCOMPARE);
	assert_true(req.miscompare_byte == 300002 || req.miscompare_byte == 600001);
	data[600001] ^= 1;
	assert_int_equal(run(REQUEST_VERIFY, 0, len, data), OUTCOME_MISCOMPARE);
	assert_int_equal(req.miscompare_byte, 300002);
	assert_int_equal(run(REQUEST_VERIFY, 0, MEDIUM_BYTES, NULL), OUTCOME_GOOD);
	vol.read = -EIO;
	vol.fail_at = MEDIUM_BYTES - 1; /* beyond the first slices */
	assert_int_equal(run(REQUEST_VERIFY, 0, MEDIUM_BYTES, NULL), OUTCOME_READ_ERROR);
	free(data);
	free(sent);
}

static void write_and_verify_notices_a_lost_write(void **state)
{
	const size_t len = 1 << 20;
	uint8_t *data = pattern(len, 4);

	(void)state;
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, len, data), OUTCOME_GOOD);
	vol.lose_writes = true;
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(data[i] + 1);
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, len, data), OUTCOME_MISCOMPARE);
	free(data);
}

static void compare_and_write_writes_only_what_compared(void **state)
{
	uint8_t *old = pattern(1024, 5), *data = malloc(2048), sent[1024];

	(void)state;
	memcpy(sent, old, 1024);
	assert_int_equal(run(REQUEST_WRITE, 512, 1024, sent), OUTCOME_GOOD);
	memcpy(data, old, 1024);
	memset(data + 1024, 0x77, 1024);
	data[1000] ^= 1;
	assert_int_equal(run(REQUEST_COMPARE_WRITE, 512, 1024, data), OUTCOME_MISCOMPARE);
	assert_int_equal(req.miscompare_byte, 1000);
	assert_plain(old, 512, 1024);
	data[1000] ^= 1;
	assert_int_equal(run(REQUEST_COMPARE_WRITE, 512, 1024, data), OUTCOME_GOOD);
	memset(data, 0x77, 1024);
	assert_plain(data, 512, 1024);
	free(old);
	free(data);
}

static void or_write_sets_bits(void **state)
{
	const size_t len = 400000 / 512 * 512;
	uint8_t *a = pattern(len, 6), *b = pattern(len, 7), *sent = malloc(len);

	(void)state;
	memcpy(sent, a, len);
	assert_int_equal(run(REQUEST_WRITE, 0, len, sent), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_OR_WRITE, 0, len, b), OUTCOME_GOOD);
	for (size_t i = 0; i < len; i++)
		a[i] |= b[i];
	assert_plain(a, 0, len);
	free(a);
	free(b);
	free(sent);
}

static void write_same_fills_far_more_than_a_slice(void **state)
{
	uint8_t *one = pattern(SECTOR, 8), *edge = pattern(SECTOR, 9);
	uint8_t sent[SECTOR];
	const uint64_t end = MEDIUM_BYTES - SECTOR;

	(void)state;
	memcpy(sent, edge, SECTOR);
	assert_int_equal(run(REQUEST_WRITE, end, SECTOR, sent), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_WRITE_SAME, SECTOR, end - SECTOR, one), OUTCOME_GOOD);
	for (uint64_t at = SECTOR; at < end; at += SECTOR)
		assert_plain(one, at, SECTOR);
	assert_plain(edge, end, SECTOR);
	assert_int_equal(vol.medium[0], KEY);
	assert_int_equal(run(REQUEST_WRITE_SAME, 0, MEDIUM_BYTES, NULL), OUTCOME_GOOD);
	for (size_t i = 0; i < MEDIUM_BYTES; i++)
		assert_int_equal(vol.medium[i], KEY);
	free(one);
	free(edge);
}

static void write_same_stamps_the_address(void **state)
{
	uint8_t one[SECTOR] = {0};

	(void)state;
	req.stamp = STAMP_LBA32;
	assert_int_equal(run(REQUEST_WRITE_SAME, 258 * SECTOR, 2 * SECTOR, one), OUTCOME_GOOD);
	assert_plain((const uint8_t[]){0, 0, 1, 2, 0}, 258 * SECTOR, 5);
	assert_plain((const uint8_t[]){0, 0, 1, 3, 0}, 259 * SECTOR, 5);
	req.stamp = STAMP_LBA64;
	assert_int_equal(run(REQUEST_WRITE_SAME, 258 * SECTOR, SECTOR, one), OUTCOME_GOOD);
	assert_plain((const uint8_t[]){0, 0, 0, 0, 0, 0, 1, 2, 0}, 258 * SECTOR, 9);
}

static void durable_reaches_every_piece(void **state)
{
	uint8_t *data = pattern(2 << 20, 10);

	(void)state;
	req.durable = true;
	assert_int_equal(run(REQUEST_WRITE, 0, 2 << 20, data), OUTCOME_GOOD);
	assert_int_equal(vol.writes, WORKERS);
	assert_int_equal(vol.durable_writes, WORKERS);
	assert_int_equal(run(REQUEST_READ, 0, 2 << 20, data), OUTCOME_GOOD);
	assert_int_equal(vol.flushes, 1); /* FUA read: the cache first */
	free(data);
}

static void each_failure_has_its_outcome(void **state)
{
	uint8_t *data = pattern(1 << 20, 11);

	(void)state;
	vol.fail_at = 700000;
	vol.read = -EIO;
	assert_int_equal(run(REQUEST_READ, 0, 1 << 20, data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_VERIFY, 699904, 512, data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_OR_WRITE, 0, 1 << 20, data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_READ, 0, 700000 / 512 * 512, data), OUTCOME_GOOD);
	vol.read = -ENODATA;
	assert_int_equal(run(REQUEST_READ, 0, 1 << 20, data), OUTCOME_READ_ERROR);
	vol.read = 0;
	vol.write = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, 1 << 20, data), OUTCOME_WRITE_ERROR);
	vol.write = -ENOSPC;
	assert_int_equal(run(REQUEST_WRITE, 0, 1 << 20, data), OUTCOME_NO_SPACE);
	assert_int_equal(run(REQUEST_WRITE_SAME, 0, 8 << 20, data), OUTCOME_NO_SPACE);
	vol.fail_at = 0; /* in the first of several steps */
	assert_int_equal(run(REQUEST_OR_WRITE, 0, 1 << 20, data), OUTCOME_NO_SPACE);
	vol.fail_at = 700000;
	vol.write = 0;
	vol.flush = -EIO;
	assert_int_equal(run(REQUEST_FLUSH, 0, 0, NULL), OUTCOME_WRITE_ERROR);
	vol.flush = 0;
	assert_int_equal(run(REQUEST_FLUSH, 0, 0, NULL), OUTCOME_GOOD);
	vol.encrypt = -EACCES; /* destroyed between two pieces */
	assert_int_equal(run(REQUEST_WRITE, 0, 1 << 20, data), OUTCOME_NO_ACCESS);
	vol.encrypt = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, 512, data), OUTCOME_INTERNAL);
	vol.decrypt = -EAGAIN;
	assert_int_equal(run(REQUEST_READ, 0, 512, data), OUTCOME_NOT_READY);
	free(data);
}

static void a_volume_without_key_does_no_work(void **state)
{
	uint8_t data[512] = {0};

	(void)state;
	vol.status = -EAGAIN;
	assert_int_equal(run(REQUEST_WRITE, 0, 512, data), OUTCOME_NOT_READY);
	vol.status = -EACCES;
	assert_int_equal(run(REQUEST_READ, 0, 512, data), OUTCOME_NO_ACCESS);
	assert_int_equal(run(REQUEST_FLUSH, 0, 0, NULL), OUTCOME_NO_ACCESS);
	assert_int_equal(vol.writes + vol.flushes, 0);
}

static void nothing_to_do_is_good(void **state)
{
	(void)state;
	assert_int_equal(run(REQUEST_WRITE, 0, 0, NULL), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_READ, 0, 0, NULL), OUTCOME_GOOD);
}

static void without_memory_for_a_copy_nothing_is_changed(void **state)
{
	static const enum request_op ops[] = {
		REQUEST_VERIFY, REQUEST_COMPARE_WRITE, REQUEST_OR_WRITE, REQUEST_WRITE_SAME};
	uint8_t data[2 * SECTOR];

	(void)state;
	memset(data, 1, sizeof(data));
	no_memory = true;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		assert_int_equal(run(ops[i], 0, SECTOR, data), OUTCOME_INTERNAL);
	assert_int_equal(vol.writes + vol.writes_now, 0);
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, SECTOR, data), OUTCOME_INTERNAL);
	assert_int_equal(run(REQUEST_READ, SECTOR, SECTOR, data), OUTCOME_GOOD); /* needs none */
}

/* ---- What must not be mixed up ---- */

/* Within one piece, between its chunks. What was written before is whole, the rest is as it was. */
static void a_key_that_goes_during_a_write_leaves_old_or_new_sectors(void **state)
{
	static const uint8_t old[200 * KIB];
	uint8_t *data = pattern(sizeof(old), 40), *sent = malloc(sizeof(old));

	(void)state;
	vol.encrypt = -EAGAIN;
	vol.key_ends_at = 128 * KIB;
	memcpy(sent, data, sizeof(old));
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(old), sent), OUTCOME_NOT_READY);
	assert_plain(data, 0, 128 * KIB);
	assert_plain(old, 128 * KIB, sizeof(old) - 128 * KIB);
	vol.encrypt = -EACCES;
	vol.write_now_ends_at = 0; /* the rest is to be written in one, after it is encrypted */
	vol.key_ends_at = 640 * KIB;
	memcpy(sent, data, sizeof(old));
	assert_int_equal(run(REQUEST_WRITE, 512 * KIB, sizeof(old), sent), OUTCOME_NO_ACCESS);
	assert_plain(old, 512 * KIB, sizeof(old));
	assert_int_equal(vol.writes, 0);
	req.durable = true;
	assert_int_equal(run(REQUEST_WRITE, 512 * KIB, sizeof(old), sent), OUTCOME_NO_ACCESS);
	assert_plain(old, 512 * KIB, sizeof(old));
	assert_int_equal(vol.writes, 0);
	free(data);
	free(sent);
}

static void a_key_that_goes_during_a_read_fails_it(void **state)
{
	static uint8_t data[200 * KIB];

	(void)state;
	vol.decrypt = -EAGAIN;
	vol.key_ends_at = 128 * KIB;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_NOT_READY);
	vol.decrypt = -EACCES;
	vol.read_now_ends_at = 128 * KIB;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_NO_ACCESS);
	assert_int_equal(run(REQUEST_READ, 0, 128 * KIB, data), OUTCOME_GOOD);
}

static void each_step_of_a_part_of_a_sector_can_fail(void **state)
{
	uint8_t data[SECTOR + 100] = {0};

	(void)state;
	vol.fail_at = SECTOR;
	vol.read = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_READ_ERROR);
	vol.read = 0;
	vol.write = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_WRITE_ERROR);
	vol.fail_at = 0; /* what comes before it */
	vol.writes = vol.reads = vol.reads_now = 0;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_WRITE_ERROR);
	vol.read = -EIO;
	assert_int_equal(vol.reads + vol.reads_now, 0);
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_READ_ERROR);
	vol.read = vol.write = 0;
	vol.decrypt = -EAGAIN;
	vol.key_ends_at = SECTOR;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_NOT_READY);
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_NOT_READY);
}

/* One sector of zeros, which is what the medium has, and one more to write. */
static enum outcome run_zeros(enum request_op op)
{
	uint8_t data[2 * SECTOR] = {0};

	return run(op, 0, SECTOR, data);
}

static void each_step_of_a_compound_can_fail(void **state)
{
	(void)state;
	vol.read = -EIO;
	assert_int_equal(run_zeros(REQUEST_COMPARE_WRITE), OUTCOME_READ_ERROR);
	assert_int_equal(run_zeros(REQUEST_OR_WRITE), OUTCOME_READ_ERROR);
	assert_int_equal(vol.writes + vol.writes_now, 0);
	assert_int_equal(run_zeros(REQUEST_WRITE_VERIFY), OUTCOME_READ_ERROR);
	vol.read = 0;
	vol.write = -EIO;
	assert_int_equal(run_zeros(REQUEST_COMPARE_WRITE), OUTCOME_WRITE_ERROR);
	assert_int_equal(run_zeros(REQUEST_OR_WRITE), OUTCOME_WRITE_ERROR);
	assert_int_equal(run_zeros(REQUEST_WRITE_VERIFY), OUTCOME_WRITE_ERROR);
	assert_int_equal(run_zeros(REQUEST_WRITE_SAME), OUTCOME_WRITE_ERROR);
	vol.write = 0;
	vol.encrypt = -EACCES;
	assert_int_equal(run_zeros(REQUEST_WRITE_VERIFY), OUTCOME_NO_ACCESS);
	assert_int_equal(run_zeros(REQUEST_WRITE_SAME), OUTCOME_NO_ACCESS);
}

static void a_durable_read_flushes_first_or_fails(void **state)
{
	uint8_t data[SECTOR + 100] = {0};

	(void)state;
	req.durable = true;
	vol.flush = -EIO;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_WRITE_ERROR);
	assert_int_equal(vol.reads + vol.reads_now, 0);
	vol.flush = 0;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_GOOD);
	assert_int_equal(vol.flushes, 2);
}

static void a_prefetch_asks_for_its_range_once(void **state)
{
	(void)state;
	assert_int_equal(run(REQUEST_PREFETCH, SECTOR, MEDIUM_BYTES - SECTOR, NULL), OUTCOME_GOOD);
	assert_int_equal(vol.prefetches, 1);
	vol.prefetch = -EIO;
	assert_int_equal(run(REQUEST_PREFETCH, 0, SECTOR, NULL), OUTCOME_READ_ERROR);
	assert_int_equal(vol.reads + vol.reads_now, 0);
}

static void a_request_that_fails_without_work_is_done_later(void **state)
{
	uint8_t data[SECTOR] = {0};

	(void)state;
	set_request(REQUEST_WRITE, 0, SECTOR, data);
	dones = 0;
	request_fail(&req, OUTCOME_LBA_RANGE);
	assert_int_equal(dones, 0);
	complete(1);
	assert_int_equal(dones, 1);
	assert_int_equal(req.outcome, OUTCOME_LBA_RANGE);
	assert_int_equal(vol.writes + vol.writes_now + vol.encrypted_sectors, 0);
}

int main(void)
{
#define ON(f, store)                                                                               \
	{                                                                                          \
#f " on " #store, f, fresh, stop, (void *)(uintptr_t)&stores[store]                \
	}
#define ON_EACH(f)                                                                                 \
	ON(f, MEMORY), ON(f, CACHE_FOR_READS), ON(f, DEVICE), ON(f, FULL_CACHE),                   \
		ON(f, PARTLY_CACHED)
	const struct CMUnitTest tests[] = {
		ON_EACH(what_is_written_is_read_at_every_size),
		ON_EACH(a_part_of_a_sector_is_merged_and_read),
		ON_EACH(verify_tells_the_first_difference),
		ON_EACH(write_and_verify_notices_a_lost_write),
		ON_EACH(compare_and_write_writes_only_what_compared),
		ON_EACH(or_write_sets_bits),
		ON_EACH(write_same_fills_far_more_than_a_slice),
		ON_EACH(write_same_stamps_the_address),
		ON_EACH(durable_reaches_every_piece),
		ON_EACH(each_failure_has_its_outcome),
		ON_EACH(a_volume_without_key_does_no_work),
		ON_EACH(each_step_of_a_part_of_a_sector_can_fail),
		ON_EACH(each_step_of_a_compound_can_fail),
		FRESH(nothing_to_do_is_good),
		FRESH(without_memory_for_a_copy_nothing_is_changed),
		FRESH(a_key_that_goes_during_a_write_leaves_old_or_new_sectors),
		FRESH(a_key_that_goes_during_a_read_fails_it),
		FRESH(a_durable_read_flushes_first_or_fails),
		FRESH(a_prefetch_asks_for_its_range_once),
		FRESH(a_request_that_fails_without_work_is_done_later),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
