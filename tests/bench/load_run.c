/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cpu_time.h"
#include "load_run.h"
#include "load_thread.h"

enum { SLICE_NS = 100 * 1000 * 1000 };

static const uint64_t second_ns = 1000000000u;

struct run {
	const struct load_options *opt;
	struct load_shared shared;
	struct load_client *client; /* opt->clients of them */
	struct load_client **dealt; /* to the threads, the first thread's first */
	struct load_thread *thread; /* opt->threads of them */
	unsigned int started;       /* threads */
	double server_cpu_s, own_cpu_s;
	bool progress; /* a terminal is there, and asked for */
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* ---- progress ------------------------------------------------------------------------------ */

static struct load_progress total(struct run *run)
{
	struct load_progress sum = {.over = true};
	unsigned int i;

	for (i = 0; i < run->started; i++) {
		struct load_progress *p = &run->thread[i].progress;

		sum.commands += atomic_load_explicit(&p->commands, memory_order_relaxed);
		sum.bytes += atomic_load_explicit(&p->bytes, memory_order_relaxed);
		sum.errors += atomic_load_explicit(&p->errors, memory_order_relaxed);
		sum.filled_places += atomic_load_explicit(&p->filled_places, memory_order_relaxed);
		sum.over = sum.over && atomic_load(&p->over);
	}
	return sum;
}

static void show_progress(struct run *run, uint64_t now_ns, struct load_progress *last)
{
	struct load_progress now = total(run);
	const struct load_window *window = &run->shared.window;

	if (!run->progress)
		return;
	if (now_ns < window->start_ns)
		fprintf(stderr, "\r%-70s", "warming up");
	else
		fprintf(stderr,
			"\r%6" PRIu64 " s %10.1f MB/s %10" PRIu64 " IOPS %8" PRIu64 " errors%20s",
			(now_ns - window->start_ns) / second_ns,
			(double)(now.bytes - last->bytes) / 1e6, now.commands - last->commands,
			now.errors, "");
	*last = now;
}

static void end_progress(const struct run *run)
{
	if (run->progress)
		fprintf(stderr, "\r%-75s\r", "");
}

/* ---- the clock ----------------------------------------------------------------------------- */

static void sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / second_ns), .tv_nsec = (long)(ns % second_ns)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL); /* signals may end it */
}

static double server_cpu(const struct load_options *opt)
{
	double sum = 0, one;
	uint64_t i;

	for (i = 0; i < opt->server_pids; i++) {
		one = cpu_seconds_of((pid_t)opt->server_pid[i]);
		if (one < 0)
			return -1;
		sum += one;
	}
	return sum;
}

/* Sleeps until ns, with progress. False when the load is to end, or has. */
static bool watch_until(
	struct run *run, uint64_t ns, struct load_progress *last, uint64_t *shown_ns)
{
	uint64_t now_ns = monotonic_ns();

	while (now_ns < ns && !stop_asked && !total(run).over) {
		sleep_until(ns - now_ns < SLICE_NS ? ns : now_ns + SLICE_NS);
		now_ns = monotonic_ns();
		if (now_ns - *shown_ns >= second_ns) {
			*shown_ns = now_ns;
			show_progress(run, now_ns, last);
		}
	}
	return !stop_asked && !total(run).over;
}

static void measure(struct run *run)
{
	struct load_window *window = &run->shared.window;
	struct load_progress last = {0};
	uint64_t shown_ns = run->shared.load_start_ns, now_ns;
	double server_s, own_s;

	(void)watch_until(run, window->start_ns, &last, &shown_ns);
	server_s = server_cpu(run->opt);
	own_s = cpu_seconds_own();
	if (!watch_until(run, atomic_load(&window->end_ns), &last, &shown_ns)) {
		now_ns = monotonic_ns();
		atomic_store(
			&window->end_ns, now_ns > window->start_ns ? now_ns : window->start_ns);
	}
	run->server_cpu_s = server_cpu(run->opt);
	if (run->server_cpu_s >= 0 && server_s >= 0)
		run->server_cpu_s -= server_s;
	run->own_cpu_s = cpu_seconds_own() - own_s;
	end_progress(run);
}

/* Waits until all areas are filled; the threads wait behind "begin" then. */
static void wait_for_filling(struct run *run)
{
	if (run->opt->fill && run->progress)
		fprintf(stderr, "\r%-70s", "filling");
	pthread_barrier_wait(&run->shared.filled);
}

static void begin(struct run *run)
{
	struct load_shared *shared = &run->shared;
	unsigned int i;

	for (i = 0; i < run->started; i++)
		if (run->opt->fill && run->thread[i].stats.errors)
			atomic_store(&shared->stop, true); /* nothing to measure */
	if (stop_asked)
		atomic_store(&shared->stop, true);
	shared->load_start_ns = monotonic_ns();
	shared->window.start_ns = shared->load_start_ns + run->opt->warmup_s * second_ns;
	atomic_store(
		&shared->window.end_ns, shared->window.start_ns + run->opt->seconds * second_ns);
	pthread_barrier_wait(&shared->begin);
}

/* ---- clients and threads ------------------------------------------------------------------- */

/* Clients whose URLs are the same share a LUN. */
static struct client_share share_of(const struct load_options *opt, unsigned int index)
{
	const char *url = opt->url[index % opt->urls];
	struct client_share share = {0};
	unsigned int i;

	for (i = 0; i < opt->clients; i++)
		if (!strcmp(opt->url[i % opt->urls], url)) {
			share.share += i < index;
			share.shares++;
		}
	return share;
}

