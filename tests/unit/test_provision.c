/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/provision.h: parameter lists of UNMAP are taken exactly, what is mapped is told without a gap;
 * and the requests that unmap, map and compare many sectors with one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "fake_volume.h"

enum { LUN_BYTES = MEDIUM_BYTES, BLOCKS = LUN_BYTES / SECTOR };

static uint8_t list[8 + 16 * 16];
static struct extent *extents;
static unsigned count;

/* A list with its lengths right, and one descriptor for each pair of LBA and blocks. */
static size_t make_list(unsigned descriptors, ...)
{
	va_list args;

	memset(list, 0, sizeof(list));
	put_be(list, 2, 6 + 16 * descriptors);
	put_be(list + 2, 2, 16 * descriptors);
	va_start(args, descriptors);
	for (unsigned i = 0; i < descriptors; i++) {
		put_be(list + 8 + 16 * i, 8, va_arg(args, uint64_t));
		put_be(list + 16 + 16 * i, 4, va_arg(args, uint64_t));
	}
	va_end(args);
	return 8 + 16 * descriptors;
}

static int parse(size_t list_bytes)
{
	/* An exact copy: what reads past its end is found by the address sanitizer. */
	uint8_t *copy = malloc(list_bytes ? list_bytes : 1);

	memcpy(copy, list, list_bytes);
	free(extents);
	int rc = provision_parse_unmap(copy, list_bytes, LUN_BYTES, SECTOR, &extents, &count);
	free(copy);
	if (rc || !count)
		assert_null(extents);
	return rc;
}

static void a_list_is_taken_as_it_is(void **state)
{
	(void)state;
	assert_int_equal(parse(make_list(3, UINT64_C(5), UINT64_C(2), UINT64_C(9), UINT64_C(0),
				 (uint64_t)BLOCKS - 1, UINT64_C(1))),
		0);
	assert_int_equal(count, 2); /* the empty one is left out */
	assert_int_equal(extents[0].first_byte, 5 * SECTOR);
	assert_int_equal(extents[0].len_bytes, 2 * SECTOR);
	assert_int_equal(extents[1].first_byte, LUN_BYTES - SECTOR);
	struct extent span = provision_span(extents, count);
	assert_int_equal(span.first_byte, 5 * SECTOR);
	assert_int_equal(span.first_byte + span.len_bytes, LUN_BYTES);
	assert_int_equal(parse(make_list(0)), 0);
	assert_int_equal(count, 0);
	assert_int_equal(provision_span(extents, count).len_bytes, 0);
}

static void what_is_cut_off_is_left_out(void **state)
{
	size_t whole = make_list(2, UINT64_C(5), UINT64_C(2), UINT64_C(9), UINT64_C(1));

	(void)state;
	for (size_t len = 0; len <= whole; len++) {
		assert_int_equal(parse(len), len < 8 ? -EMSGSIZE : 0);
		assert_int_equal(count, len < 24 ? 0 : len < 40 ? 1 : 2);
	}
	put_be(list + 2, 2, 31); /* of a length that is no multiple, the whole ones count */
	assert_int_equal(parse(whole), 0);
	assert_int_equal(count, 1);
}

static void a_list_that_contradicts_itself_is_refused(void **state)
{
	size_t whole = make_list(1, UINT64_C(5), UINT64_C(2));

	(void)state;
	put_be(list, 2, 21);
	assert_int_equal(parse(whole), -EINVAL);
	put_be(list, 2, 0);
	assert_int_equal(parse(whole), -EINVAL);
	put_be(list, 2, 0xffff); /* more is said to follow than there is: it was cut off */
	assert_int_equal(parse(whole), 0);
}

