/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What iscsi-load is asked to do. */
#ifndef TESTS_BENCH_LOAD_OPTIONS_H
#define TESTS_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CLIENTS_MAX = 1024,
	DEPTH_MAX = 1024,
	THREADS_MAX = 64,
	SERVER_PIDS_MAX = 16,
};

struct load_options {
	char **url; /* urls of them, borrowed from argv */
	uint64_t urls;
	uint64_t clients, threads, stalled;
	uint64_t depth;          /* commands in flight for each client */
	uint64_t io_bytes;       /* of one command */
	uint64_t area_bytes;     /* of each client; 0: its share of the LUN, AREA_DEFAULT at most */
	uint64_t reads_percent;  /* the rest are writes */
	uint64_t commands_per_s; /* of all clients together; 0: as many as go */
	uint64_t seconds, warmup_s;
	uint64_t timeout_s; /* a command that takes longer is an error */
	bool random, verify, fill, quiet;
	const char *json_path; /* NULL: none; "-": stdout */
	uint64_t server_pid[SERVER_PIDS_MAX], server_pids;
};

/*
 * Takes options and URLs from the command line and fills in what depends on others. 0, or -EINVAL
 * after a line on stderr that says what to write instead; -ECANCELED when only help
 * was asked for, and given.
 */
int load_options_parse(struct load_options *opt, int argc, char **argv)
	__attribute__((warn_unused_result));

#endif
