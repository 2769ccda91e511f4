/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/request.h: how a request is shared out to the pool's workers, and what waits for a device meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "range.h"
#include "fake_volume.h"

/* The pieces cover the request once and whole, none ends inside a sector, none is needless. */
static void a_split_covers_every_byte_once(void **state)
{
	unsigned seed = 12;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t len = (uint64_t)rand_r(&seed) % (i % 2 ? 3000000 : UINT64_C(1) << 33) + 1;
		unsigned workers = (unsigned)rand_r(&seed) % POOL_WORKERS_MAX + 1;
		uint64_t piece;
		unsigned count = request_split(REQUEST_READ, len, workers, &piece);
		assert_in_range(count, 1, workers);
		assert_int_equal(piece % 4096, 0);
		assert_true(piece * count >= len && piece * (count - 1) < len);
		if (len < 1024 * 1024)
			assert_int_equal(count, 1);
		assert_int_equal(request_split(REQUEST_COMPARE_WRITE, len, workers, &piece), 1);
	}
}

static void assert_split(uint64_t len, unsigned workers, unsigned count, uint64_t bytes)
{
	uint64_t piece;

	assert_int_equal(request_split(REQUEST_WRITE, len, workers, &piece), count);
	assert_int_equal(piece, bytes);
}

static void a_split_changes_where_it_is_worth_it(void **state)
{
	uint64_t piece;

	(void)state;
	assert_split(1, 4, 1, 4096);
	assert_split(1024 * KIB - 1, 4, 1, 1024 * KIB);
	assert_split(1024 * KIB, 4, 2, 512 * KIB);
	assert_split(1536 * KIB - 512, 4, 2, 768 * KIB);
	assert_split(1536 * KIB, 4, 3, 512 * KIB);
	assert_split(2048 * KIB, 4, 4, 512 * KIB);
	assert_split(2048 * KIB + 512, 4, 4, 516 * KIB);
	assert_split(MEDIUM_BYTES, 4, 4, MEDIUM_BYTES / 4);
	assert_split(MEDIUM_BYTES, 1, 1, MEDIUM_BYTES);
	assert_split(MEDIUM_BYTES, 0, 1, MEDIUM_BYTES); /* all are busy: it waits in one piece */
	assert_int_equal(request_split(REQUEST_FLUSH, 0, 4, &piece), 1);
	assert_int_equal(request_split(REQUEST_PREFETCH, MEDIUM_BYTES, 4, &piece), 1);
	assert_int_equal(request_split(REQUEST_COMPARE_WRITE, MEDIUM_BYTES, 4, &piece), 1);
}

/* A task that holds its worker until the test lets it go. */
static atomic_uint holding;
static atomic_bool hold_on;

static void hold(struct pool_task *task)
{
	(void)task;
	holding++;
	for (int i = 0; hold_on && i < LIMIT_SECONDS * 1000; i++)
		usleep(1000);
	holding--;
}

static unsigned writes_with_workers_held(unsigned count)
{
	static struct pool_task tasks[WORKERS];
	static uint8_t data[2 << 20];

	for (int i = 0; pool_free() != WORKERS && i < LIMIT_SECONDS * 1000; i++)
		usleep(1000); /* the last ones end */
	hold_on = true;
	for (unsigned i = 0; i < count; i++) {
		tasks[i].run = hold;
		pool_submit(&tasks[i]);
	}
	while (holding != count)
		usleep(1000);
	vol.writes = 0;
	set_request(REQUEST_WRITE, 0, sizeof(data), data);
	request_start(&req);
	hold_on = false;
	complete(1);
	while (holding)
		usleep(1000);
	return vol.writes;
}

static void a_request_is_split_over_the_workers_that_are_free(void **state)
{
	(void)state;
	req.durable = true;
	assert_int_equal(writes_with_workers_held(0), 3);
	assert_int_equal(writes_with_workers_held(1), 2);
	assert_int_equal(writes_with_workers_held(2), 1);
	assert_int_equal(writes_with_workers_held(3), 1);
}

