/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A histogram of times in nanoseconds: fixed memory, no allocation, and every value that comes back
 * out is within HISTOGRAM_ERROR of one that went in.
 *
 * Log-linear: below 2 * HISTOGRAM_STEPS each value has a bucket of its own; above, each power of two is
 * cut into HISTOGRAM_STEPS buckets of equal width, and a bucket answers with its middle. All zero is
 * an empty histogram. Nothing here locks: one thread fills one histogram, and who joins them adds.
 */
#ifndef TESTS_BENCH_HISTOGRAM_H
#define TESTS_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_STEP_BITS = 7,
	HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS,
	HISTOGRAM_TOP_BITS = 40, /* 2^40 ns are 18 minutes: longer ones go into the last bucket */
	HISTOGRAM_BUCKETS = (HISTOGRAM_TOP_BITS - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS,
};

/* Half a bucket's width, relative to its lower end. */
#define HISTOGRAM_ERROR (0.5 / HISTOGRAM_STEPS)

struct histogram {
	uint64_t count;
	uint64_t sum_ns, min_ns, max_ns; /* exact; min_ns means nothing while count is 0 */
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value_ns);

/* into becomes what it would be if every value of from had been added to it as well. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * The value that is not exceeded by percent (0 to 100) of all values: nearest rank, so 0 is the
 * smallest, 100 the largest, both exact. 0 for an empty histogram.
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* The exact mean; 0 for an empty histogram. */
double histogram_mean(const struct histogram *h);

#endif
