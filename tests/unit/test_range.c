/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/range.h: readers share, writers exclude, first come first served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "range.h"

static char order[64];

struct named_claim {
	struct range_claim claim;
	char name;
};

static void note_grant(struct range_claim *claim)
{
	size_t n = strlen(order);

	order[n] = ((struct named_claim *)claim)->name;
	order[n + 1] = '\0';
}

static struct named_claim named(char name, uint64_t first, uint64_t len, bool exclusive)
{
	order[0] = '\0';
	return (struct named_claim){
		.claim = {.first_byte = first,
			.len_bytes = len,
			.exclusive = exclusive,
			.granted = note_grant},
		.name = name,
	};
}

static void readers_of_one_range_share(void **state)
{
	struct range_lock lock = {0};
	struct named_claim a = named('a', 0, 10, false), b = named('b', 5, 10, false);

	(void)state;
	range_acquire(&lock, &a.claim);
	range_acquire(&lock, &b.claim);
	assert_string_equal(order, "ab");
}

static void a_writer_waits_for_every_earlier_overlap(void **state)
{
	struct range_lock lock = {0};
	struct named_claim a = named('a', 0, 10, false), b = named('b', 5, 10, false),
			   w = named('w', 8, 1, true);

	(void)state;
	range_acquire(&lock, &a.claim);
	range_acquire(&lock, &b.claim);
	range_acquire(&lock, &w.claim);
	assert_string_equal(order, "ab");
	range_release(&lock, &a.claim);
	assert_string_equal(order, "ab");
	range_release(&lock, &b.claim);
	assert_string_equal(order, "abw");
}

static void a_reader_does_not_overtake_a_waiting_writer(void **state)
{
	struct range_lock lock = {0};
	struct named_claim a = named('a', 0, 10, false), w = named('w', 0, 10, true),
			   r = named('r', 0, 10, false);

	(void)state;
	range_acquire(&lock, &a.claim);
	range_acquire(&lock, &w.claim);
	range_acquire(&lock, &r.claim);
	range_release(&lock, &a.claim);
	assert_string_equal(order, "aw");
	range_release(&lock, &w.claim);
	assert_string_equal(order, "awr");
}

static void neighbours_and_empty_ranges_do_not_conflict(void **state)
{
	struct range_lock lock = {0};
	struct named_claim a = named('a', 0, 10, true), b = named('b', 10, 10, true),
			   c = named('c', 5, 0, true);

	(void)state;
	range_acquire(&lock, &a.claim);
	range_acquire(&lock, &b.claim);
	range_acquire(&lock, &c.claim);
	assert_string_equal(order, "abc");
}

static void ranges_at_the_end_of_64_bits_do_not_wrap(void **state)
{
	struct range_lock lock = {0};
	struct named_claim a = named('a', UINT64_MAX - 9, 10, true), b = named('b', 0, 10, true);

	(void)state;
	range_acquire(&lock, &a.claim);
	range_acquire(&lock, &b.claim);
	assert_string_equal(order, "ab");
}

enum { RANDOM_CLAIMS = 64, RANDOM_SPACE = 200, RANDOM_STEPS = 20000 };

static bool overlap(const struct range_claim *a, const struct range_claim *b)
{
	return a->len_bytes && b->len_bytes && a->first_byte < b->first_byte + b->len_bytes &&
	       b->first_byte < a->first_byte + a->len_bytes;
}

struct tracked {
	struct range_claim claim;
	bool entered, running;
};

static void run_tracked(struct range_claim *claim)
{
	((struct tracked *)claim)->running = true;
}

static void no_two_conflicting_claims_ever_run_and_none_is_lost(void **state)
{
	static struct tracked t[RANDOM_CLAIMS];
	struct range_lock lock = {0};
	unsigned seed = 7;

	(void)state;
	for (int step = 0; step < RANDOM_STEPS; step++) {
		struct tracked *c = &t[(unsigned)rand_r(&seed) % RANDOM_CLAIMS];
		if (c->running) {
			c->entered = c->running = false;
			range_release(&lock, &c->claim);
		} else if (!c->entered) {
			c->claim = (struct range_claim){
				.first_byte = (uint64_t)rand_r(&seed) % RANDOM_SPACE,
				.len_bytes = (uint64_t)rand_r(&seed) % 20,
				.exclusive = rand_r(&seed) % 2,
				.granted = run_tracked};
			c->entered = true;
			range_acquire(&lock, &c->claim);
		}
		for (int i = 0; i < RANDOM_CLAIMS; i++) {
			for (int j = 0; j < i; j++) {
				if (t[i].running && t[j].running &&
					(t[i].claim.exclusive || t[j].claim.exclusive))
					assert_false(overlap(&t[i].claim, &t[j].claim));
			}
		}
	}
	for (int left = 1; left;) {
		left = 0;
		for (int i = 0; i < RANDOM_CLAIMS; i++) {
			if (t[i].running) {
				t[i].entered = t[i].running = false;
				range_release(&lock, &t[i].claim);
				left = 1;
			}
		}
	}
	assert_null(lock.oldest);
	for (int i = 0; i < RANDOM_CLAIMS; i++)
		assert_false(t[i].entered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_of_one_range_share),
		cmocka_unit_test(a_writer_waits_for_every_earlier_overlap),
		cmocka_unit_test(a_reader_does_not_overtake_a_waiting_writer),
		cmocka_unit_test(neighbours_and_empty_ranges_do_not_conflict),
		cmocka_unit_test(ranges_at_the_end_of_64_bits_do_not_wrap),
		cmocka_unit_test(no_two_conflicting_claims_ever_run_and_none_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
