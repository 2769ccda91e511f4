/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* tests/bench/mark.h: no damaged, misplaced, foreign or stale block passes for a good one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../bench/mark.h"

enum {
	BLOCK_BYTES = 512,
	BLOCK_WORDS = BLOCK_BYTES / 8,
	BLOCKS = 4,
};

static const struct mark first = {.lba = 1000, .writer = 7, .version = 3};
static const struct mark_bounds exact = {.first_lba = 1000, .writer = 7, .lowest = 3, .highest = 3};
static uint64_t buf[BLOCKS * BLOCK_WORDS];

static uint32_t faults(const struct mark_bounds *bounds, struct mark_fault *fault)
{
	memset(fault, 0, sizeof(*fault));
	return mark_check(buf, BLOCK_BYTES, BLOCKS, bounds, fault);
}

static void what_was_marked_is_right(void **state)
{
	const struct mark_bounds anybody = {.first_lba = 1000, .highest = UINT64_MAX};
	struct mark_fault fault;

	(void)state;
	mark_blocks(buf, BLOCK_BYTES, BLOCKS, &first);
	assert_int_equal(faults(&exact, &fault), 0);
	assert_int_equal(faults(&anybody, &fault), 0);
}

static void any_other_bit_is_noticed_where_it_is(void **state)
{
	struct mark_fault fault;
	size_t bit;

	(void)state;
	mark_blocks(buf, BLOCK_BYTES, BLOCKS, &first);
	for (bit = 0; bit < sizeof(buf) * 8; bit++) {
		buf[bit / 64] ^= (uint64_t)1 << bit % 64;
		assert_int_equal(faults(&exact, &fault), 1);
		assert_int_equal(fault.lba, 1000 + bit / 64 / BLOCK_WORDS);
		assert_int_equal(fault.found.version, 0);
		buf[bit / 64] ^= (uint64_t)1 << bit % 64;
	}
}

static void other_places_writers_and_versions_are_told_apart(void **state)
{
	const struct mark_bounds others[] = {
		{.first_lba = 1001, .writer = 7, .lowest = 3, .highest = 3},
		{.first_lba = 1000, .writer = 8, .lowest = 3, .highest = 3},
		{.first_lba = 1000, .writer = 7, .lowest = 4, .highest = 9},
		{.first_lba = 1000, .writer = 7, .lowest = 1, .highest = 2}};
	struct mark_fault fault;
	size_t i;

	(void)state;
	mark_blocks(buf, BLOCK_BYTES, BLOCKS, &first);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(faults(&others[i], &fault), BLOCKS);
		assert_int_equal(fault.lba, others[i].first_lba);
		assert_memory_equal(&fault.found, &first, sizeof(first));
	}
}

static void blocks_that_changed_places_are_noticed(void **state)
{
	uint64_t third[BLOCK_WORDS];
	struct mark_fault fault;

	(void)state;
	mark_blocks(buf, BLOCK_BYTES, BLOCKS, &first);
	memcpy(third, buf + 2 * BLOCK_WORDS, BLOCK_BYTES);
	memcpy(buf + 2 * BLOCK_WORDS, buf + BLOCK_WORDS, BLOCK_BYTES);
	memcpy(buf + BLOCK_WORDS, third, BLOCK_BYTES);
	assert_int_equal(faults(&exact, &fault), 2);
	assert_int_equal(fault.lba, 1001);
	assert_int_equal(fault.found.lba, 1002);
}

static void the_text_names_the_block(void **state)
{
	struct mark_fault fault;
	char text[MARK_FAULT_TEXT_BYTES];

	(void)state;
	mark_blocks(buf, BLOCK_BYTES, BLOCKS, &first);
	memset(buf + 3 * BLOCK_WORDS, 0, BLOCK_BYTES);
	assert_int_equal(faults(&exact, &fault), 1);
	mark_fault_text(&fault, &exact, text);
	assert_non_null(strstr(text, "LBA 1003 holds no whole mark, want version 3 to 3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_marked_is_right),
		cmocka_unit_test(any_other_bit_is_noticed_where_it_is),
		cmocka_unit_test(other_places_writers_and_versions_are_told_apart),
		cmocka_unit_test(blocks_that_changed_places_are_noticed),
		cmocka_unit_test(the_text_names_the_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
