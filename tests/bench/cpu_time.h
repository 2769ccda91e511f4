/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* CPU time that processes have used. */
#ifndef TESTS_BENCH_CPU_TIME_H
#define TESTS_BENCH_CPU_TIME_H

#include <sys/types.h>

/*
 * Seconds, user and system, of all threads of a process since its start, those that have ended
 * included: utime and stime of proc(5), in units of 10 ms. Negative when there is no such process.
 */
double cpu_seconds_of(pid_t pid);

/* The same of this process, more exactly. */
double cpu_seconds_own(void);

#endif
