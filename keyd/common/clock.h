/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The two clocks of keyd: one for timeouts, one for people. */
#ifndef KEYD_CLOCK_H
#define KEYD_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC: never steps, means nothing after a reboot. */
static inline int64_t clock_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Seconds since the epoch. */
static inline int64_t clock_wall_seconds(void)
{
	return (int64_t)time(NULL);
}

#endif
