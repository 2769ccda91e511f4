/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* tests/bench/histogram.h: percentiles are those of a sorted list, within the promised error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../bench/histogram.h"

enum { VALUES = 20000 };

static const double percents[] = {0, 1, 10, 50, 90, 99, 99.9, 99.99, 100};
static uint64_t values[VALUES];

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The oracle, by nearest rank: the smallest value with at least percent of all at or below it. */
static uint64_t exact_percentile(double percent)
{
	size_t i = 0;

	while (i < VALUES - 1 && (double)(i + 1) * 100 < percent * VALUES)
		i++;
	return values[i];
}

static void assert_near(uint64_t got, uint64_t want)
{
	double off = got > want ? (double)(got - want) : (double)(want - got);

	if (off > (double)want * HISTOGRAM_ERROR)
		fail_msg("got %llu, want %llu", (unsigned long long)got, (unsigned long long)want);
}

static uint64_t random_value(uint64_t *state, unsigned int bits)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return bits ? *state >> (64 - bits) : 0;
}

/* Values of every size up to the histogram's range. */
static void fill_values(struct histogram *h, uint64_t seed, unsigned int bits_max)
{
	size_t i;

	for (i = 0; i < VALUES; i++) {
		unsigned int bits = (unsigned int)random_value(&seed, 16) % (bits_max + 1);

		values[i] = random_value(&seed, bits);
		histogram_add(h, values[i]);
	}
	qsort(values, VALUES, sizeof(values[0]), ascending);
}

static void percentiles_are_those_of_a_sorted_list(void **state)
{
	static struct histogram h;
	uint64_t seed;
	size_t i;

	(void)state;
	for (seed = 1; seed <= 20; seed++) {
		memset(&h, 0, sizeof(h));
		fill_values(&h, seed, seed % 2 ? HISTOGRAM_TOP_BITS : 20);
		for (i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
			assert_near(histogram_percentile(&h, percents[i]),
				exact_percentile(percents[i]));
	}
}

static void every_value_comes_back_within_the_error(void **state)
{
	static struct histogram h;
	uint64_t value;

	(void)state;
	for (value = 0; value < (uint64_t)1 << HISTOGRAM_TOP_BITS; value += 1 + value / 1000) {
		memset(&h, 0, sizeof(h));
		/* in the middle of three, where its bucket answers and not min or max */
		histogram_add(&h, 0);
		histogram_add(&h, value);
		histogram_add(&h, ((uint64_t)1 << HISTOGRAM_TOP_BITS) - 1);
		assert_near(histogram_percentile(&h, 50), value);
	}
}

static void count_mean_minimum_and_maximum_are_exact(void **state)
{
	static struct histogram h;
	double sum = 0;
	size_t i;

	(void)state;
	memset(&h, 0, sizeof(h));
	fill_values(&h, 4711, 30);
	for (i = 0; i < VALUES; i++)
		sum += (double)values[i];
	assert_int_equal(h.count, VALUES);
	assert_true(histogram_mean(&h) == sum / VALUES);
	assert_int_equal(histogram_percentile(&h, 0), values[0]);
	assert_int_equal(histogram_percentile(&h, 100), values[VALUES - 1]);
	assert_int_equal(h.min_ns, values[0]);
	assert_int_equal(h.max_ns, values[VALUES - 1]);
}

static void merged_is_as_if_added_to_one(void **state)
{
	static struct histogram parts[3], merged, whole;
	size_t i;

	(void)state;
	fill_values(&whole, 12, 40);
	for (i = 0; i < VALUES; i++)
		histogram_add(&parts[i * i % 3], values[i]); /* the last one stays empty */
	for (i = 0; i < 3; i++)
		histogram_merge(&merged, &parts[i]);
	assert_int_equal(parts[2].count, 0);
	assert_memory_equal(&merged, &whole, sizeof(whole));
}

static void an_empty_histogram_answers_zero(void **state)
{
	static struct histogram h, other;

	(void)state;
	assert_int_equal(histogram_percentile(&h, 50), 0);
	assert_true(histogram_mean(&h) == 0);
	histogram_merge(&h, &other);
	assert_int_equal(h.count, 0);
	histogram_add(&other, 5);
	histogram_merge(&h, &other);
	assert_int_equal(h.min_ns, 5);
}

static void longer_than_the_range_keeps_its_maximum(void **state)
{
	static struct histogram h;

	(void)state;
	histogram_add(&h, 1000);
	histogram_add(&h, UINT64_MAX / 4);
	histogram_add(&h, UINT64_MAX / 2);
	assert_int_equal(histogram_percentile(&h, 100), UINT64_MAX / 2);
	assert_near(histogram_percentile(&h, 50), ((uint64_t)1 << HISTOGRAM_TOP_BITS) - 1);
	assert_int_equal(histogram_percentile(&h, 1), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_those_of_a_sorted_list),
		cmocka_unit_test(every_value_comes_back_within_the_error),
		cmocka_unit_test(count_mean_minimum_and_maximum_are_exact),
		cmocka_unit_test(merged_is_as_if_added_to_one),
		cmocka_unit_test(an_empty_histogram_answers_zero),
		cmocka_unit_test(longer_than_the_range_keeps_its_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
