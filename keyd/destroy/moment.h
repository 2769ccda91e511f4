/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Time that passes for what waits on the medium, over restarts of keyd and of the machine. Within one boot it is
 * that of CLOCK_BOOTTIME, which nobody sets; over a boot there is only the wall clock, and one that went back
 * counts as standing still. So setting a clock back makes nothing happen earlier, and costs at most the time that
 * had passed before the reboot.
 */
#ifndef KEYD_MOMENT_H
#define KEYD_MOMENT_H

#include <stdint.h>

enum { MOMENT_BOOT_ID_BYTES = 40 };

struct moment {
	char boot_id[MOMENT_BOOT_ID_BYTES]; /* random(4); "" when it cannot be read */
	int64_t boot_s;                     /* CLOCK_BOOTTIME */
	int64_t wall_s;                     /* since the epoch */
};

struct moment moment_now(void);

/* Seconds from since to now, never below 0. */
int64_t moment_elapsed_s(const struct moment *since, const struct moment *now);

/* This boot's id: process numbers and CLOCK_BOOTTIME mean nothing after it. 0 or -errno. */
int moment_boot_id(char boot_id[MOMENT_BOOT_ID_BYTES]) __attribute__((warn_unused_result));

#endif
