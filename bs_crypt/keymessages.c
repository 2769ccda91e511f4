/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What is said in a session with keyd: the messages out, and what those that come in do to volumes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "keysession_private.h"
#include "note.h"
#include "process.h"
#include "report.h"
#include "secret.h"

enum {
	SEND_TIMEOUT_MS = 1000,
	RETRY_MS = 5000, /* after an answer that may change, such as a damaged key file */
};

void keysession_answer(struct keysession_member *m, int rc)
{
	m->rc = rc;
	m->answered = true;
	pthread_cond_signal(&m->session->answered);
}

/* keyd does not stand by the key any more, or cannot say: from now on it is kept for the grace. */
static void count_grace(struct keysession_member *m)
{
	if (m->holding && !m->grace_end_ms)
		m->grace_end_ms = clock_now_ms() + (int64_t)volume_opts(m->vol)->grace_s * 1000;
}

void keysession_key_gone(struct keysession_member *m)
{
	m->holding = false;
	m->grace_end_ms = 0;
}

void keysession_go_offline(struct session *s, const char *cause)
{
	proto_channel_close(&s->channel);
	s->online = s->crowded = false;
	memset(s->slots, 0, sizeof(s->slots));
	s->connect_at_ms = clock_now_ms();
	for (struct keysession_member *m = s->members; m; m = m->next) {
		m->serial = m->restore = 0;
		count_grace(m);
		keysession_sanitize_offline(m);
	}
	note(report_error,
		"keyd at %s is away (%s): I/O goes on with the keys held, for each LUN's grace",
		s->socket, cause);
}

/* Caller holds s->lock. */
static int send_message(struct session *s, const struct proto_msg *msg)
{
	int rc = proto_send(&s->channel, msg, -1, SEND_TIMEOUT_MS);

	if (rc)
		keysession_go_offline(s, strerror(-rc));
	return rc;
}

/* Before keyd learns that a volume is open here. */
int keysession_tell_grows(struct session *s)
{
	const struct proto_msg msg = {.type = PROTO_GROWS};

	return send_message(s, &msg);
}

/* Before keyd can ask for a wipe, or learns that a key is here. */
int keysession_tell_scrub(struct session *s)
{
	const struct proto_msg msg = {.type = PROTO_SCRUB};

	if (s->scrub_told || !process_scrubs())
		return 0;
	s->scrub_told = true;
	return send_message(s, &msg);
}

static void fill_store(struct proto_msg *msg, const struct keysession_member *m)
{
	*msg = (struct proto_msg){.type = PROTO_STORE};
	msg->store.store_bytes = volume_store_bytes(m->vol);
	(void)snprintf(msg->store.uuid, sizeof(msg->store.uuid), "%s", volume_uuid(m->vol));
}

/* keyd hears that the volume has grown. */
static int tell_store(struct session *s, const struct keysession_member *m)
{
	struct proto_msg msg;

	fill_store(&msg, m);
	return send_message(s, &msg);
}

static uint32_t next_serial(struct session *s)
{
	if (!++s->last_serial)
		s->last_serial = 1;
	return s->last_serial;
}

/* The slot whose ATTACH has this serial; 0: a free one. NULL: none. */
static uint32_t *find_slot(struct session *s, uint32_t serial)
{
	for (size_t i = 0; i < ATTACH_WINDOW; i++) {
		if (s->slots[i] == serial)
			return &s->slots[i];
	}
	return NULL;
}

/* keyd learns the length of the file first. The member stays due when there is no room for its messages. */
static int send_attach(struct session *s, struct keysession_member *m, uint32_t *slot)
{
	struct proto_msg msg = {.type = PROTO_ATTACH, .serial = next_serial(s)}, store;

	msg.attach.key_at = (uint32_t)(slot - s->slots) * PAGE_SLOT_BYTES;
	(void)snprintf(msg.attach.uuid, sizeof(msg.attach.uuid), "%s", volume_uuid(m->vol));
	(void)snprintf(
		msg.attach.level, sizeof(msg.attach.level), "%s", volume_opts(m->vol)->level);
	(void)snprintf(msg.attach.path, sizeof(msg.attach.path), "%s", volume_path(m->vol));
	int rc = keysession_tell_scrub(s);
	if (rc)
		return rc;
	fill_store(&store, m);
	rc = proto_send(&s->channel, &store, -1, 0) ?: proto_send(&s->channel, &msg, -1, 0);
	if (rc == -ETIMEDOUT) {
		s->crowded = true;
		return rc;
	}
	if (rc) {
		keysession_go_offline(s, strerror(-rc));
		return rc;
	}
	*slot = m->serial = msg.serial;
	m->attach_due = false;
	m->retry_at_ms = 0;
	return 0;
}