static void one_descriptor_past_the_end_spoils_the_list(void **state)
{
	static const uint64_t bad[][2] = {{BLOCKS, 1}, {BLOCKS - 1, 2}, {BLOCKS + 1, 0},
		{UINT64_MAX, 1}, {UINT64_MAX, UINT32_MAX}, {UINT64_MAX / SECTOR + 1, 1},
		{0, BLOCKS + 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t whole = make_list(2, UINT64_C(1), UINT64_C(1), bad[i][0], bad[i][1]);
		assert_int_equal(parse(whole), -ERANGE);
		assert_int_equal(count, 0);
	}
	assert_int_equal(parse(make_list(1, (uint64_t)BLOCKS, UINT64_C(0))), 0);
	assert_int_equal(count, 0);
}

static void mapped_and_unmapped_follow_without_a_gap(void **state)
{
	struct extent found[4];

	(void)state;
	vol.hole_first = 8 * SECTOR;
	vol.hole_end = 20 * SECTOR;
	assert_int_equal(provision_map(&vol, 2 * SECTOR, found, 4, &count), 0);
	assert_int_equal(count, 3);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t next = i < 2 ? found[i + 1].first_byte : LUN_BYTES;
		assert_int_equal(found[i].first_byte + found[i].len_bytes, next);
		assert_int_equal(found[i].mapped, i != 1);
	}
	assert_int_equal(found[1].first_byte, 8 * SECTOR);
	assert_int_equal(found[1].len_bytes, 12 * SECTOR);
	assert_int_equal(provision_map(&vol, 9 * SECTOR, found, 1, &count), 0);
	assert_int_equal(count, 1);
	assert_false(found[0].mapped);
	assert_int_equal(found[0].len_bytes, 11 * SECTOR);
	vol.map = -EIO;
	assert_int_equal(provision_map(&vol, 0, found, 4, &count), -EIO);
}

