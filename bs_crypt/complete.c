/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "complete.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tgt.h"

static int event_fd = -1;
static _Atomic(struct completion *) newest; /* a stack, newest first */

/* The whole stack, oldest first. */
static struct completion *take_all(void)
{
	struct completion *stack = atomic_exchange(&newest, NULL);
	struct completion *queue = NULL;

	while (stack) {
		struct completion *next = stack->next;
		stack->next = queue;
		queue = stack;
		stack = next;
	}
	return queue;
}

static void drain(int fd, int events, void *data)
{
	uint64_t count;

	(void)events;
	(void)data;
	/* Read first: what is posted after take_all() raises the eventfd again. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	for (struct completion *c = take_all(), *next; c; c = next) {
		next = c->next;
		c->done(c);
	}
}

int complete_init(void)
{
	if (event_fd >= 0)
		return 0;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (tgt_event_add(fd, EPOLLIN, drain, NULL)) {
		(void)close(fd);
		return -ENOMEM;
	}
	event_fd = fd;
	return 0;
}

void complete_post(struct completion *completion)
{
	const uint64_t one = 1;
	struct completion *old = atomic_load(&newest);

	do {
		completion->next = old;
	} while (!atomic_compare_exchange_weak(&newest, &old, completion));
	if (!old) { /* the first of a batch wakes the loop for all of it */
		ssize_t n = write(event_fd, &one, sizeof(one));
		(void)n; /* fails only on a full counter, which wakes the loop just as well */
	}
}
