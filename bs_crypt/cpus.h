/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#ifndef BS_CRYPT_CPUS_H
#define BS_CRYPT_CPUS_H

#include <sched.h>

/* How many CPUs the process may use: at least 1, at most max. */
static inline unsigned cpus_usable(unsigned max)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	unsigned n = (unsigned)CPU_COUNT(&cpus);
	return n < max ? n : max;
}

#endif
