/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stddef.h>

#include "histogram.h"

static const uint64_t top_ns = ((uint64_t)1 << HISTOGRAM_TOP_BITS) - 1;

/* How far values of a size are shifted to leave HISTOGRAM_STEP_BITS below their highest bit. */
static unsigned int shift_of(uint64_t value_ns)
{
	unsigned int bits = 64 - (unsigned int)__builtin_clzll(value_ns | 1);

	return bits > HISTOGRAM_STEP_BITS + 1 ? bits - HISTOGRAM_STEP_BITS - 1 : 0;
}

static size_t bucket_of(uint64_t value_ns)
{
	unsigned int shift;

	if (value_ns > top_ns)
		value_ns = top_ns;
	shift = shift_of(value_ns);
	return (size_t)shift * HISTOGRAM_STEPS + (size_t)(value_ns >> shift);
}

static uint64_t middle_of(size_t bucket)
{
	unsigned int shift = 0;
	uint64_t steps = bucket;

	if (bucket >= 2 * HISTOGRAM_STEPS) {
		shift = (unsigned int)(bucket / HISTOGRAM_STEPS - 1);
		steps = HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS;
	}
	return (steps << shift) + (((uint64_t)1 << shift) >> 1);
}

void histogram_add(struct histogram *h, uint64_t value_ns)
{
	if (!h->count || value_ns < h->min_ns)
		h->min_ns = value_ns;
	if (value_ns > h->max_ns)
		h->max_ns = value_ns;
	h->count++;
	h->sum_ns += value_ns;
	h->bucket[bucket_of(value_ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	size_t i;

	if (!from->count)
		return;
	if (!into->count || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->count += from->count;
	into->sum_ns += from->sum_ns;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	double exact = percent * (double)h->count / 100;
	uint64_t rank = (uint64_t)exact, seen = 0, value;
	size_t i = 0;

	if (!h->count)
		return 0;
	if ((double)rank < exact)
		rank++;
	if (rank <= 1)
		return h->min_ns;
	if (rank >= h->count)
		return h->max_ns;
	while (i < HISTOGRAM_BUCKETS - 1 && (seen += h->bucket[i]) < rank)
		i++;
	value = middle_of(i);
	if (value < h->min_ns)
		return h->min_ns;
	return value > h->max_ns ? h->max_ns : value;
}

double histogram_mean(const struct histogram *h)
{
	return h->count ? (double)h->sum_ns / (double)h->count : 0;
}
