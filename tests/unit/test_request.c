/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/request.h over a volume in memory, whose cipher is a XOR and whose faults are set by the
 * test: what each operation does, how it is split, and what it says when a step fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

enum { SECTOR = 512, MEDIUM_BYTES = 16 << 20, KEY = 0x5a, WORKERS = 3 };

struct volume {
	uint8_t medium[MEDIUM_BYTES];                     /* ciphertext */
	int status, encrypt, decrypt, read, write, flush; /* what the calls return */
	uint64_t fail_at; /* reads and writes of this byte of the LUN fail; others do not */
	bool lose_writes; /* say yes and store nothing */
	_Atomic unsigned writes, durable_writes, flushes;
};

static struct volume vol;

uint32_t volume_sector_bytes(const struct volume *v)
{
	(void)v;
	return SECTOR;
}

int volume_status(struct volume *v)
{
	return v->status;
}

static void mask(uint8_t *data, size_t len)
{
	assert(len % SECTOR == 0);
	for (size_t i = 0; i < len; i++)
		data[i] ^= KEY;
}

int volume_encrypt(struct volume *v, unsigned worker, uint8_t *data, size_t len, uint64_t offset)
{
	assert(worker < WORKERS && offset % SECTOR == 0);
	mask(data, len);
	return v->encrypt;
}

int volume_decrypt(struct volume *v, unsigned worker, uint8_t *data, size_t len, uint64_t offset)
{
	assert(worker < WORKERS && offset % SECTOR == 0);
	mask(data, len);
	return v->decrypt;
}

static bool hit(const struct volume *v, size_t len, uint64_t offset)
{
	return v->fail_at >= offset && v->fail_at < offset + len;
}

int volume_read(struct volume *v, void *data, size_t len, uint64_t offset)
{
	assert(offset + len <= MEDIUM_BYTES);
	if (v->read && hit(v, len, offset))
		return v->read;
	memcpy(data, v->medium + offset, len);
	return 0;
}

int volume_write(struct volume *v, const void *data, size_t len, uint64_t offset, bool durable)
{
	assert(offset + len <= MEDIUM_BYTES);
	v->writes++;
	v->durable_writes += durable;
	if (v->write && hit(v, len, offset))
		return v->write;
	if (!v->lose_writes)
		memcpy(v->medium + offset, data, len);
	return 0;
}

int volume_flush(struct volume *v)
{
	v->flushes++;
	return v->flush;
}

int volume_prefetch(struct volume *v, uint64_t len, uint64_t offset)
{
	(void)v;
	(void)len;
	(void)offset;
	return 0;
}

/* The main thread's loop: waits for the one completion. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t posted_cond = PTHREAD_COND_INITIALIZER;
static struct completion *posted;

void complete_post(struct completion *c)
{
	pthread_mutex_lock(&lock);
	assert(!posted);
	posted = c;
	pthread_cond_signal(&posted_cond);
	pthread_mutex_unlock(&lock);
}

static bool done_called;

static void on_done(struct request *req)
{
	(void)req;
	done_called = true;
}

static struct request req;

static enum outcome run(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data)
{
	bool durable = req.durable;
	enum request_stamp stamp = req.stamp;

	memset(&req, 0, sizeof(req));
	req.op = op;
	req.volume = &vol;
	req.offset_bytes = offset;
	req.len_bytes = len;
	req.data = data;
	req.durable = durable;
	req.stamp = stamp;
	req.done = on_done;
	done_called = false;
	request_start(&req);
	assert_false(done_called); /* never from within */
	pthread_mutex_lock(&lock);
	while (!posted)
		pthread_cond_wait(&posted_cond, &lock);
	struct completion *c = posted;
	posted = NULL;
	pthread_mutex_unlock(&lock);
	c->done(c);
	assert_true(done_called);
	return req.outcome;
}

