/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The worker threads of a tgtd, shared by all its LUNs. As many run at a time as the process may use
 * CPUs, however many LUNs there are. One that waits for a device says so, and does not count while
 * it waits: another takes its place, a sleeping one or a new one, so that slow storage holds up
 * neither the other LUNs nor its own depth. Threads that were needed for that end after a while
 * without work. Workers are never cancelled.
 */
#ifndef BS_CRYPT_POOL_H
#define BS_CRYPT_POOL_H

#include <stdbool.h>

enum {
	POOL_WORKERS_MAX = 64, /* that run at a time */
	POOL_WAITING_MAX =
		256, /* that wait for devices at a time; more keep their place and count */
	POOL_WAITING_SPLIT =
		64, /* that wait when commands stop being split: a hung device's take a thread each */
	POOL_IDLE_SECONDS = 10, /* before a thread too many ends */
};

struct pool_task {
	void (*run)(struct pool_task *task); /* on a worker */
	struct pool_task *next;              /* private to pool.c */
};

/*
 * Takes a reference; the first one starts the workers (0: one for each CPU of the process), all
 * signals blocked in them. Main thread only. 0, -EBUSY when the pool runs with another number of
 * workers than the one asked for, or an error of pthread_create(3).
 */
int pool_get(unsigned workers) __attribute__((warn_unused_result));

/* Gives a reference back; the last one ends the workers after the queue is empty. */
void pool_put(void);

/* Number of workers that run at a time; 0 without a reference. */
unsigned pool_workers(void);

/*
 * How many workers could start on a task at once, and not more than there are places left below
 * POOL_WAITING_SPLIT. A hint: it may be over when it returns.
 */
unsigned pool_free(void);

/* Queues task, first come first served. Any thread that knows a reference to be held. */
void pool_submit(struct pool_task *task);

/* Around calls that may wait for a device. On a worker, inside a task's run(). */
void pool_wait_begin(void);
void pool_wait_end(void);

#endif
