/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "moment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

int moment_boot_id(char boot_id[MOMENT_BOOT_ID_BYTES])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, boot_id, MOMENT_BOOT_ID_BYTES - 1);
	int rc = n < 0 ? -errno : 0;
	(void)close(fd);
	boot_id[n > 0 ? n : 0] = '\0';
	boot_id[strcspn(boot_id, "\n")] = '\0';
	return rc;
}

struct moment moment_now(void)
{
	struct moment now = {.wall_s = clock_wall_seconds()};
	struct timespec ts;

	if (moment_boot_id(now.boot_id))
		now.boot_id[0] = '\0';
	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	now.boot_s = (int64_t)ts.tv_sec;
	return now;
}

int64_t moment_elapsed_s(const struct moment *since, const struct moment *now)
{
	bool same_boot = since->boot_id[0] && !strcmp(since->boot_id, now->boot_id);
	int64_t elapsed_s = same_boot ? now->boot_s - since->boot_s : now->wall_s - since->wall_s;

	return elapsed_s > 0 ? elapsed_s : 0;
}
