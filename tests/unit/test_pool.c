/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/pool.h: every task runs once, not more at a time than there are workers but those that
 * wait for a device, and no thread is left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "pool.h"

enum {
	TASKS = 20000,
	LIMIT_SECONDS = 20, /* for what has to happen */
	QUIET_US = 200000,  /* for what must not */
};

static atomic_uint runs[TASKS];
static struct pool_task tasks[TASKS];
static atomic_uint inside, most_inside, ended, signals_open, timeouts;

/* Takes the place of the C library's: no threads any more after threads_allowed of them. */
static unsigned threads_allowed;

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	*(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
	if (!threads_allowed)
		return EAGAIN;
	threads_allowed--;
	return create(thread, attr, start, arg);
}

/* A door that tasks wait at; who comes first shall not decide. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool open;
} door = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};

static void set_door(bool open)
{
	pthread_mutex_lock(&door.lock);
	door.open = open;
	pthread_cond_broadcast(&door.opened);
	pthread_mutex_unlock(&door.lock);
}

/* Bounded, so that a test fails instead of hanging. */
static void pass_door(void)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMIT_SECONDS;
	pthread_mutex_lock(&door.lock);
	while (!door.open && !err)
		err = pthread_cond_timedwait(&door.opened, &door.lock, &until);
	pthread_mutex_unlock(&door.lock);
	timeouts += err != 0;
}

static void enter(void)
{
	unsigned now = ++inside, seen = most_inside;

	while (now > seen && !atomic_compare_exchange_weak(&most_inside, &seen, now))
		;
}

static void note_run(const struct pool_task *task)
{
	sigset_t blocked;

	runs[task - tasks]++;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	if (!sigismember(&blocked, SIGUSR2) || !sigismember(&blocked, SIGTERM))
		signals_open++;
}

/* Runs and ends. */
static void hurry(struct pool_task *task)
{
	enter();
	note_run(task);
	inside--;
	ended++;
}

/* Runs until the door opens, and holds its worker. */
static void hold(struct pool_task *task)
{
	enter();
	note_run(task);
	pass_door();
	inside--;
	ended++;
}

/* Waits at the door as for a device. */
static void wait_at_door(struct pool_task *task)
{
	note_run(task);
	pool_wait_begin();
	enter();
	pass_door();
	inside--;
	pool_wait_end();
	ended++;
}

/* Waits, and holds its worker then until the test lets it go. */
static atomic_int let_go; /* how many of the tasks, from the first */

static void wait_and_hold(struct pool_task *task)
{
	wait_at_door(task);
	for (int i = 0; task - tasks >= let_go && i < LIMIT_SECONDS * 1000; i++)
		usleep(1000);
}

static void wait_now_and_then(struct pool_task *task)
{
	unsigned seed = (unsigned)(task - tasks);

	note_run(task);
	for (int i = rand_r(&seed) % 4; i; i--) {
		pool_wait_begin();
		usleep(500);
		pool_wait_end();
	}
	ended++;
}

static void submit(unsigned first, unsigned count, void (*run)(struct pool_task *task))
{
	for (unsigned i = first; i < first + count; i++) {
		tasks[i].run = run;
		pool_submit(&tasks[i]);
	}
}

static unsigned count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* True as soon as *counter has the value. */
static bool reaches(atomic_uint *counter, unsigned value)
{
	for (int i = 0; *counter != value && i < LIMIT_SECONDS * 1000; i++)
		usleep(1000);
	return *counter == value;
}

static bool threads_become(unsigned count, unsigned seconds)
{
	for (unsigned i = 0; count_threads() != count && i < seconds * 100; i++)
		usleep(10000);
	return count_threads() == count;
}

static unsigned threads_before;

static void *nothing(void *arg)
{
	return arg;
}

/* A sanitizer starts a thread of its own with the first one, which shall not be counted. */
static int count_threads_before(void **state)
{
	pthread_t thread;

	(void)state;
	threads_allowed = 1;
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		return -1;
	usleep(QUIET_US);
	threads_before = count_threads();
	return 0;
}

static int fresh(void **state)
{
	(void)state;
	for (int i = 0; i < TASKS; i++)
		runs[i] = 0;
	inside = most_inside = ended = signals_open = timeouts = 0;
	threads_allowed = UINT32_MAX;
	let_go = 0;
	set_door(false);
	return threads_become(threads_before, LIMIT_SECONDS) ? 0 : -1;
}

static void assert_each_ran_once(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(runs[i], 1);
	assert_int_equal(signals_open, 0);
	assert_int_equal(timeouts, 0);
}

