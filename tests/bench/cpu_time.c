/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cpu_time.h"

double cpu_seconds_of(pid_t pid)
{
	unsigned long user, system;
	char path[64], line[1024];
	const char *after_name;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	after_name = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	/* fields 3 to 15; the second, the name in brackets, may hold anything */
	if (!after_name ||
		sscanf(after_name, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user,
			&system) != 2)
		return -1;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

double cpu_seconds_own(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used))
		return -1;
	return seconds(&used.ru_utime) + seconds(&used.ru_stime);
}