/* False: the others have to wait. */
static bool attach_those(struct session *s, bool holding)
{
	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (!m->attach_due || m->serial || m->holding != holding)
			continue;
		uint32_t *slot = find_slot(s, 0);
		if (!slot || send_attach(s, m, slot))
			return false;
	}
	return true;
}

void keysession_attach_due(struct session *s)
{
	int64_t now = clock_now_ms();

	s->crowded = false;
	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (m->retry_at_ms && now >= m->retry_at_ms) {
			m->attach_due = true;
			m->retry_at_ms = 0;
		}
	}
	/* So that a connection that breaks again and again has given each its key in the end. */
	if (s->online && attach_those(s, false))
		(void)attach_those(s, true);
}

int keysession_send_detach(struct session *s, const struct volume *vol)
{
	struct proto_msg msg = {.type = PROTO_DETACH};

	(void)snprintf(msg.volume.uuid, sizeof(msg.volume.uuid), "%s", volume_uuid(vol));
	return send_message(s, &msg);
}

int keysession_send_ping(struct session *s)
{
	const struct proto_msg ping = {.type = PROTO_PING};

	return send_message(s, &ping);
}

int keysession_send_sanitize(struct session *s, struct keysession_member *m)
{
	struct proto_msg msg = {.type = PROTO_SANITIZE};

	msg.serial = m->sanitize_serial = next_serial(s);
	(void)snprintf(msg.sanitize.uuid, sizeof(msg.sanitize.uuid), "%s", volume_uuid(m->vol));
	(void)snprintf(msg.sanitize.initiator, sizeof(msg.sanitize.initiator), "%s",
		m->sanitize->initiator);
	return send_message(s, &msg);
}

int keysession_send_header_written(struct session *s, const struct volume *vol, uint32_t number)
{
	struct proto_msg msg = {.type = PROTO_HEADER_WRITTEN};

	msg.header_written.number = number;
	(void)snprintf(
		msg.header_written.uuid, sizeof(msg.header_written.uuid), "%s", volume_uuid(vol));
	return send_message(s, &msg);
}

static bool may_change(uint32_t status)
{
	return status == PROTO_DAMAGED || status == PROTO_FAILED || status == PROTO_BUSY ||
	       status == PROTO_UNINITIALIZED;
}

/* Acknowledges a RESTORE once no volume waits for its answer any more. Caller holds s->lock. */
static void ack_restore(struct session *s, uint32_t serial)
{
	struct proto_msg ack = {.type = PROTO_RESTORE_ACK, .serial = serial};

	for (const struct keysession_member *m = s->members; m; m = m->next) {
		if (m->restore == serial)
			return;
	}
	(void)send_message(s, &ack);
}

/* Asked, answered, and as large as the answer says. Caller holds s->lock. */
static bool has_followed(const struct keysession_member *m)
{
	return !m->attach_due && !m->serial && !m->header_reading && !volume_grows(m->vol);
}

void keysession_settle(struct session *s)
{
	for (struct keysession_member *m = s->members; m && s->online; m = m->next) {
		uint32_t serial = m->restore;
		if (m->holding && volume_has_grown(m->vol) && tell_store(s, m))
			return;
		if (!serial || !has_followed(m))
			continue;
		m->restore = 0;
		ack_restore(s, serial);
	}
}

/* What became of the volume, when it is news. Caller holds s->lock. */
static void report_answer(const struct keysession_member *m, int rc, const char *why)
{
	if (rc && m->answered && strcmp(m->why, why))
		note(report_error, "%s: %s", volume_path(m->vol), why);
	else if (!rc && m->holding)
		note(report_info, "%s: key of level %s received", volume_path(m->vol),
			volume_level(m->vol));
	else if (!rc)
		note(report_info, "%s: level %s is suspended, the LUN is not ready",
			volume_path(m->vol), volume_level(m->vol));
}

/* The key is taken, kept or dropped, as keyd says. Caller holds s->lock. */
static int apply_answer(struct keysession_member *m, const struct proto_attach_reply *reply,
	char *why, size_t why_bytes)
{
	int rc;

	if (m->holding && may_change(reply->status)) {
		count_grace(m); /* keyd is there but cannot answer: as if it were away */
		(void)snprintf(why, why_bytes, "keyd: %s", reply->message);
		rc = -EAGAIN;
	} else {
		rc = volume_key_apply(m->vol, reply, keysession_header_fd(m), why, why_bytes);
		keysession_key_gone(m);
		m->holding = !rc && reply->status == PROTO_OK;
	}
	if (rc == -ENOMEM || (rc && may_change(reply->status)))
		m->retry_at_ms = clock_now_ms() + RETRY_MS;
	return rc;
}

