/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static struct {
	pthread_mutex_t lock; /* queue and stopping */
	pthread_cond_t wake;
	struct pool_task *first, **last;
	bool stopping;

	/* Main thread only. */
	unsigned references;
	unsigned workers;
	pthread_t threads[POOL_WORKERS_MAX];
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER,
	.last = &pool.first,
};

/* The next task, or NULL when the pool ends and the queue is empty. */
static struct pool_task *take(void)
{
	struct pool_task *task;

	pthread_mutex_lock(&pool.lock);
	while (!pool.first && !pool.stopping)
		pthread_cond_wait(&pool.wake, &pool.lock);
	task = pool.first;
	if (task) {
		pool.first = task->next;
		if (!pool.first)
			pool.last = &pool.first;
	}
	pthread_mutex_unlock(&pool.lock);
	return task;
}

static void *work(void *arg)
{
	unsigned worker = (unsigned)(uintptr_t)arg;
	struct pool_task *task;

	while ((task = take()))
		task->run(task, worker);
	return NULL;
}

static unsigned usable_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	unsigned n = (unsigned)CPU_COUNT(&cpus);
	return n < POOL_WORKERS_MAX ? n : POOL_WORKERS_MAX;
}

static void stop_workers(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.stopping = true;
	pthread_cond_broadcast(&pool.wake);
	pthread_mutex_unlock(&pool.lock);
	while (pool.workers)
		pthread_join(pool.threads[--pool.workers], NULL);
	pool.stopping = false;
}

static int start_workers(unsigned workers)
{
	sigset_t all, before;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (!err && pool.workers < workers) {
		void *arg = (void *)(uintptr_t)pool.workers;
		err = pthread_create(&pool.threads[pool.workers], NULL, work, arg);
		if (!err)
			pool.workers++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		stop_workers();
	return -err;
}

int pool_get(unsigned workers)
{
	if (pool.references && workers && workers != pool.workers)
		return -EBUSY;
	if (!pool.references) {
		int rc = start_workers(workers ? workers : usable_cpus());
		if (rc)
			return rc;
	}
	pool.references++;
	return 0;
}

void pool_put(void)
{
	if (!--pool.references)
		stop_workers();
}

unsigned pool_workers(void)
{
	return pool.workers;
}

void pool_submit(struct pool_task *task)
{
	task->next = NULL;
	pthread_mutex_lock(&pool.lock);
	*pool.last = task;
	pool.last = &task->next;
	pthread_cond_signal(&pool.wake);
	pthread_mutex_unlock(&pool.lock);
}
