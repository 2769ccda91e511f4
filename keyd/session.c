/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "keyd.h"
#include "log.h"
#include "page.h"
#include "secret.h"

enum {
	LINES_A_MINUTE = 60,
	MINUTE_MS = 60 * 1000,
	QUEUED_MAX = 64,        /* what is not asked for: REVOKE, RESTORE; answers, see session.h */
	STALLED_MS = 30 * 1000, /* nothing of the queue could be sent for so long */
};

struct session_record {
	struct session_record *next;
	int fd; /* owned; -1: none */
	size_t len;
	uint8_t bytes[];
};

static void drop_first(struct session *session)
{
	struct session_record *record = session->queue;

	session->queue = record->next;
	session->queued--;
	if (record->fd >= 0)
		(void)close(record->fd);
	free(record);
}

/* Behind all that waits already. */
static int enqueue(struct session *session, const uint8_t *wire, size_t len, int pass_fd)
{
	struct session_record **at = &session->queue;

	if (!session->kind->queues || session->queued == QUEUED_MAX)
		return -ETIMEDOUT;
	struct session_record *record = malloc(sizeof(*record) + len);
	if (!record)
		return -ENOMEM;
	*record = (struct session_record){.fd = -1, .len = len};
	memcpy(record->bytes, wire, len);
	if (pass_fd >= 0) {
		record->fd = fcntl(pass_fd, F_DUPFD_CLOEXEC, 0);
		if (record->fd < 0) {
			int rc = -errno;
			free(record);
			return rc;
		}
	}
	if (!session->queue)
		session->deadline_ms = clock_now_ms() + STALLED_MS;
	while (*at)
		at = &(*at)->next;
	*at = record; /* the session owns it */
	session->queued++;
	session->wants_to_send = true;
	session->busy = session->queued >= QUEUED_MAX / 2;
	return 0;
}

static void cut_off(struct keyd *keyd, struct session *session, const char *what, int rc)
{
	if (rc != -EPIPE)
		keyd_log_peer(keyd, LOG_LEVEL_WARNING,
			"cannot send %s to pid %d (uid %u): %s: closing the connection", what,
			(int)session->peer.pid, (unsigned)session->peer.uid,
			rc == -ETIMEDOUT ? "it does not read" : strerror(-rc));
	session->ending = true;
}

bool session_send(
	struct keyd *keyd, struct session *session, const struct proto_msg *msg, int pass_fd)
{
	int rc = -ETIMEDOUT;

	if (session->fd < 0 || session->ending)
		return false;
	keyd->io.page = session->page;
	ssize_t len = proto_pack(&keyd->io, msg);
	keyd->io.page = NULL;
	if (len < 0)
		rc = (int)len;
	else if (!session->queue)
		rc = proto_send_record(session->fd, keyd->io.wire, (size_t)len, pass_fd, 0);
	if (rc == -ETIMEDOUT && len > 0)
		rc = enqueue(session, keyd->io.wire, (size_t)len, pass_fd);
	secret_wipe(keyd->io.wire, PROTO_WIRE_BYTES_MAX);
	if (rc) /* which wipes the page soon, too */
		cut_off(keyd, session, proto_type_name(msg->type), rc);
	return !rc;
}

void session_flush(struct keyd *keyd, struct session *session)
{
	int rc = 0;

	while (!rc && session->queue) {
		const struct session_record *record = session->queue;
		rc = proto_send_record(session->fd, record->bytes, record->len, record->fd, 0);
		if (rc)
			break;
		drop_first(session);
		session->deadline_ms = clock_now_ms() + STALLED_MS;
	}
	while (rc == -EPIPE && session->queue)
		drop_first(session); /* what the peer sent before its end is still to be read */
	if (rc && rc != -ETIMEDOUT && rc != -EPIPE)
		cut_off(keyd, session, "what waits", rc);
	session->busy = session->queued >= QUEUED_MAX / 2;
	session->wants_to_send = session->queue != NULL;
	if (!session->queue)
		session->deadline_ms = 0;
}

