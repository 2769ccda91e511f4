/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Records as AUDIT_CRYPTO_KEY_USER of the Linux audit subsystem. It wants CAP_AUDIT_WRITE; the kernel
 * drops what is sent while auditing is switched off.
 *
 * The kernel lets a sender sleep while its backlog is full (audit_backlog_wait_time, a minute), so a
 * thread sends, from a short queue: a wipe must not wait for a stuck auditd. It never sees a secret.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libaudit.h>

#include "log.h"
#include "publish_private.h"

enum { MESSAGE_BYTES = 1024, QUEUE_MAX = 128, END_SECONDS = 1 };

struct message {
	char text[MESSAGE_BYTES];
	uint64_t seq;
	bool passed;
};

static struct {
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct message items[QUEUE_MAX];
	size_t first, count;
	bool ending;
	bool away; /* the kernel takes none: nothing is queued any more */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Of keyd's own thread. */
static pthread_t sender;
static bool started;
static bool missed; /* said so already */

/* A name=value pair; text that is not plain becomes hexadecimal, as auditd(8)'s tools expect. */
static void add(char message[MESSAGE_BYTES], const char *name, const char *value)
{
	char pair[MESSAGE_BYTES];
	size_t used = strlen(message);

	if (!value || !value[0] || strlen(value) > MESSAGE_BYTES / 4)
		return;
	if (!audit_value_needs_encoding(value, (unsigned int)strlen(value))) {
		(void)snprintf(pair, sizeof(pair), " %s=\"%s\"", name, value);
	} else {
		char *encoded = audit_encode_nv_string(name, value, (unsigned int)strlen(value));
		(void)snprintf(pair, sizeof(pair), " %s", encoded ? encoded : "");
		free(encoded);
	}
	if (used + strlen(pair) < MESSAGE_BYTES)
		memcpy(message + used, pair, strlen(pair) + 1);
}

static void fill(char message[MESSAGE_BYTES], const struct publication *p)
{
	const struct audit_event *event = p->event;

	/* "op", "uid" and "res" are fields that audit tools know; "res" is added by the library. */
	(void)snprintf(message, MESSAGE_BYTES, "op=%s keyd-seq=%" PRIu64 " req-uid=%u req-pid=%d",
		event->event, p->seq, (unsigned)p->uid, (int)p->pid);
	add(message, "level", event->level);
	add(message, "volume", event->volume);
	add(message, "detail", event->detail);
	add(message, "path", event->path);
}

/* No capability, no such subsystem, or not in this name space. The library hides some: then errno is 0. */
static bool is_for_good(int error)
{
	return !error || error == EPERM || error == ECONNREFUSED || error == EPROTONOSUPPORT ||
	       error == EAFNOSUPPORT || error == EINVAL;
}

/* False when there is no use in sending more. */
static bool send_message(int audit_socket, const struct message *m)
{
	errno = 0;
	if (audit_log_user_message(audit_socket, AUDIT_CRYPTO_KEY_USER, m->text, "", "", "",
		    m->passed ? 1 : 0) > 0)
		return true;
	if (is_for_good(errno)) {
		log_debug("the Linux audit subsystem is not told of records: %s",
			errno ? strerror(errno) : "it takes none");
		return false;
	}
	log_warning(
		"the Linux audit subsystem misses record %" PRIu64 ": %s", m->seq, strerror(errno));
	return true;
}

/* The oldest message, waited for. False: there is none, and none will come. */
static bool take(struct message *m)
{
	(void)pthread_mutex_lock(&queue.lock);
	while (!queue.count && !queue.ending)
		(void)pthread_cond_wait(&queue.changed, &queue.lock);
	bool any = queue.count > 0;
	if (any) {
		*m = queue.items[queue.first];
		queue.first = (queue.first + 1) % QUEUE_MAX;
		queue.count--;
	}
	(void)pthread_mutex_unlock(&queue.lock);
	return any;
}

static void *send_all(void *unused)
{
	struct message m;

	errno = 0;
	int audit_socket = audit_open();
	bool useful = audit_socket >= 0;
	if (!useful)
		log_debug("the Linux audit subsystem is not told of records: %s", strerror(errno));
	while (useful && take(&m))
		useful = send_message(audit_socket, &m);
	if (audit_socket >= 0)
		audit_close(audit_socket);
	(void)pthread_mutex_lock(&queue.lock);
	queue.away = true;
	(void)pthread_mutex_unlock(&queue.lock);
	return unused;
}

static bool be_started(void)
{
	if (!started && !queue.away) {
		int rc = pthread_create(&sender, NULL, send_all, NULL);
		if (rc)
			log_warning(
				"the Linux audit subsystem is not told of records: no thread: %s",
				strerror(rc));
		started = !rc;
		queue.away = rc != 0;
	}
	return started;
}

void publish_kernel(const struct publication *p)
{
	struct message m = {.seq = p->seq, .passed = p->passed};

	if (!be_started())
		return;
	fill(m.text, p);
	(void)pthread_mutex_lock(&queue.lock);
	bool full = queue.count == QUEUE_MAX;
	if (!full && !queue.away) {
		queue.items[(queue.first + queue.count) % QUEUE_MAX] = m;
		queue.count++;
	}
	(void)pthread_cond_signal(&queue.changed);
	(void)pthread_mutex_unlock(&queue.lock);
	if (full && !missed)
		log_warning("the Linux audit subsystem is slow: it misses record %" PRIu64
			    " and perhaps more",
			p->seq);
	missed = full;
}

/* What is queued is sent, if that does not take long. */
void publish_kernel_close(void)
{
	struct timespec until;

	if (!started)
		return;
	(void)pthread_mutex_lock(&queue.lock);
	queue.ending = true;
	(void)pthread_cond_signal(&queue.changed);
	(void)pthread_mutex_unlock(&queue.lock);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_SECONDS;
	if (pthread_timedjoin_np(sender, NULL, &until))
		log_warning("the Linux audit subsystem is slow: it misses the last records");
	started = false;
}
