/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* One pair of functions for each place that publish.c tells records to. */
#ifndef KEYD_PUBLISH_PRIVATE_H
#define KEYD_PUBLISH_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "audit.h"

enum { PUBLISH_SUMMARY_BYTES = 512 };

struct publication {
	const struct audit_event *event;
	uint64_t seq;
	const char *hash;
	uid_t uid; /* who asked */
	pid_t pid;
	bool passed;                         /* the result is a good one */
	char summary[PUBLISH_SUMMARY_BYTES]; /* one line, printable ASCII */
};

void publish_journal(const struct publication *p);
void publish_journal_close(void);

void publish_kernel(const struct publication *p);
void publish_kernel_close(void);

#endif
