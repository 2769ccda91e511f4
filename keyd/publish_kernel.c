/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Records as AUDIT_CRYPTO_KEY_USER of the Linux audit subsystem. It wants CAP_AUDIT_WRITE; the kernel
 * drops what is sent while auditing is switched off.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libaudit.h>

#include "log.h"
#include "publish_private.h"

enum { MESSAGE_BYTES = 1024 };

enum state { UNTRIED, OPEN, AWAY };

static int audit_socket = -1;
static enum state state = UNTRIED;
static bool missed; /* said so already */

/* Said once: a kernel without auditing gets none while keyd runs. */
static void give_up(int error)
{
	log_debug("the Linux audit subsystem is not told of records: %s",
		error ? strerror(error) : "it takes none");
	publish_kernel_close();
	state = AWAY;
}

static bool be_open(void)
{
	if (state != UNTRIED)
		return state == OPEN;
	errno = 0;
	audit_socket = audit_open();
	if (audit_socket < 0)
		give_up(errno);
	else
		state = OPEN;
	return state == OPEN;
}

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
	       error == EINVAL;
}

void publish_kernel(const struct publication *p)
{
	char message[MESSAGE_BYTES];

	if (!be_open())
		return;
	fill(message, p);
	errno = 0;
	int rc = audit_log_user_message(
		audit_socket, AUDIT_CRYPTO_KEY_USER, message, "", "", "", p->passed ? 1 : 0);
	if (rc <= 0 && is_for_good(errno))
		give_up(errno);
	else if (rc <= 0 && !missed)
		log_warning("the Linux audit subsystem misses record %" PRIu64
			    " and perhaps more: %s",
			p->seq, strerror(errno));
	missed = rc <= 0;
}

void publish_kernel_close(void)
{
	if (audit_socket >= 0)
		audit_close(audit_socket);
	audit_socket = -1;
	state = UNTRIED;
}
