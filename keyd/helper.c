/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "helper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "secret.h"

enum { STACK_BYTES = 512 * 1024, JOBS_MAX = 8 };

struct helper {
	struct helper_job *jobs; /* in their order; the first one is under way */
	int fd;                  /* eventfd(2): counts jobs that have ended */
	pthread_t thread;        /* of the first job, when stack is set */
	void *stack;             /* owned, secret memory */
};

int helper_open(struct keyd *keyd)
{
	struct helper *helper = calloc(1, sizeof(*helper));
	if (!helper)
		return -ENOMEM;
	helper->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (helper->fd < 0) {
		int rc = -errno;
		free(helper);
		return rc;
	}
	keyd->helper = helper; /* keyd owns it */
	return 0;
}

int helper_fd(const struct keyd *keyd)
{
	return keyd->helper ? keyd->helper->fd : -1;
}

static void tell_end(const struct helper *helper)
{
	const uint64_t one = 1;

	/* The counter never comes near its end, so this cannot block. */
	while (write(helper->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *run(void *arg)
{
	const struct helper *helper = arg;

	helper->jobs->work(helper->jobs);
	tell_end(helper);
	return NULL;
}

static int start_thread(struct helper *helper)
{
	pthread_attr_t attr;

	helper->stack = secret_alloc(STACK_BYTES);
	if (!helper->stack)
		return -errno;
	int rc = pthread_attr_init(&attr);
	if (!rc) {
		rc = pthread_attr_setstack(&attr, helper->stack, STACK_BYTES);
		if (!rc)
			rc = pthread_create(&helper->thread, &attr, run, helper);
		(void)pthread_attr_destroy(&attr);
	}
	if (rc) {
		secret_free(helper->stack);
		helper->stack = NULL;
	}
	return -rc;
}

static void begin_first(struct helper *helper)
{
	int rc = start_thread(helper);

	if (!rc)
		return;
	log_warning("there is no thread for long work, which keeps everybody waiting: %s",
		strerror(-rc));
	(void)run(helper);
}

bool helper_has_room(const struct keyd *keyd, uid_t uid)
{
	size_t jobs = 0;

	if (!keyd->helper)
		return true;
	for (const struct helper_job *job = keyd->helper->jobs; job; job = job->next)
		if (job->uid == uid || ++jobs == JOBS_MAX)
			return false;
	return true;
}

void helper_begin(struct keyd *keyd, struct helper_job *job)
{
	if (!keyd->helper) {
		job->work(job);
		job->done(keyd, job);
		return;
	}
	struct helper_job **link = &keyd->helper->jobs;
	while (*link)
		link = &(*link)->next;
	job->next = NULL;
	*link = job; /* the queue owns it */
	if (keyd->helper->jobs == job)
		begin_first(keyd->helper);
}

static void end_thread(struct helper *helper)
{
	if (helper->stack)
		(void)pthread_join(helper->thread, NULL);
	secret_free(helper->stack);
	helper->stack = NULL;
}

void helper_take(struct keyd *keyd)
{
	struct helper *helper = keyd->helper;
	uint64_t ended;

	if (read(helper->fd, &ended, sizeof(ended)) != sizeof(ended))
		return;
	end_thread(helper);
	struct helper_job *job = helper->jobs;
	helper->jobs = job->next;
	if (helper->jobs)
		begin_first(helper);
	job->done(keyd, job);
}

void helper_close(struct keyd *keyd)
{
	struct helper *helper = keyd->helper;

	if (!helper)
		return;
	end_thread(helper);
	while (helper->jobs) {
		struct helper_job *job = helper->jobs;
		helper->jobs = job->next;
		job->drop(job);
	}
	(void)close(helper->fd);
	free(helper);
	keyd->helper = NULL;
}
