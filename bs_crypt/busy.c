/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "busy.h"

#include <stdint.h>
#include <time.h>

enum {
	WINDOW_NS = 2000000,
	BUSY_PERCENT = 75, /* a saturated thread is not on a CPU all the time, when there are few */
	MANY_PERCENT = 25, /* of the commands are from another client than the one before */
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static struct {
	int64_t wall_ns, cpu_ns;    /* when the window began */
	unsigned commands, changes; /* of clients, since then */
	const void *client;         /* the last one */
	bool busy, many;            /* in the window before */
} window;

void busy_note_client(const void *client)
{
	window.commands++;
	window.changes += client != window.client;
	window.client = client;
}

bool busy_lately(void)
{
	int64_t wall = now_ns(CLOCK_MONOTONIC);

	if (wall - window.wall_ns >= WINDOW_NS) {
		int64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
		window.busy = (cpu - window.cpu_ns) * 100 > (wall - window.wall_ns) * BUSY_PERCENT;
		window.many = window.changes * 100 > window.commands * MANY_PERCENT;
		window.wall_ns = wall;
		window.cpu_ns = cpu;
		window.commands = window.changes = 0;
	}
	return window.busy;
}

bool busy_with_many(void)
{
	return window.many;
}
