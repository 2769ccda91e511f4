/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "busy.h"

#include <stdint.h>
#include <time.h>

enum {
	WINDOW_NS = 2000000,
	BUSY_PERCENT = 75, /* a saturated thread is not on a CPU all the time, when there are few */
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

bool busy_lately(void)
{
	static int64_t wall_ns, cpu_ns; /* when the window began */
	static bool busy;
	int64_t wall = now_ns(CLOCK_MONOTONIC);

	if (wall - wall_ns >= WINDOW_NS) {
		int64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
		busy = (cpu - cpu_ns) * 100 > (wall - wall_ns) * BUSY_PERCENT;
		wall_ns = wall;
		cpu_ns = cpu;
	}
	return busy;
}
