/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "load_thread.h"

enum {
	EVENTS_MAX = 64,
	WAIT_NS_MAX = 20 * 1000 * 1000,
	LOOK_NS = 250 * 1000 * 1000,
};

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
		       EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP,
	"libiscsi takes poll()'s bits, epoll gives its own");

static void forget(struct load_thread *t, unsigned int i)
{
	(void)epoll_ctl(
		t->epoll_fd, EPOLL_CTL_DEL, iscsi_get_fd(t->client[i]->session.iscsi), NULL);
}

static int watch(struct load_thread *t, unsigned int i, int how, bool wants_write)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | (wants_write ? EPOLLOUT : 0), .data.u32 = i};

	t->wants_write[i] = wants_write;
	return epoll_ctl(t->epoll_fd, how, iscsi_get_fd(t->client[i]->session.iscsi), &event);
}

static void service(struct load_thread *t, unsigned int i, int revents)
{
	struct load_client *c = t->client[i];
	bool wants_write;

	if (c->mode == CLIENT_DEAD || c->mode == CLIENT_STALLED)
		return;
	wants_write = client_service(c, revents);
	if (c->mode == CLIENT_DEAD)
		forget(t, i);
	else if (wants_write != t->wants_write[i])
		(void)watch(t, i, EPOLL_CTL_MOD, wants_write);
}

static void publish(struct load_thread *t)
{
	struct load_progress *p = &t->progress;
	const struct load_stats *s = &t->stats;
	uint64_t filled = 0;
	unsigned int i;

	for (i = 0; i < t->clients; i++)
		filled += t->client[i]->mode == CLIENT_FILLING ? t->client[i]->next_place : 0;
	atomic_store_explicit(&p->commands, s->commands[LOAD_READ] + s->commands[LOAD_WRITE],
		memory_order_relaxed);
	atomic_store_explicit(
		&p->bytes, s->bytes[LOAD_READ] + s->bytes[LOAD_WRITE], memory_order_relaxed);
	atomic_store_explicit(&p->errors, s->errors + s->mismatches, memory_order_relaxed);
	atomic_store_explicit(&p->filled_places, filled, memory_order_relaxed);
}

/* What no event tells: pauses after errors that are over, timeouts; and the progress. */
static void look_after(struct load_thread *t, uint64_t now_ns)
{
	bool all = now_ns - t->looked_ns >= LOOK_NS;
	unsigned int i;

	for (i = 0; i < t->clients; i++) {
		struct load_client *c = t->client[i];

		if (c->pause_until_ns && c->pause_until_ns <= now_ns) {
			c->pause_until_ns = 0;
			service(t, i, 0);
		}
		if (all && c->mode != CLIENT_DEAD) {
			client_check_timeout(c, now_ns);
			if (c->mode == CLIENT_DEAD)
				forget(t, i);
		}
	}
	if (all) {
		t->looked_ns = now_ns;
		publish(t);
	}
}

/* Waits for events, wait_ns at most, and serves who has any. */
static void turn(struct load_thread *t, uint64_t wait_ns)
{
	struct timespec wait = {.tv_nsec = (long)(wait_ns < WAIT_NS_MAX ? wait_ns : WAIT_NS_MAX)};
	struct epoll_event event[EVENTS_MAX];
	int n, i;

	n = epoll_pwait2(t->epoll_fd, event, EVENTS_MAX, &wait, NULL);
	for (i = 0; i < n; i++)
		service(t, event[i].data.u32, (int)event[i].events);
	look_after(t, monotonic_ns());
}

static bool any_in_mode(const struct load_thread *t, enum client_mode mode)
{
	unsigned int i;

	for (i = 0; i < t->clients; i++)
		if (t->client[i]->mode == mode)
			return true;
	return false;
}

/* Every client sends nothing new, and what is in flight comes back, or is given up. */
static void drain(struct load_thread *t)
{
	unsigned int i, in_flight;

	for (i = 0; i < t->clients; i++)
		client_idle(t->client[i]);
	do {
		in_flight = 0;
		for (i = 0; i < t->clients; i++)
			if (t->client[i]->mode == CLIENT_IDLE)
				in_flight += t->client[i]->in_flight;
		if (in_flight)
			turn(t, WAIT_NS_MAX);
	} while (in_flight);
}