static void every_task_runs_once_before_the_pool_ends(void **state)
{
	(void)state;
	assert_int_equal(pool_get(3), 0);
	assert_int_equal(pool_workers(), 3);
	submit(0, TASKS, hurry);
	pool_put();
	assert_int_equal(pool_workers(), 0);
	assert_each_ran_once(TASKS);
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

static unsigned default_workers(const cpu_set_t *cpus)
{
	assert_int_equal(sched_setaffinity(0, sizeof(*cpus), cpus), 0);
	assert_int_equal(pool_get(0), 0);
	unsigned workers = pool_workers();
	pool_put();
	return workers;
}

static void by_default_there_is_a_worker_for_each_cpu_of_the_process(void **state)
{
	cpu_set_t all, one;
	size_t cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(default_workers(&one), 1);
	int cpus = CPU_COUNT(&all);
	assert_int_equal(default_workers(&all), cpus < POOL_WORKERS_MAX ? cpus : POOL_WORKERS_MAX);
}

static atomic_uint hops;

static void hop(struct pool_task *task)
{
	if (hops < 999)
		pool_submit(task);
	hops++;
}

static void a_task_may_queue_itself_again(void **state)
{
	struct pool_task task = {.run = hop};

	(void)state;
	assert_int_equal(pool_get(1), 0);
	pool_submit(&task);
	assert_true(reaches(&hops, 1000));
	pool_put();
	assert_int_equal(hops, 1000);
}

static void no_more_run_at_a_time_than_there_are_workers(void **state)
{
	(void)state;
	assert_int_equal(pool_get(3), 0);
	submit(0, 10, hold);
	assert_true(reaches(&inside, 3));
	usleep(QUIET_US);
	assert_int_equal(inside, 3);
	assert_int_equal(count_threads(), threads_before + 3);
	set_door(true);
	submit(10, TASKS - 10, hurry);
	pool_put();
	assert_int_equal(most_inside, 3);
	assert_each_ran_once(TASKS);
}

static void those_that_wait_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(pool_get(1), 0);
	submit(0, 64, wait_at_door);
	assert_true(reaches(&inside, 64));
	submit(64, 1, hurry); /* nor do they hold up another */
	assert_true(reaches(&ended, 1));
	set_door(true);
	pool_put();
	assert_each_ran_once(65);
}

static void more_that_wait_than_may_count_and_the_rest_queue(void **state)
{
	enum { WORKERS = 2, COUNT = 1000, AT_ONCE = POOL_WAITING_MAX + WORKERS };

	(void)state;
	assert_int_equal(pool_get(WORKERS), 0);
	submit(0, COUNT, wait_at_door);
	assert_true(reaches(&inside, AT_ONCE));
	usleep(QUIET_US);
	assert_int_equal(inside, AT_ONCE);
	assert_int_equal(count_threads(), threads_before + AT_ONCE);
	assert_int_equal(pool_free(), 0);
	set_door(true);
	assert_true(reaches(&ended, COUNT));
	pool_put();
	assert_each_ran_once(COUNT);
	assert_in_range(most_inside, AT_ONCE, AT_ONCE);
}

/* What waits is counted, not who: after any storm as many run as before it, neither more nor less. */
static void after_a_storm_of_waits_as_many_run_as_before(void **state)
{
	enum { WORKERS = 2, STORM = 2000, AT_DOOR = POOL_WAITING_MAX - 1 };

	(void)state;
	assert_int_equal(pool_get(WORKERS), 0);
	submit(0, AT_DOOR, wait_at_door); /* near the limit, now over it and now below */
	assert_true(reaches(&inside, AT_DOOR));
	submit(AT_DOOR, STORM, wait_now_and_then);
	assert_true(reaches(&ended, STORM));
	set_door(true);
	assert_true(reaches(&ended, STORM + AT_DOOR));
	set_door(false);
	submit(STORM + AT_DOOR, 10, hold);
	assert_true(reaches(&inside, WORKERS));
	usleep(QUIET_US);
	assert_int_equal(inside, WORKERS);
	set_door(true);
	pool_put();
	assert_each_ran_once(STORM + AT_DOOR + 10);
}

static void who_comes_back_from_a_wait_goes_on_and_the_queue_waits(void **state)
{
	(void)state;
	assert_int_equal(pool_get(1), 0);
	submit(0, 1, wait_and_hold);
	assert_true(reaches(&inside, 1));
	tasks[1].run = wait_and_hold; /* in its place: two will be back, one too many */
	pool_submit(&tasks[1]);
	assert_true(reaches(&inside, 2));
	set_door(true);
	assert_true(reaches(&ended, 2));
	submit(2, 1, hurry);
	usleep(QUIET_US);
	assert_int_equal(runs[2], 0);
	let_go = 1;
	usleep(QUIET_US);
	assert_int_equal(runs[2], 0); /* one still runs, as many as may */
	let_go = 2;
	assert_true(reaches(&ended, 3));
	pool_put();
	assert_each_ran_once(3);
}

