/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A thread that serves some of the clients, all in one loop. */
#ifndef TESTS_BENCH_LOAD_THREAD_H
#define TESTS_BENCH_LOAD_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "load_client.h"

/* What the threads and the one that waits for them share. */
struct load_shared {
	const struct load_options *opt;
	struct load_window window; /* start_ns is set before the threads pass "begin" */
	uint64_t load_start_ns;    /* of the warm-up; likewise */
	pthread_barrier_t filled, begin;
	_Atomic bool stop; /* asks for an early end of the filling */
};

/* For the progress line: written by the thread, read by anyone. */
struct load_progress {
	_Atomic uint64_t commands, bytes, errors, filled_places;
	_Atomic bool over; /* the thread has nothing left to do */
};

struct load_thread {
	struct load_shared *shared;
	struct load_client **client; /* clients of them, owned by the caller */
	unsigned int clients;
	struct load_stats stats;
	struct load_progress progress;

	pthread_t id;
	int epoll_fd;
	bool *wants_write;  /* for each client, what epoll was told */
	uint64_t looked_ns; /* at timeouts, last */
	uint64_t due;       /* commands that were due so far, with --rate */
	unsigned int turn;  /* whose turn it is to send the next */
};

/* Starts the thread. 0 or a negative errno. */
int load_thread_start(struct load_thread *t) __attribute__((warn_unused_result));

/* Waits until it has ended and frees what it holds; its stats are the caller's from then on. */
void load_thread_join(struct load_thread *t);

#endif
