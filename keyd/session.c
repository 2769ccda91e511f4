/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "keyd.h"
#include "log.h"
#include "secret.h"

enum { REFUSALS_A_MINUTE = 60, MINUTE_MS = 60 * 1000 };

bool session_send(
	struct keyd *keyd, struct session *session, const struct proto_msg *msg, int pass_fd)
{
	if (session->fd < 0 || session->ending)
		return false;
	keyd->io.fd = session->fd;
	int rc = proto_send(&keyd->io, msg, pass_fd, 0);
	keyd->io.fd = -1;
	if (rc) {
		if (rc != -EPIPE)
			keyd_log_peer(keyd, LOG_LEVEL_WARNING,
				"cannot send %s to pid %d (uid %u): %s: closing the connection",
				proto_type_name(msg->type), (int)session->peer.pid,
				(unsigned)session->peer.uid,
				rc == -ETIMEDOUT ? "it does not read" : strerror(-rc));
		session->ending = true;
	}
	return !rc;
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
	int rc = proto_recv(&keyd->io, NULL, 0);
	keyd->io.fd = -1;
	return rc;
}

/* False when the minute's share is used up: what is refused then is counted. */
static bool take_share(struct refusal_limit *limit)
{
	int64_t now_ms = clock_now_ms();

	if (now_ms - limit->window_start_ms >= MINUTE_MS) {
		limit->window_start_ms = now_ms;
		limit->recorded = 0;
	}
	if (limit->recorded < REFUSALS_A_MINUTE)
		return true;
	limit->dropped++;
	return false;
}

void keyd_log_peer(struct keyd *keyd, enum log_level level, const char *fmt, ...)
{
	struct refusal_limit *limit = &keyd->peers_logged;
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

void keyd_audit_refusal(struct keyd *keyd, const struct audit_event *event)
{
	struct refusal_limit *limit = &keyd->refusals;
	char detail[PROTO_MESSAGE_BYTES];
	struct audit_event refusal = *event;

	if (!take_share(limit))
		return;
	if (limit->dropped) {
		(void)snprintf(detail, sizeof(detail), "%s%s%u refusals before this not recorded",
			event->detail ? event->detail : "", event->detail ? "; " : "",
			limit->dropped);
		refusal.detail = detail;
	}
	/* Nothing is let through here: a record that cannot be written is logged by audit.c. */
	if (!audit_append(&keyd->audit, &refusal)) {
		limit->recorded++;
		limit->dropped = 0;
	}
}
