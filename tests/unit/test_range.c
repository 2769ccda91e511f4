/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/range.h: readers share, writers exclude, first come first served, so many at a time. */
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

/* Claims of a byte each that conflict with nothing, and whether they were granted. */
static struct {
	struct range_claim claim;
	unsigned turn; /* 1 for the first one granted */
} many[RANGE_GRANTED_MAX + 4];
static unsigned turns;

static void take_turn(struct range_claim *claim)
{
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		if (&many[i].claim == claim)
			many[i].turn = ++turns;
	}
}

static void acquire_many(struct range_lock *lock, unsigned from, unsigned to, bool exclusive)
{
	if (!from)
		turns = 0;
	for (unsigned i = from; i < to; i++) {
		many[i].claim = (struct range_claim){.first_byte = i,
			.len_bytes = 1,
			.exclusive = exclusive,
			.granted = take_turn};
		many[i].turn = 0;
		range_acquire(lock, &many[i].claim);
	}
}

static void no_more_than_the_limit_are_granted_at_a_time(void **state)
{
	struct range_lock lock = {0};

	(void)state;
	for (int exclusive = 0; exclusive < 2; exclusive++) {
		lock = (struct range_lock){0};
		acquire_many(&lock, 0, RANGE_GRANTED_MAX, exclusive);
		assert_int_equal(turns, RANGE_GRANTED_MAX);
		acquire_many(&lock, RANGE_GRANTED_MAX, RANGE_GRANTED_MAX + 4, exclusive);
		assert_int_equal(turns, RANGE_GRANTED_MAX);
	}
}

static void each_release_grants_the_one_that_came_next(void **state)
{
	struct range_lock lock = {0};

	(void)state;
	acquire_many(&lock, 0, RANGE_GRANTED_MAX + 4, true);
	for (unsigned i = 0; i < 4; i++) {
		range_release(&lock, &many[RANGE_GRANTED_MAX - 1 - i].claim);
		assert_int_equal(turns, RANGE_GRANTED_MAX + i + 1);
		assert_int_equal(many[RANGE_GRANTED_MAX + i].turn, RANGE_GRANTED_MAX + i + 1);
	}
	range_release(&lock, &many[0].claim); /* nobody waits any more */
	assert_int_equal(turns, RANGE_GRANTED_MAX + 4);
	acquire_many(&lock, 0, 1, true);
	assert_int_equal(many[0].turn, 1);
}

/* A place that comes free goes to the first that can use it, not to one that waits for a range. */
static void a_free_place_passes_by_a_claim_that_is_blocked(void **state)
{
	struct range_lock lock = {0};
	struct named_claim w = named('w', 0, 1, true), r = named('r', 1000, 1, false);

	(void)state;
	acquire_many(&lock, 0, RANGE_GRANTED_MAX, false);
	range_acquire(&lock, &w.claim);
	range_acquire(&lock, &r.claim);
	range_release(&lock, &many[1].claim);
	assert_string_equal(order, "r");
	range_release(&lock, &many[2].claim);
	assert_string_equal(order, "r");
	range_release(&lock, &many[0].claim);
	assert_string_equal(order, "rw");
}

static void what_stops_being_blocked_still_waits_for_a_place(void **state)
{
	struct range_lock lock = {0};
	struct named_claim a = named('a', 2000, 1, false), w = named('w', 0, 1, true);

	(void)state;
	acquire_many(&lock, 0, RANGE_GRANTED_MAX, false);
	range_acquire(&lock, &a.claim);
	range_acquire(&lock, &w.claim);
	range_release(&lock, &many[0].claim); /* w may run, but a was first and takes the place */
	assert_string_equal(order, "a");
	range_release(&lock, &a.claim);
	assert_string_equal(order, "aw");
}

static void empty_claims_conflict_with_nothing_but_take_a_place(void **state)
{
	struct range_lock lock = {0};
	struct named_claim all = named('a', 0, UINT64_MAX, true), e = named('e', 5, 0, true),
			   f = named('f', 5, 0, true);

	(void)state;
	range_acquire(&lock, &all.claim);
	assert_true(range_free(&lock, &e.claim));
	range_acquire(&lock, &e.claim);
	assert_string_equal(order, "ae");
	range_release(&lock, &all.claim);
	acquire_many(&lock, 0, RANGE_GRANTED_MAX - 1, true);
	assert_int_equal(turns, RANGE_GRANTED_MAX - 1);
	assert_false(range_free(&lock, &f.claim));
	range_acquire(&lock, &f.claim);
	assert_string_equal(order, "ae");
	range_release(&lock, &e.claim);
	assert_string_equal(order, "aef");
}

