/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "cpus.h"

enum { STACK_BYTES = 256 * 1024 };

/* A thread. In the idle stack while it sleeps; who wakes it has taken it out and given it a task. */
struct worker {
	pthread_cond_t wake;
	struct pool_task *task;
	bool idle; /* in the stack */
	struct worker *below;
};

static struct {
	pthread_mutex_t lock; /* all of it */
	struct pool_task *first, **last;
	struct worker *idle; /* the one that slept last on top: its caches are warm */
	unsigned limit;      /* workers that may run */
	unsigned running;    /* that have a task and do not wait; above limit when some come back */
	unsigned waiting;    /* inside pool_wait_begin() … pool_wait_end() */
	unsigned threads;
	bool stopping;
	pthread_cond_t ended; /* threads became less */

	unsigned references; /* main thread only */
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.ended = PTHREAD_COND_INITIALIZER,
	.last = &pool.first,
};

static void *work(void *arg);

/* Caller holds pool.lock. */
static struct pool_task *pop_task(void)
{
	struct pool_task *task = pool.first;

	if (task) {
		pool.first = task->next;
		if (!pool.first)
			pool.last = &pool.first;
	}
	return task;
}

/* Caller holds pool.lock. */
static void push_task(struct pool_task *task)
{
	task->next = NULL;
	*pool.last = task;
	pool.last = &task->next;
}

/* Caller holds pool.lock. */
static void push_idle(struct worker *w)
{
	w->idle = true;
	w->below = pool.idle;
	pool.idle = w;
}

/* Out of the idle stack, wherever it is. Caller holds pool.lock. */
static void leave_idle(struct worker *w)
{
	struct worker **at = &pool.idle;

	while (*at != w)
		at = &(*at)->below;
	*at = w->below;
	w->idle = false;
}

static int start_thread(struct worker *w)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&thread, &attr, work, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* A new thread that begins with task, or idle with NULL. Caller holds pool.lock. */
static int add_worker(struct pool_task *task)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return -ENOMEM;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	w->task = task;
	int rc = start_thread(w);
	if (rc) {
		pthread_cond_destroy(&w->wake);
		free(w);
		return rc;
	}
	pool.threads++;
	if (!task)
		push_idle(w);
	return 0;
}

/* Has waiting tasks run as long as there is room for them. Caller holds pool.lock. */
static void dispatch(void)
{
	while (pool.first && pool.running < pool.limit) {
		struct worker *w = pool.idle;
		if (w) {
			leave_idle(w);
			w->task = pop_task();
			pthread_cond_signal(&w->wake);
		} else if (pool.threads < POOL_WAITING_MAX + pool.limit &&
			   !add_worker(pool.first)) {
			(void)pop_task();
		} else {
			return; /* a worker that comes back takes it */
		}
		pool.running++;
	}
}

/* Sleeps until w has a task: false when w shall end instead. Caller holds pool.lock. */
static bool sleep_idle(struct worker *w)
{
	struct timespec until;
	int err = 0;

	if (!w->idle)
		push_idle(w);
	while (!w->task && !pool.stopping && !(err && pool.threads > pool.limit)) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += POOL_IDLE_SECONDS;
		err = pthread_cond_timedwait(&w->wake, &pool.lock, &until);
	}
	if (!w->task)
		leave_idle(w);
	return w->task != NULL;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	pthread_mutex_lock(&pool.lock);
	while (w->task || sleep_idle(w)) {
		pthread_mutex_unlock(&pool.lock);
		w->task->run(w->task);
		pthread_mutex_lock(&pool.lock);
		w->task = pool.running <= pool.limit ? pop_task() : NULL;
		if (!w->task)
			pool.running--;
	}
	pool.threads--;
	pthread_cond_signal(&pool.ended);
	pthread_mutex_unlock(&pool.lock);
	pthread_cond_destroy(&w->wake);
	free(w);
	return NULL;
}

/* Caller holds pool.lock. No task can come any more. */
static void stop_workers(void)
{
	pool.stopping = true;
	while (pool.threads) {
		for (struct worker *w = pool.idle; w; w = w->below)
			pthread_cond_signal(&w->wake);
		pthread_cond_wait(&pool.ended, &pool.lock);
	}
	pool.stopping = false;
	pool.limit = 0;
}

static int start_workers(unsigned workers)
{
	int rc = 0;

	pthread_mutex_lock(&pool.lock);
	pool.limit = workers;
	while (!rc && pool.threads < workers)
		rc = add_worker(NULL);
	if (rc)
		stop_workers();
	pthread_mutex_unlock(&pool.lock);
	return rc;
}

int pool_get(unsigned workers)
{
	if (pool.references && workers && workers != pool.limit)
		return -EBUSY;
	if (!pool.references) {
		int rc = start_workers(workers ? workers : cpus_usable(POOL_WORKERS_MAX));
		if (rc)
			return rc;
	}
	pool.references++;
	return 0;
}

void pool_put(void)
{
	if (--pool.references)
		return;
	pthread_mutex_lock(&pool.lock);
	stop_workers();
	pthread_mutex_unlock(&pool.lock);
}

unsigned pool_workers(void)
{
	return pool.references ? pool.limit : 0;
}

unsigned pool_free(void)
{
	pthread_mutex_lock(&pool.lock);
	unsigned count = pool.running < pool.limit ? pool.limit - pool.running : 0;
	unsigned room = pool.waiting < POOL_WAITING_SPLIT ? POOL_WAITING_SPLIT - pool.waiting : 0;
	pthread_mutex_unlock(&pool.lock);
	return count < room ? count : room;
}

void pool_submit(struct pool_task *task)
{
	pthread_mutex_lock(&pool.lock);
	push_task(task);
	dispatch();
	pthread_mutex_unlock(&pool.lock);
}

void pool_wait_begin(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.waiting++;
	if (pool.waiting <= POOL_WAITING_MAX)
		pool.running--;
	dispatch();
	pthread_mutex_unlock(&pool.lock);
}

void pool_wait_end(void)
{
	pthread_mutex_lock(&pool.lock);
	if (pool.waiting <= POOL_WAITING_MAX)
		pool.running++;
	pool.waiting--;
	pthread_mutex_unlock(&pool.lock);
}