static int open_clients(struct run *run)
{
	const struct load_options *opt = run->opt;
	uint64_t run_id = monotonic_ns() ^ (uint64_t)getpid() << 20;
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < opt->clients; i++) {
		struct load_client *c = &run->client[i];
		struct client_share share = share_of(opt, i);

		c->opt = opt;
		c->window = &run->shared.window;
		c->stats = &run->thread[i % opt->threads].stats;
		c->url = opt->url[i % opt->urls];
		c->index = i;
		c->stalls = i < opt->stalled;
		c->writer = run_id << 16 | (i + 1);
		/* libiscsi has no timeout for connecting: a signal ends that */
		alarm((unsigned int)opt->timeout_s + 1);
		ret = client_open(c, &share);
		alarm(0);
		if (!ret && stop_asked)
			ret = -EINTR;
	}
	return ret;
}

static int start_threads(struct run *run)
{
	const struct load_options *opt = run->opt;
	unsigned int i, j, dealt = 0;
	int ret = 0;

	for (i = 0; i < opt->threads; i++) {
		run->thread[i].shared = &run->shared;
		run->thread[i].client = run->dealt + dealt;
		for (j = i; j < opt->clients; j += (unsigned int)opt->threads)
			run->dealt[dealt++] = &run->client[j];
		run->thread[i].clients = (unsigned int)(run->dealt + dealt - run->thread[i].client);
	}
	for (i = 0; !ret && i < opt->threads; i++) {
		ret = load_thread_start(&run->thread[i]);
		run->started += !ret;
	}
	if (ret)
		fprintf(stderr, "iscsi-load: cannot start thread %u: %s; give fewer --threads\n", i,
			strerror(-ret));
	return ret;
}

static int take_result(struct run *run, struct load_result *result)
{
	const struct load_window *window = &run->shared.window;
	unsigned int i;

	memset(result, 0, sizeof(*result));
	result->seconds = (double)(atomic_load(&window->end_ns) - window->start_ns) / 1e9;
	result->interrupted = stop_asked;
	result->server_cpu_s = run->opt->server_pids ? run->server_cpu_s : -1;
	result->own_cpu_s = run->own_cpu_s;
	for (i = 0; i < run->opt->threads; i++)
		stats_merge(&result->stats, &run->thread[i].stats);
	result->client_bytes_per_s = calloc(run->opt->clients, sizeof(double));
	if (!result->client_bytes_per_s)
		return -ENOMEM;
	for (i = 0; i < run->opt->clients; i++) {
		const struct load_client *c = &run->client[i];

		result->stalled_bytes += c->stalled_bytes;
		result->unread_bytes += c->unread_bytes;
		if (!c->stalls)
			result->client_bytes_per_s[result->clients++] =
				result->seconds > 0 ? (double)c->bytes / result->seconds : 0;
	}
	return 0;
}

static void run_threads(struct run *run)
{
	unsigned int i;

	wait_for_filling(run);
	begin(run);
	measure(run);
	for (i = 0; i < run->started; i++)
		load_thread_join(&run->thread[i]);
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* A descriptor for each client, and a few. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* else libiscsi will say that there are too few */
}

/* The signals go to the thread that calls this: the others, started later, inherit the mask. */
static void catch_signals(int how)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t set;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = on_alarm;
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* libiscsi writes to a target that may just have died */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(how, &set, NULL);
}

static int allocate(struct run *run)
{
	const struct load_options *opt = run->opt;

	run->client = calloc(opt->clients, sizeof(*run->client));
	run->dealt = calloc(opt->clients, sizeof(*run->dealt));
	run->thread = calloc(opt->threads, sizeof(*run->thread));
	if (!run->client || !run->dealt || !run->thread)
		return -ENOMEM;
	pthread_barrier_init(&run->shared.filled, NULL, (unsigned int)opt->threads + 1);
	pthread_barrier_init(&run->shared.begin, NULL, (unsigned int)opt->threads + 1);
	return 0;
}

static int check_servers(const struct load_options *opt)
{
	uint64_t i;

	for (i = 0; i < opt->server_pids; i++)
		if (cpu_seconds_of((pid_t)opt->server_pid[i]) < 0) {
			fprintf(stderr,
				"iscsi-load: --server-pid %" PRIu64
				": no such process here; give the target's\n",
				opt->server_pid[i]);
			return -EINVAL;
		}
	return 0;
}

int load_run(const struct load_options *opt, struct load_result *result)
{
	struct run run = {
		.opt = opt, .shared.opt = opt, .progress = !opt->quiet && isatty(STDERR_FILENO)};
	unsigned int i;
	int ret;

	allow_descriptors();
	catch_signals(SIG_BLOCK);
	catch_signals(SIG_UNBLOCK);
	ret = check_servers(opt);
	if (!ret)
		ret = allocate(&run);
	if (!ret)
		ret = open_clients(&run);
	if (!ret) {
		catch_signals(SIG_BLOCK);
		ret = start_threads(&run);
		catch_signals(SIG_UNBLOCK);
	}
	if (!ret)
		run_threads(&run);
	else if (run.started)
		exit(EXIT_FAILURE); /* the others wait for a thread that is not there */
	for (i = 0; run.client && i < opt->clients; i++)
		client_close(&run.client[i]);
	if (!ret)
		ret = take_result(&run, result);
	free(run.client);
	free(run.dealt);
	free(run.thread);
	return ret;
}