static void fill_areas(struct load_thread *t)
{
	unsigned int i;
	bool filled;

	for (i = 0; i < t->clients; i++) {
		client_fill(t->client[i]);
		service(t, i, 0);
	}
	do {
		turn(t, WAIT_NS_MAX);
		filled = true;
		for (i = 0; i < t->clients; i++)
			filled = filled && client_is_filled(t->client[i]);
	} while (!filled && !t->stats.errors && !atomic_load(&t->shared->stop));
	drain(t);
}

/* When the next command of --rate is due. */
static uint64_t next_due_ns(const struct load_thread *t)
{
	const struct load_options *opt = t->shared->opt;
	double interval_ns = 1e9 * (double)opt->threads / (double)opt->commands_per_s;

	return t->shared->load_start_ns + (uint64_t)((double)t->due * interval_ns);
}

/* Sends what is due, dealt out over the clients. How long until the next is due, or may be. */
static uint64_t send_due(struct load_thread *t)
{
	uint64_t due_ns, now_ns;
	unsigned int tried;

	while ((due_ns = next_due_ns(t)) <= (now_ns = monotonic_ns())) {
		for (tried = 0; tried < t->clients; tried++) {
			t->turn = (t->turn + 1) % t->clients;
			if (client_send_due(t->client[t->turn], due_ns))
				break;
		}
		if (tried == t->clients)
			return WAIT_NS_MAX; /* until one has an answer */
		service(t, t->turn, 0);
		t->due++;
	}
	return due_ns - now_ns;
}

static void stall(struct load_thread *t)
{
	unsigned int i;

	for (i = 0; i < t->clients; i++)
		if (t->client[i]->stalls && t->client[i]->mode != CLIENT_DEAD) {
			forget(t, i);
			client_stall(t->client[i]);
		}
}

static void load(struct load_thread *t)
{
	const struct load_window *window = &t->shared->window;
	uint64_t now_ns = monotonic_ns(), wait_ns = WAIT_NS_MAX;
	bool stalled = false, only_stalls = true;
	unsigned int i;

	for (i = 0; i < t->clients; i++)
		if (!t->client[i]->stalls) {
			only_stalls = false;
			client_load(t->client[i]);
			service(t, i, 0);
		}
	while (now_ns < atomic_load_explicit(&window->end_ns, memory_order_relaxed) &&
		(only_stalls || any_in_mode(t, CLIENT_LOADING))) {
		if (!stalled && now_ns >= window->start_ns) {
			stall(t);
			stalled = true;
		}
		if (t->shared->opt->commands_per_s)
			wait_ns = send_due(t);
		turn(t, wait_ns);
		now_ns = monotonic_ns();
	}
	drain(t);
}

static void *thread_main(void *arg)
{
	struct load_thread *t = arg;
	struct load_shared *shared = t->shared;

	prctl(PR_SET_TIMERSLACK, 1ul); /* commands of --rate are due to the microsecond */
	if (shared->opt->fill)
		fill_areas(t);
	publish(t);
	pthread_barrier_wait(&shared->filled);
	pthread_barrier_wait(&shared->begin);
	if (!atomic_load(&shared->stop))
		load(t);
	publish(t);
	atomic_store(&t->progress.over, true);
	return NULL;
}

int load_thread_start(struct load_thread *t)
{
	unsigned int i;
	int ret = 0;

	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0)
		return -errno;
	t->wants_write = calloc(t->clients, sizeof(*t->wants_write));
	if (!t->wants_write)
		ret = -ENOMEM;
	for (i = 0; !ret && i < t->clients; i++)
		ret = watch(t, i, EPOLL_CTL_ADD, false) ? -errno : 0;
	if (!ret)
		ret = -pthread_create(&t->id, NULL, thread_main, t);
	if (ret) {
		free(t->wants_write);
		close(t->epoll_fd);
	}
	return ret;
}

void load_thread_join(struct load_thread *t)
{
	pthread_join(t->id, NULL);
	free(t->wants_write);
	close(t->epoll_fd);
}
