/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What was counted, by one thread each; joined in the end. */
#ifndef TESTS_BENCH_LOAD_STATS_H
#define TESTS_BENCH_LOAD_STATS_H

#include <stdint.h>

#include "histogram.h"
#include "mark.h"

enum {
	ERROR_KINDS_MAX = 12,
	ERROR_TEXT_BYTES = 512,
};

enum load_kind { LOAD_READ, LOAD_WRITE, LOAD_KINDS };

struct error_kind {
	char text[16]; /* "07/74/71", "status-18", "lost", "timeout", "short", and "other" */
	uint64_t count;
};

/* Commands and latencies are those of the timed part; errors and mismatches of the whole run. */
struct load_stats {
	uint64_t commands[LOAD_KINDS], bytes[LOAD_KINDS];
	struct histogram latency[LOAD_KINDS];

	uint64_t errors, lost_connections;
	struct error_kind kind[ERROR_KINDS_MAX];
	uint64_t first_error_ns;
	char first_error[ERROR_TEXT_BYTES];

	uint64_t blocks_checked, mismatches;
	uint64_t first_mismatch_ns;
	char first_mismatch[ERROR_TEXT_BYTES];
};

/* Counts an error of a kind; text, for people, is kept when it is the first. */
void stats_error(struct load_stats *stats, const char *kind, const char *text, uint64_t now_ns);

/* Counts blocks that are not what they should be; text is kept when it is the first. */
void stats_mismatch(struct load_stats *stats, uint64_t blocks, const char *text, uint64_t now_ns);

/* into becomes what it would be if it had counted everything that from has counted as well. */
void stats_merge(struct load_stats *into, const struct load_stats *from);

#endif