static void free_workers_are_those_that_neither_run_nor_are_replaced(void **state)
{
	(void)state;
	assert_int_equal(pool_free(), 0);
	assert_int_equal(pool_get(3), 0);
	assert_int_equal(pool_free(), 3);
	submit(0, 2, hold);
	assert_true(reaches(&inside, 2));
	assert_int_equal(pool_free(), 1);
	submit(2, 1, wait_at_door);
	assert_true(reaches(&inside, 3));
	assert_int_equal(pool_free(), 1);
	set_door(true);
	pool_put();
	assert_int_equal(pool_free(), 0);
	assert_each_ran_once(3);
}

/* The device hangs, maybe: what comes is not to be split over many threads. */
static void where_many_wait_none_is_called_free(void **state)
{
	(void)state;
	assert_int_equal(pool_get(3), 0);
	submit(0, POOL_WAITING_SPLIT - 1, wait_at_door);
	assert_true(reaches(&inside, POOL_WAITING_SPLIT - 1));
	assert_int_equal(pool_free(), 1);
	submit(POOL_WAITING_SPLIT - 1, 2, wait_at_door);
	assert_true(reaches(&inside, POOL_WAITING_SPLIT + 1));
	assert_int_equal(pool_free(), 0);
	submit(POOL_WAITING_SPLIT + 1, 1, hurry); /* which does not keep one from running */
	assert_true(reaches(&ended, 1));
	set_door(true);
	assert_true(reaches(&ended, POOL_WAITING_SPLIT + 2));
	pool_put();
	assert_each_ran_once(POOL_WAITING_SPLIT + 2);
}

static uint64_t cpu_ms(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1000;
}

static void threads_too_many_end_in_time_and_the_others_sleep(void **state)
{
	(void)state;
	assert_int_equal(pool_get(2), 0);
	submit(0, 64, wait_at_door);
	assert_true(reaches(&inside, 64));
	assert_in_range(count_threads(), threads_before + 64, threads_before + 66);
	set_door(true);
	assert_true(threads_become(threads_before + 2, POOL_IDLE_SECONDS + 15));
	uint64_t before = cpu_ms();
	sleep(4); /* the ones that stay have been idle as long as those that ended */
	assert_in_range(cpu_ms() - before, 0, 1000);
	assert_int_equal(count_threads(), threads_before + 2);
	submit(64, 1, hurry);
	assert_true(reaches(&ended, 65));
	pool_put();
	assert_each_ran_once(65);
}

/* What has been queued is done, also by threads that begin after pool_put() has. */
static void the_last_reference_ends_every_thread(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fresh(NULL), 0);
		assert_int_equal(pool_get(2), 0);
		submit(0, 300, wait_now_and_then);
		pool_put();
		assert_int_equal(ended, 300);
		assert_each_ran_once(300);
		assert_true(threads_become(threads_before, LIMIT_SECONDS));
	}
}

static void without_a_new_thread_who_comes_back_takes_the_task(void **state)
{
	(void)state;
	assert_int_equal(pool_get(1), 0);
	threads_allowed = 0;
	submit(0, 1, wait_at_door);
	assert_true(reaches(&inside, 1));
	submit(1, 10, hurry);
	usleep(QUIET_US);
	assert_int_equal(ended, 0);
	set_door(true);
	assert_true(reaches(&ended, 11));
	pool_put();
	assert_each_ran_once(11);
}

static void a_pool_without_all_its_threads_does_not_start(void **state)
{
	(void)state;
	threads_allowed = 2;
	assert_int_equal(pool_get(3), -EAGAIN);
	assert_int_equal(pool_workers(), 0);
	assert_true(threads_become(threads_before, LIMIT_SECONDS));
	threads_allowed = UINT32_MAX;
	assert_int_equal(pool_get(3), 0);
	submit(0, 100, hurry);
	pool_put();
	assert_each_ran_once(100);
}

int main(void)
{
#define FRESH(f) cmocka_unit_test_setup(f, fresh)
	const struct CMUnitTest tests[] = {
		FRESH(every_task_runs_once_before_the_pool_ends),
		FRESH(the_number_of_workers_is_one_for_all),
		FRESH(by_default_there_is_a_worker_for_each_cpu_of_the_process),
		FRESH(a_task_may_queue_itself_again),
		FRESH(no_more_run_at_a_time_than_there_are_workers),
		FRESH(those_that_wait_do_not_count),
		FRESH(more_that_wait_than_may_count_and_the_rest_queue),
		FRESH(after_a_storm_of_waits_as_many_run_as_before),
		FRESH(who_comes_back_from_a_wait_goes_on_and_the_queue_waits),
		FRESH(free_workers_are_those_that_neither_run_nor_are_replaced),
		FRESH(where_many_wait_none_is_called_free),
		FRESH(threads_too_many_end_in_time_and_the_others_sleep),
		FRESH(the_last_reference_ends_every_thread),
		FRESH(without_a_new_thread_who_comes_back_takes_the_task),
		FRESH(a_pool_without_all_its_threads_does_not_start),
	};
	return cmocka_run_group_tests(tests, count_threads_before, NULL);
}