/* A store's holes may begin and end inside a sector: what is in part data is mapped. */
static void a_sector_that_is_a_hole_in_part_is_mapped(void **state)
{
	struct extent found[4];

	(void)state;
	vol.hole_first = 8 * SECTOR + 1;
	vol.hole_end = 20 * SECTOR - 1;
	assert_int_equal(provision_map(&vol, 0, found, 4, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(found[1].first_byte, 9 * SECTOR);
	assert_int_equal(found[1].len_bytes, 10 * SECTOR);
	vol.hole_end = 9 * SECTOR - 1; /* smaller than any sector */
	assert_int_equal(provision_map(&vol, 0, found, 4, &count), 0);
	assert_int_equal(count, 1);
	assert_true(found[0].mapped);
	assert_int_equal(found[0].len_bytes, LUN_BYTES);
}

static void a_status_is_written_as_far_as_there_is_room(void **state)
{
	const struct extent found[2] = {{0, 8 * SECTOR, true}, {8 * SECTOR, 4 * SECTOR, false}};
	uint8_t data[64], part[64];

	(void)state;
	memset(data, 0xee, sizeof(data));
	assert_int_equal(provision_write_status(found, 2, SECTOR, data, sizeof(data)), 40);
	assert_int_equal(get_be(data, 4), 36);
	assert_int_equal(get_be(data + 8, 8), 0);
	assert_int_equal(get_be(data + 16, 4), 8);
	assert_int_equal(data[20], 0);
	assert_int_equal(get_be(data + 24, 8), 8);
	assert_int_equal(get_be(data + 32, 4), 4);
	assert_int_equal(data[36], 1);
	assert_int_equal(data[40], 0xee);
	for (size_t room = 0; room < 40; room++) {
		memset(part, 0xee, sizeof(part));
		assert_int_equal(provision_write_status(found, 2, SECTOR, part, room), 40);
		assert_memory_equal(part, data, room);
		assert_int_equal(part[room], 0xee);
	}
}

static void a_long_extent_is_told_up_to_32_bits_and_nothing_behind_it(void **state)
{
	const uint64_t blocks = (UINT64_C(1) << 32) + 7;
	const struct extent found[2] = {
		{0, blocks * SECTOR, false}, {blocks * SECTOR, SECTOR, true}};
	uint8_t data[64];

	(void)state;
	assert_int_equal(provision_write_status(found, 2, SECTOR, data, sizeof(data)), 24);
	assert_int_equal(get_be(data + 16, 4), UINT32_MAX);
}

static void unmap_takes_its_extents_or_the_whole_range(void **state)
{
	struct extent two[2] = {{0, SECTOR, false}, {4 * SECTOR, 2 * SECTOR, false}};
	uint8_t *data = pattern(8 * SECTOR, 1), *sent = malloc(8 * SECTOR);
	uint8_t zeros[8 * SECTOR] = {0};

	(void)state;
	memcpy(sent, data, 8 * SECTOR);
	assert_int_equal(run(REQUEST_WRITE, 0, 8 * SECTOR, sent), OUTCOME_GOOD);
	set_request(REQUEST_UNMAP, 0, 6 * SECTOR, NULL);
	req.extents = two;
	req.extent_count = 2;
	assert_int_equal(start_and_wait(), OUTCOME_GOOD);
	assert_plain(zeros, 0, SECTOR);
	assert_plain(data + SECTOR, SECTOR, 3 * SECTOR);
	assert_plain(zeros, 4 * SECTOR, 2 * SECTOR);
	assert_plain(data + 6 * SECTOR, 6 * SECTOR, 2 * SECTOR);
	assert_int_equal(vol.flushes, 0);
	req.durable = true;
	assert_int_equal(run(REQUEST_UNMAP, SECTOR, 7 * SECTOR, NULL), OUTCOME_GOOD);
	assert_plain(zeros, 0, 8 * SECTOR);
	assert_int_equal(vol.flushes, 1);
	assert_int_equal(run(REQUEST_UNMAP, 0, 0, NULL), OUTCOME_GOOD);
	free(data);
	free(sent);
}

static void unmap_tells_why_it_failed(void **state)
{
	(void)state;
	vol.discard = -ENOSPC;
	assert_int_equal(run(REQUEST_UNMAP, 0, SECTOR, NULL), OUTCOME_NO_SPACE);
	vol.discard = -EIO;
	assert_int_equal(run(REQUEST_UNMAP, 0, SECTOR, NULL), OUTCOME_WRITE_ERROR);
	vol.discard = 0;
	req.durable = true;
	vol.flush = -EIO;
	assert_int_equal(run(REQUEST_UNMAP, 0, SECTOR, NULL), OUTCOME_WRITE_ERROR);
	vol.status = -EACCES;
	assert_int_equal(run(REQUEST_UNMAP, 0, SECTOR, NULL), OUTCOME_NO_ACCESS);
}

/* The range is longer than the fake's medium: it is not touched behind its end. */
static void a_long_unmap_stops_when_the_key_goes(void **state)
{
	(void)state;
	vol.status_ends_at = UINT64_C(3) << 30;
	assert_int_equal(run(REQUEST_UNMAP, 0, UINT64_C(100) << 30, NULL), OUTCOME_NOT_READY);
	assert_int_equal(vol.discarded_bytes, UINT64_C(3) << 30);
}

static void a_map_tells_how_much_it_found_or_fails(void **state)
{
	struct extent found[4] = {{0}};

	(void)state;
	vol.hole_end = 4 * SECTOR;
	set_request(REQUEST_MAP, 0, MEDIUM_BYTES, NULL);
	req.extents = found;
	req.extent_count = 4;
	assert_int_equal(start_and_wait(), OUTCOME_GOOD);
	assert_int_equal(req.extent_count, 2);
	assert_false(found[0].mapped);
	vol.map = -EIO;
	req.extent_count = 4;
	assert_int_equal(start_and_wait(), OUTCOME_READ_ERROR);
}

static void many_sectors_are_compared_with_one(void **state)
{
	const size_t len = 3 << 20;
	uint8_t *one = pattern(SECTOR, 2), *data = malloc(len);

	(void)state;
	for (size_t i = 0; i < len; i += SECTOR)
		memcpy(data + i, one, SECTOR);
	assert_int_equal(run(REQUEST_WRITE, 0, len, data), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_VERIFY_SAME, 0, len, one), OUTCOME_GOOD);
	vol.medium[len - 5] ^= 1;
	assert_int_equal(run(REQUEST_VERIFY_SAME, 0, len, one), OUTCOME_MISCOMPARE);
	assert_int_equal(req.miscompare_byte, len - 5);
	free(one);
	free(data);
}

static int free_extents(void **state)
{
	(void)state;
	free(extents);
	extents = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_taken_as_it_is),
		cmocka_unit_test(what_is_cut_off_is_left_out),
		cmocka_unit_test(a_list_that_contradicts_itself_is_refused),
		cmocka_unit_test(one_descriptor_past_the_end_spoils_the_list),
		FRESH(mapped_and_unmapped_follow_without_a_gap),
		FRESH(a_sector_that_is_a_hole_in_part_is_mapped),
		cmocka_unit_test(a_status_is_written_as_far_as_there_is_room),
		cmocka_unit_test(a_long_extent_is_told_up_to_32_bits_and_nothing_behind_it),
		FRESH(unmap_takes_its_extents_or_the_whole_range),
		FRESH(unmap_tells_why_it_failed),
		FRESH(a_long_unmap_stops_when_the_key_goes),
		FRESH(a_map_tells_how_much_it_found_or_fails),
		FRESH(many_sectors_are_compared_with_one),
	};
	return cmocka_run_group_tests(tests, NULL, free_extents);
}