static uint8_t *pattern(size_t len, unsigned seed)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)rand_r(&seed);
	return data;
}

static void assert_plain(const uint8_t *expected, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(vol.medium[offset + i] ^ KEY, expected[i]);
}

static int fresh(void **state)
{
	(void)state;
	memset(&vol, 0, sizeof(vol));
	memset(vol.medium, KEY, sizeof(vol.medium)); /* reads as zeros */
	memset(&req, 0, sizeof(req));
	return pool_get(WORKERS);
}

static int stop(void **state)
{
	(void)state;
	pool_put();
	return 0;
}

static void what_is_written_is_read_at_every_size(void **state)
{
	static const size_t sizes[] = {512, 1024, 65536, 65536 + 512, 131072 - 512, 131072, 131584,
		196608, 1 << 20, (1 << 20) + 512};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len = sizes[i];
		uint8_t *data = pattern(len, (unsigned)i), *sent = malloc(len),
			*back = calloc(1, len);
		memcpy(sent, data, len);
		assert_int_equal(run(REQUEST_WRITE, 4096 + 512 * i, len, sent), OUTCOME_GOOD);
		assert_plain(data, 4096 + 512 * i, len);
		assert_int_equal(run(REQUEST_READ, 4096 + 512 * i, len, back), OUTCOME_GOOD);
		assert_memory_equal(data, back, len);
		free(data);
		free(sent);
		free(back);
	}
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
	uint8_t *data = pattern(300000, 4);

	(void)state;
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, 300000, data), OUTCOME_GOOD);
	vol.lose_writes = true;
	for (int i = 0; i < 300000; i++)
		data[i] = (uint8_t)(data[i] + 1);
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, 300000, data), OUTCOME_MISCOMPARE);
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
	uint8_t *data = pattern(1 << 20, 10);

	(void)state;
	req.durable = true;
	assert_int_equal(run(REQUEST_WRITE, 0, 1 << 20, data), OUTCOME_GOOD);
	assert_int_equal(vol.writes, WORKERS);
	assert_int_equal(vol.durable_writes, WORKERS);
	assert_int_equal(run(REQUEST_READ, 0, 1 << 20, data), OUTCOME_GOOD);
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

/* The pieces cover the request once and whole, none ends inside a sector, none is needless. */
static void a_split_covers_every_byte_once(void **state)
{
	unsigned seed = 12;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t len = (uint64_t)rand_r(&seed) % (i % 2 ? 300000 : UINT64_C(1) << 33) + 1;
		unsigned workers = (unsigned)rand_r(&seed) % POOL_WORKERS_MAX + 1;
		uint64_t piece;
		unsigned count = request_split(REQUEST_READ, len, workers, &piece);
		assert_in_range(count, 1, workers);
		assert_int_equal(piece % 4096, 0);
		assert_true(piece * count >= len && piece * (count - 1) < len);
		if (len < 128 * 1024)
			assert_int_equal(count, 1);
		assert_int_equal(request_split(REQUEST_COMPARE_WRITE, len, workers, &piece), 1);
	}
}

int main(void)
{
#define FRESH(f) cmocka_unit_test_setup_teardown(f, fresh, stop)
	const struct CMUnitTest tests[] = {
		FRESH(what_is_written_is_read_at_every_size),
		FRESH(a_part_of_a_sector_is_merged_and_read),
		FRESH(verify_tells_the_first_difference),
		FRESH(write_and_verify_notices_a_lost_write),
		FRESH(compare_and_write_writes_only_what_compared),
		FRESH(or_write_sets_bits),
		FRESH(write_same_fills_far_more_than_a_slice),
		FRESH(write_same_stamps_the_address),
		FRESH(durable_reaches_every_piece),
		FRESH(each_failure_has_its_outcome),
		FRESH(a_volume_without_key_does_no_work),
		FRESH(nothing_to_do_is_good),
		cmocka_unit_test(a_split_covers_every_byte_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
