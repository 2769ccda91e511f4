/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The worker threads of a tgtd, shared by all its LUNs: as many as the process may use CPUs, never
 * a thread for each LUN. Workers are never cancelled.
 */
#ifndef BS_CRYPT_POOL_H
#define BS_CRYPT_POOL_H

enum { POOL_WORKERS_MAX = 64 };

struct pool_task {
	/* Runs on a worker; worker counts from 0 and is below pool_workers(). */
	void (*run)(struct pool_task *task, unsigned worker);
	struct pool_task *next; /* private to pool.c */
};

/*
 * Takes a reference; the first one starts the workers (0: one for each CPU of the process), all
 * signals blocked in them. Main thread only. 0, -EBUSY when the pool runs with another number of
 * workers than the one asked for, or an error of pthread_create(3).
 */
int pool_get(unsigned workers) __attribute__((warn_unused_result));

/* Gives a reference back; the last one ends and joins the workers after the queue is empty. */
void pool_put(void);

/* Number of workers that run; 0 without a reference. */
unsigned pool_workers(void);

/* Queues task, first come first served. Any thread that knows a reference to be held. */
void pool_submit(struct pool_task *task);

#endif