static void a_claim_that_waits_is_in_the_way_of_later_ones(void **state)
{
	struct range_lock lock = {0};
	struct named_claim a = named('a', 0, 10, false), w = named('w', 5, 10, true),
			   r = named('r', 12, 1, false), s = named('s', 15, 1, false);

	(void)state;
	assert_true(range_free(&lock, &w.claim));
	range_acquire(&lock, &a.claim);
	range_acquire(&lock, &w.claim);
	assert_false(range_free(&lock, &r.claim));
	assert_true(range_free(&lock, &s.claim));
	assert_string_equal(order, "a"); /* asking enters nothing */
	range_release(&lock, &a.claim);
	range_release(&lock, &w.claim);
	assert_true(range_free(&lock, &r.claim));
	assert_null(lock.oldest);
}

/*
 * Random claims, and beside them a model that is too simple to be wrong: all that entered, in
 * order, of which each runs that no earlier one conflicts with, as long as there is room.
 */
enum { RANDOM_CLAIMS = 200, RANDOM_SPACE = 2000, RANDOM_STEPS = 20000 };

struct tracked {
	struct range_claim claim;
	bool entered, running, expected;
};

static struct tracked tracked[RANDOM_CLAIMS];
static struct tracked *arrived[RANDOM_CLAIMS];
static unsigned arrived_count, seed;

static bool overlap(const struct range_claim *a, const struct range_claim *b)
{
	return a->len_bytes && b->len_bytes && a->first_byte < b->first_byte + b->len_bytes &&
	       b->first_byte < a->first_byte + a->len_bytes;
}

static void run_tracked(struct range_claim *claim)
{
	struct tracked *t = (struct tracked *)claim;

	assert_false(t->running); /* granted once */
	t->running = true;
}

static bool blocked(unsigned i)
{
	for (unsigned j = 0; j < i; j++) {
		const struct range_claim *a = &arrived[i]->claim, *b = &arrived[j]->claim;
		if ((a->exclusive || b->exclusive) && overlap(a, b))
			return true;
	}
	return false;
}

static void expect_grants(void)
{
	unsigned running = 0;

	for (unsigned i = 0; i < arrived_count; i++)
		running += arrived[i]->expected;
	for (unsigned i = 0; i < arrived_count && running < RANGE_GRANTED_MAX; i++) {
		if (!arrived[i]->expected && !blocked(i)) {
			arrived[i]->expected = true;
			running++;
		}
	}
	for (unsigned i = 0; i < arrived_count; i++)
		assert_int_equal(arrived[i]->running, arrived[i]->expected);
}

static void leave(struct range_lock *lock, struct tracked *t)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < arrived_count; i++) {
		if (arrived[i] != t)
			arrived[kept++] = arrived[i];
	}
	arrived_count = kept;
	t->entered = t->running = t->expected = false;
	range_release(lock, &t->claim);
	expect_grants();
}

/* True if it was granted at once. */
static bool join(struct range_lock *lock, struct tracked *t)
{
	t->claim = (struct range_claim){.first_byte = (uint64_t)rand_r(&seed) % RANDOM_SPACE,
		.len_bytes = (uint64_t)rand_r(&seed) % 20,
		.exclusive = rand_r(&seed) % 2,
		.granted = run_tracked};
	bool is_free = range_free(lock, &t->claim);
	assert_false(t->running);
	arrived[arrived_count++] = t;
	t->entered = true;
	range_acquire(lock, &t->claim);
	assert_int_equal(t->running, is_free);
	expect_grants();
	return is_free;
}

static void grants_are_those_of_a_simple_model_and_range_free_foretells_them(void **state)
{
	struct range_lock lock = {0};
	unsigned at_once = 0, later = 0;

	(void)state;
	seed = 7;
	for (int step = 0; step < RANDOM_STEPS; step++) {
		struct tracked *t = &tracked[(unsigned)rand_r(&seed) % RANDOM_CLAIMS];
		if (t->running && rand_r(&seed) % 2)
			leave(&lock, t);
		else if (!t->entered)
			*(join(&lock, t) ? &at_once : &later) += 1;
	}
	assert_true(at_once > 100 && later > 100);
	while (arrived_count) {
		unsigned i = 0;
		while (!arrived[i]->running)
			i++;
		leave(&lock, arrived[i]);
	}
	assert_null(lock.oldest);
	assert_null(lock.newest);
	assert_int_equal(lock.granted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_of_one_range_share),
		cmocka_unit_test(a_writer_waits_for_every_earlier_overlap),
		cmocka_unit_test(a_reader_does_not_overtake_a_waiting_writer),
		cmocka_unit_test(neighbours_and_empty_ranges_do_not_conflict),
		cmocka_unit_test(ranges_at_the_end_of_64_bits_do_not_wrap),
		cmocka_unit_test(no_more_than_the_limit_are_granted_at_a_time),
		cmocka_unit_test(each_release_grants_the_one_that_came_next),
		cmocka_unit_test(a_free_place_passes_by_a_claim_that_is_blocked),
		cmocka_unit_test(what_stops_being_blocked_still_waits_for_a_place),
		cmocka_unit_test(empty_claims_conflict_with_nothing_but_take_a_place),
		cmocka_unit_test(a_claim_that_waits_is_in_the_way_of_later_ones),
		cmocka_unit_test(grants_are_those_of_a_simple_model_and_range_free_foretells_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