/* keyd has taken the key back before it was read: this process was silent for longer than a revocation waits. */
static bool was_taken_back(const struct proto_attach_reply *reply)
{
	static const uint8_t none[CIPHER_KEY_MAX];

	return reply->key_bytes && !memcmp(reply->key, none, reply->key_bytes);
}

/* Caller holds s->lock. */
static void on_attach_reply(struct session *s, const struct proto_msg *msg)
{
	struct keysession_member *m = s->members;
	uint32_t *slot = msg->serial ? find_slot(s, msg->serial) : NULL;
	char why[PROTO_MESSAGE_BYTES] = "";

	if (!slot)
		return; /* never asked for */
	*slot = 0;
	while (m && m->serial != msg->serial)
		m = m->next;
	if (!m)
		return; /* the volume was closed meanwhile */
	m->serial = 0;
	if (was_taken_back(&msg->attach_reply)) {
		keysession_header_applied(m, -EAGAIN);
		m->attach_due = true;
		return;
	}
	int rc = apply_answer(m, &msg->attach_reply, why, sizeof(why));
	keysession_header_applied(m, rc);
	if (keysession_header_reread(m, rc))
		return;
	report_answer(m, rc, why);
	memcpy(m->why, why, sizeof(why));
	if (!m->answered)
		keysession_answer(m, rc);
	keysession_settle(s);
}

static bool concerns(const struct proto_revoke *revoke, const struct volume *vol)
{
	if (revoke->uuid[0])
		return !strcmp(revoke->uuid, volume_uuid(vol));
	return !strcmp(revoke->level, volume_level(vol));
}

/* Caller holds s->lock. */
static void on_revoke(struct session *s, const struct proto_msg *msg)
{
	struct proto_msg ack = {.type = PROTO_REVOKE_ACK, .serial = msg->serial};
	bool sanitize = msg->revoke.reason == PROTO_REASON_SANITIZE;
	bool destroy = !sanitize && msg->revoke.reason != PROTO_REASON_SUSPEND;

	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (!concerns(&msg->revoke, m->vol))
			continue;
		ack.revoke_ack.wiped +=
			volume_key_wipe(m->vol, destroy ? VOLUME_DESTROYED : VOLUME_NOT_READY);
		keysession_key_gone(m);
		if (!sanitize)
			keysession_sanitize_end(m, -EIO); /* one before this */
		note(report_info, "%s: key %s", volume_path(m->vol),
			sanitize  ? "is being replaced"
			: destroy ? "destroyed"
				  : "suspended");
	}
	(void)send_message(s, &ack);
	process_scrub_cached();
}

/* Caller holds s->lock. */
static void on_restore(struct session *s, const struct proto_msg *msg)
{
	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (!concerns(&msg->revoke, m->vol))
			continue;
		m->attach_due = true;
		m->restore = msg->serial; /* an earlier one is overtaken: keyd waits for this one */
	}
	ack_restore(s, msg->serial);
}

static void on_pong(struct session *s, const struct proto_msg *msg)
{
	(void)s;
	(void)msg; /* that it came is what counts: heard_at_ms */
}

static const struct {
	uint16_t type;
	void (*handle)(struct session *s, const struct proto_msg *msg);
} handlers[] = {
	{PROTO_ATTACH_REPLY, on_attach_reply},
	{PROTO_REVOKE, on_revoke},
	{PROTO_RESTORE, on_restore},
	{PROTO_PONG, on_pong},
	{PROTO_SANITIZE_REPLY, keysession_on_sanitize_reply},
	{PROTO_HEADER, keysession_on_header},
};

/* Caller holds s->lock. */
static void dispatch(struct session *s)
{
	struct proto_msg *msg = s->channel.msg;

	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (handlers[i].type == msg->type) {
			handlers[i].handle(s, msg);
			return;
		}
	}
	keysession_go_offline(s, "unexpected message");
}

void keysession_receive(struct session *s)
{
	while (s->online) {
		int rc = proto_recv(&s->channel, &s->passed_fd, 0);
		if (rc == -EAGAIN)
			return;
		if (rc) {
			keysession_go_offline(
				s, rc == -EPIPE ? "connection closed" : strerror(-rc));
			return;
		}
		s->heard_at_ms = clock_now_ms();
		dispatch(s);
		if (s->passed_fd >= 0)
			(void)close(s->passed_fd);
		s->passed_fd = -1;
		if (s->online)
			secret_wipe(s->channel.msg, sizeof(*s->channel.msg));
	}
}
