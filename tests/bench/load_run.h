/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A whole run: connects, fills, warms up, measures, and says what was counted. */
#ifndef TESTS_BENCH_LOAD_RUN_H
#define TESTS_BENCH_LOAD_RUN_H

#include "load_options.h"
#include "load_stats.h"

struct load_result {
	struct load_stats stats;
	double seconds;   /* of the timed part */
	bool interrupted; /* by a signal: the timed part is shorter than asked for */
	double *client_bytes_per_s;
	unsigned int clients; /* in client_bytes_per_s: those that do not stall */
	uint64_t stalled_bytes, unread_bytes;
	double server_cpu_s, own_cpu_s; /* in the timed part; server_cpu_s < 0: not measured */
};

/*
 * Runs to the end, or until SIGINT or SIGTERM, or until no client has a connection. 0 when there is a result, with errors and mismatches
 * counted in it; a negative errno after a line on stderr when the load could not begin, -EINVAL when that is
 * for the options. The caller
 * frees result->client_bytes_per_s.
 */
int load_run(const struct load_options *opt, struct load_result *result)
	__attribute__((warn_unused_result));

#endif
