/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/pool.h: every task runs once, on a numbered worker, also while the pool ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <pthread.h>
#include <unistd.h>

#include "pool.h"

enum { TASKS = 20000 };

static atomic_uint runs[TASKS];
static atomic_uint highest_worker, signals_open;
static struct pool_task tasks[TASKS];

static void count_run(struct pool_task *task, unsigned worker)
{
	unsigned seen = highest_worker;
	sigset_t blocked;

	runs[task - tasks]++;
	while (worker > seen && !atomic_compare_exchange_weak(&highest_worker, &seen, worker))
		;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	if (!sigismember(&blocked, SIGUSR2) || !sigismember(&blocked, SIGTERM))
		signals_open++;
}

static void every_task_runs_once_before_the_pool_ends(void **state)
{
	(void)state;
	assert_int_equal(pool_get(3), 0);
	assert_int_equal(pool_workers(), 3);
	for (int i = 0; i < TASKS; i++) {
		tasks[i].run = count_run;
		pool_submit(&tasks[i]);
	}
	pool_put();
	assert_int_equal(pool_workers(), 0);
	for (int i = 0; i < TASKS; i++)
		assert_int_equal(runs[i], 1);
	assert_in_range(highest_worker, 0, 2);
	assert_int_equal(signals_open, 0);
}

static void the_number_of_workers_is_one_for_all(void **state)
{
	(void)state;
	assert_int_equal(pool_get(2), 0);
	assert_int_equal(pool_get(2), 0);
	assert_int_equal(pool_get(0), 0); /* no wish: what there is */
	assert_int_equal(pool_get(4), -EBUSY);
	pool_put();
	pool_put();
	assert_int_equal(pool_workers(), 2);
	pool_put();
	assert_int_equal(pool_get(4), 0); /* free to choose again */
	assert_int_equal(pool_workers(), 4);
	pool_put();
}

static void by_default_there_is_a_worker_for_each_cpu(void **state)
{
	(void)state;
	assert_int_equal(pool_get(0), 0);
	assert_in_range(pool_workers(), 1, (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
	pool_put();
}

static atomic_int hops;

static void hop(struct pool_task *task, unsigned worker)
{
	(void)worker;
	if (++hops < 1000)
		pool_submit(task);
}

static void a_task_may_queue_itself_again(void **state)
{
	struct pool_task task = {.run = hop};

	(void)state;
	assert_int_equal(pool_get(2), 0);
	pool_submit(&task);
	while (hops < 1000)
		usleep(1000);
	pool_put();
	assert_int_equal(hops, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_task_runs_once_before_the_pool_ends),
		cmocka_unit_test(the_number_of_workers_is_one_for_all),
		cmocka_unit_test(by_default_there_is_a_worker_for_each_cpu),
		cmocka_unit_test(a_task_may_queue_itself_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