int session_new_page(struct session *session)
{
	int fd;
	uint8_t *page = page_new(&fd);

	if (!page)
		return -errno;
	page_free(session->page);
	session->page = page; /* the session owns it */
	return fd;
}

void session_close(struct session *session)
{
	if (session->fd >= 0)
		(void)close(session->fd);
	session->fd = -1;
	page_free(session->page);
	session->page = NULL;
	while (session->queue)
		drop_first(session);
	session->wants_to_send = session->busy = false;
	session->deadline_ms = 0;
}

void session_refuse_version(
	struct keyd *keyd, struct session *session, uint16_t type, const char *what_to_do)
{
	struct proto_msg msg = {.type = type, .reply.status = PROTO_INVALID};

	(void)snprintf(msg.reply.message, sizeof(msg.reply.message),
		"keyd speaks version %d of its protocol, and this program version %u: %s",
		PROTO_VERSION, (unsigned)keyd->io.peer_version, what_to_do);
	ssize_t len = proto_pack(&keyd->io, &msg);
	if (len > 0) {
		proto_set_version(keyd->io.wire, keyd->io.peer_version);
		if (proto_send_record(session->fd, keyd->io.wire, (size_t)len, -1, 0))
			log_debug("a peer of another version has no room for its refusal");
	}
	session->ending = true;
}

bool session_reply(struct keyd *keyd, struct session *session, uint16_t type, uint32_t serial,
	enum proto_status status, const char *fmt, ...)
{
	struct proto_msg *msg = keyd->io.msg;
	va_list ap;

	/* fmt's arguments may point into the message that is being answered. */
	char text[PROTO_MESSAGE_BYTES] = "";
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	secret_wipe(msg, sizeof(*msg));
	msg->type = type;
	msg->serial = serial;
	msg->reply.status = status;
	memcpy(msg->reply.message, text, sizeof(text));
	return session_send(keyd, session, msg, -1);
}

int session_recv(struct keyd *keyd, struct session *session)
{
	keyd->io.fd = session->fd;
	keyd->io.page = session->page;
	int rc = proto_recv(&keyd->io, NULL, 0);
	keyd->io.fd = -1;
	keyd->io.page = NULL;
	return rc;
}

/* False when the minute's share is used up: what is left out then is counted. */
static bool take_share(struct log_limit *limit)
{
	int64_t now_ms = clock_now_ms();

	if (now_ms - limit->window_start_ms >= MINUTE_MS) {
		limit->window_start_ms = now_ms;
		limit->recorded = 0;
	}
	if (limit->recorded < LINES_A_MINUTE)
		return true;
	limit->dropped++;
	return false;
}

void keyd_log_peer(struct keyd *keyd, enum log_level level, const char *fmt, ...)
{
	struct log_limit *limit = &keyd->peers_logged;
	char text[PROTO_MESSAGE_BYTES];
	va_list ap;

	if (!take_share(limit))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (limit->dropped)
		log_at(level, "%s; %u such lines before this are left out", text, limit->dropped);
	else
		log_at(level, "%s", text);
	limit->recorded++;
	limit->dropped = 0;
}

static void record(struct keyd *keyd, const struct audit_event *event, enum repeat_budget budget)
{
	/* Nothing is let through here. What is not recorded is counted, or logged by audit.c. */
	int rc = audit_append_repeat(&keyd->audit, event, budget);

	if (rc && rc != -EBUSY)
		log_debug("a refusal is not in the audit log: %s", strerror(-rc));
}

void keyd_audit_refusal(struct keyd *keyd, const struct audit_event *event)
{
	bool known = !event->by || policy_roles(&keyd->config.policy, event->by);

	record(keyd, event, known ? REPEAT_FREE : REPEAT_STRANGER);
}

void keyd_audit_consumer(struct keyd *keyd, const struct audit_event *event)
{
	bool known = policy_may_fetch_any(&keyd->config.policy, event->by);

	record(keyd, event, known ? REPEAT_REFUSAL : REPEAT_STRANGER);
}