static void a_split_that_finds_no_memory_is_none(void **state)
{
	static uint8_t data[1 << 20];

	(void)state;
	if (!CALLOC_CAN_FAIL)
		skip();
	req.durable = true;
	no_memory = true;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_GOOD);
	assert_int_equal(vol.writes, 1);
	assert_plain((uint8_t[SECTOR]){0}, sizeof(data) - SECTOR, SECTOR);
}

/* ---- A device that hangs ---- */

enum { HUNG_REQUESTS = 8 }; /* more than workers */

static struct request many[RANGE_GRANTED_MAX];

static void start_on_hung(unsigned count, enum request_op op, bool durable, uint64_t len)
{
	for (unsigned i = 0; i < count; i++) {
		many[i] = (struct request){.op = op,
			.volume = &hung,
			.offset_bytes = i * len % MEDIUM_BYTES, /* as claims would have it */
			.len_bytes = len,
			.durable = durable,
			.done = on_done};
		if (len)
			assert_non_null(many[i].data = calloc(2, len));
		request_start(&many[i]);
		usleep(5000); /* until it waits: the next one finds the workers free again */
	}
}

static void end_on_hung(unsigned count)
{
	unhang(&hung);
	complete(count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(many[i].outcome, OUTCOME_GOOD);
		free(many[i].data);
	}
}

static void what_waits_for_a_device_holds_up_no_other(void **state)
{
	static const struct {
		enum request_op op;
		bool durable;
		enum call hangs;
	} cases[] = {
		{REQUEST_READ, false, CALL_READ},
		{REQUEST_READ, true, CALL_FLUSH},
		{REQUEST_WRITE, false, CALL_WRITE},
		{REQUEST_WRITE, true, CALL_WRITE},
		{REQUEST_WRITE_VERIFY, true, CALL_READ},
		{REQUEST_VERIFY, false, CALL_READ},
		{REQUEST_COMPARE_WRITE, false, CALL_READ},
		{REQUEST_OR_WRITE, true, CALL_WRITE},
		{REQUEST_WRITE_SAME, false, CALL_WRITE},
		{REQUEST_FLUSH, false, CALL_FLUSH},
		{REQUEST_PREFETCH, false, CALL_PREFETCH},
	};
	static uint8_t data[SECTOR]; /* outlives a test that fails */

	(void)state;
	set_store(&vol, &stores[DEVICE]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_volume(&hung);
		set_store(&hung, &stores[DEVICE]);
		hung.hangs = cases[i].hangs;
		start_on_hung(HUNG_REQUESTS, cases[i].op, cases[i].durable, SECTOR);
		assert_true(waiting_becomes(&hung, HUNG_REQUESTS));
		assert_int_equal(run(REQUEST_READ, 0, SECTOR, data), OUTCOME_GOOD);
		end_on_hung(HUNG_REQUESTS);
	}
}

/* All that a LUN may have granted, each long enough to be split over every worker. */
static void a_hung_volume_leaves_threads_for_the_others(void **state)
{
	static uint8_t data[SECTOR]; /* outlives a test that fails */

	(void)state;
	pool_put();
	assert_int_equal(pool_get(8), 0);
	set_store(&vol, &stores[DEVICE]);
	make_volume(&hung);
	set_store(&hung, &stores[DEVICE]);
	hung.hangs = CALL_READ;
	start_on_hung(RANGE_GRANTED_MAX, REQUEST_READ, false, 1 << 20);
	assert_int_equal(run(REQUEST_READ, 0, SECTOR, data), OUTCOME_GOOD);
	assert_true(hung.waiting <= POOL_WAITING_MAX / 2);
	end_on_hung(RANGE_GRANTED_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_split_covers_every_byte_once),
		cmocka_unit_test(a_split_changes_where_it_is_worth_it),
		FRESH(a_request_is_split_over_the_workers_that_are_free),
		FRESH(a_split_that_finds_no_memory_is_none),
		FRESH(what_waits_for_a_device_holds_up_no_other),
		FRESH(a_hung_volume_leaves_threads_for_the_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
