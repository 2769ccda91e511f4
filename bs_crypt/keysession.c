/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keysession.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "keyconnect.h"
#include "note.h"
#include "process.h"
#include "proto.h"
#include "report.h"
#include "secret.h"
#include "volume.h"

enum {
	SEND_TIMEOUT_MS = 1000,
	JOIN_TIMEOUT_MS = 5000,
	RECONNECT_MS = 500,
	BUSY_MS = 50,
	BUSY_TRIES = 20,
	RETRY_MS = 5000, /* after an answer that may change, such as a damaged key file */
	PING_MS = 10000,
	SILENCE_MS = 30000, /* keyd is away when nothing came for so long */
};

struct keysession_member {
	struct keysession_member *next;
	struct session *session;
	struct volume *vol;
	bool attach_due;
	bool holding;         /* the key is here */
	int64_t grace_end_ms; /* when it is wiped, unless keyd gives it anew; 0: keyd stands by it */
	uint32_t serial;      /* of the ATTACH under way; 0: none */
	uint32_t restore;     /* serial of the RESTORE that the next answer completes; 0: none */
	int64_t retry_at_ms;  /* 0: no retry */
	bool answered;
	int rc; /* valid once answered */
	char why[PROTO_MESSAGE_BYTES];
};

struct session {
	struct session *next;
	char socket[OPTS_SOCKET_BYTES];
	pthread_t thread;
	int wake_fd; /* eventfd: the thread looks again at what follows */

	pthread_mutex_t lock; /* all below; the channel, too, once online */
	pthread_cond_t answered;
	struct keysession_member *members;
	bool stop;
	bool online;
	bool scrub_told; /* over this connection */
	struct proto_channel channel;
	uint32_t last_serial;
	int64_t connect_at_ms;
	int busy_tries; /* in vain, since the last connection */
	int64_t heard_at_ms;
	int64_t ping_at_ms;
};

static struct session *sessions; /* main thread only */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void wake(struct session *s)
{
	const uint64_t one = 1;
	ssize_t n = write(s->wake_fd, &one, sizeof(one));
	(void)n; /* a full counter wakes the thread just as well */
}

static void answer(struct keysession_member *m, int rc)
{
	m->rc = rc;
	m->answered = true;
	pthread_cond_signal(&m->session->answered);
}

/* keyd does not stand by the key any more, or cannot say: from now on it is kept for the grace. */
static void count_grace(struct keysession_member *m)
{
	if (m->holding && !m->grace_end_ms)
		m->grace_end_ms = now_ms() + (int64_t)volume_opts(m->vol)->grace_s * 1000;
}

static void key_gone(struct keysession_member *m)
{
	m->holding = false;
	m->grace_end_ms = 0;
}

/* Caller holds s->lock. */
static void go_offline(struct session *s, const char *cause)
{
	proto_channel_close(&s->channel);
	s->online = false;
	s->connect_at_ms = now_ms();
	for (struct keysession_member *m = s->members; m; m = m->next) {
		m->serial = m->restore = 0;
		count_grace(m);
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
		go_offline(s, strerror(-rc));
	return rc;
}

/* Before keyd can ask for a wipe, or learns that a key is here. Caller holds s->lock. */
static int tell_scrub(struct session *s)
{
	const struct proto_msg msg = {.type = PROTO_SCRUB};

	if (s->scrub_told || !process_scrubs())
		return 0;
	s->scrub_told = true;
	return send_message(s, &msg);
}

/* Caller holds s->lock. */
static int send_attach(struct session *s, struct keysession_member *m)
{
	struct proto_msg msg = {.type = PROTO_ATTACH};

	if (!++s->last_serial)
		s->last_serial = 1;
	msg.serial = m->serial = s->last_serial;
	m->attach_due = false;
	m->retry_at_ms = 0;
	(void)snprintf(msg.attach.uuid, sizeof(msg.attach.uuid), "%s", volume_uuid(m->vol));
	(void)snprintf(
		msg.attach.level, sizeof(msg.attach.level), "%s", volume_opts(m->vol)->level);
	(void)snprintf(msg.attach.path, sizeof(msg.attach.path), "%s", volume_path(m->vol));
	return tell_scrub(s) ?: send_message(s, &msg);
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
		rc = volume_key_apply(m->vol, reply, why, why_bytes);
		key_gone(m);
		m->holding = !rc && reply->status == PROTO_OK;
	}
	if (rc == -ENOMEM || (rc && may_change(reply->status)))
		m->retry_at_ms = now_ms() + RETRY_MS;
	return rc;
}

/* Caller holds s->lock. */
static void on_attach_reply(struct session *s, const struct proto_msg *msg)
{
	struct keysession_member *m = s->members;
	char why[PROTO_MESSAGE_BYTES] = "";

	while (m && m->serial != msg->serial)
		m = m->next;
	if (!m || !msg->serial)
		return; /* the volume was closed meanwhile */
	m->serial = 0;
	int rc = apply_answer(m, &msg->attach_reply, why, sizeof(why));
	report_answer(m, rc, why);
	memcpy(m->why, why, sizeof(why));
	if (!m->answered)
		answer(m, rc);
	if (m->restore && !m->attach_due) { /* this ATTACH was sent after the RESTORE */
		uint32_t serial = m->restore;
		m->restore = 0;
		ack_restore(s, serial);
	}
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
	bool destroy = msg->revoke.reason != PROTO_REASON_SUSPEND;

	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (!concerns(&msg->revoke, m->vol))
			continue;
		ack.revoke_ack.wiped +=
			volume_key_wipe(m->vol, destroy ? VOLUME_DESTROYED : VOLUME_NOT_READY);
		key_gone(m);
		note(report_info, "%s: key %s", volume_path(m->vol),
			destroy ? "destroyed" : "suspended");
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
	go_offline(s, "unexpected message");
}

/* Everything that has arrived. Caller holds s->lock. */
static void receive(struct session *s)
{
	while (s->online) {
		int rc = proto_recv(&s->channel, NULL, 0);
		if (rc == -EAGAIN)
			return;
		if (rc) {
			go_offline(s, rc == -EPIPE ? "connection closed" : strerror(-rc));
			return;
		}
		s->heard_at_ms = now_ms();
		dispatch(s);
		if (s->online)
			secret_wipe(s->channel.msg, sizeof(*s->channel.msg));
	}
}

/* keyd could not be had: who waits in keysession_join() is told. Caller holds s->lock. */
static void connect_failed(struct session *s, int rc, const char *cause)
{
	/* keyd has not read the end of this process's last connection yet, as a rule. */
	if (rc == -EBUSY && s->busy_tries++ < BUSY_TRIES) {
		s->connect_at_ms = now_ms() + BUSY_MS;
		return;
	}
	s->connect_at_ms = now_ms() + RECONNECT_MS;
	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (rc == -EKEYREJECTED) {
			if (volume_key_wipe(m->vol, VOLUME_NO_ACCESS))
				note(report_error, "%s: %s", volume_path(m->vol), cause);
			key_gone(m);
		}
		if (m->answered)
			continue;
		(void)snprintf(m->why, sizeof(m->why),
			"no key from keyd at %s (%s): start keyd, or name its socket with keyd=",
			s->socket, cause);
		answer(m, rc);
	}
}

/* Caller holds s->lock; it is released while connecting. */
static void try_connect(struct session *s)
{
	struct proto_channel ch = {.fd = -1};
	char cause[PROTO_MESSAGE_BYTES];

	pthread_mutex_unlock(&s->lock);
	int rc = keyconnect_open(s->socket, &ch, cause, sizeof(cause));
	pthread_mutex_lock(&s->lock);
	if (rc) {
		connect_failed(s, rc, cause);
		return;
	}
	s->channel = ch;
	s->online = true;
	s->scrub_told = false;
	s->busy_tries = 0;
	s->heard_at_ms = now_ms();
	s->ping_at_ms = s->heard_at_ms + PING_MS;
	for (struct keysession_member *m = s->members; m; m = m->next)
		m->attach_due = true;
	(void)tell_scrub(s);
}

/* Caller holds s->lock. */
static void attach_due_members(struct session *s, int64_t now)
{
	for (struct keysession_member *m = s->members; m && s->online; m = m->next) {
		if (m->retry_at_ms && now >= m->retry_at_ms)
			m->attach_due = true;
		if (m->attach_due && !m->serial)
			(void)send_attach(s, m);
	}
}

/* Caller holds s->lock. */
static void keep_alive(struct session *s, int64_t now)
{
	struct proto_msg ping = {.type = PROTO_PING};

	if (!s->online)
		return;
	if (now - s->heard_at_ms >= SILENCE_MS) {
		go_offline(s, "no answer");
	} else if (now >= s->ping_at_ms) {
		s->ping_at_ms = now + PING_MS;
		(void)send_message(s, &ping);
	}
}

/* Caller holds s->lock. */
static void expire_grace(struct session *s, int64_t now)
{
	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (!m->grace_end_ms || now < m->grace_end_ms)
			continue;
		key_gone(m);
		(void)volume_key_wipe(m->vol, VOLUME_NOT_READY);
		note(report_error,
			"%s: no word from keyd for longer than grace=%d: key wiped, not ready",
			volume_path(m->vol), volume_opts(m->vol)->grace_s);
	}
}

/* How long the thread may sleep. Caller holds s->lock. */
static int sleep_ms(const struct session *s, int64_t now)
{
	int64_t until = s->online ? s->ping_at_ms : s->connect_at_ms;

	for (const struct keysession_member *m = s->members; m; m = m->next) {
		if (s->online && m->retry_at_ms && m->retry_at_ms < until)
			until = m->retry_at_ms;
		if (m->grace_end_ms && m->grace_end_ms < until)
			until = m->grace_end_ms;
	}
	return until > now ? (int)(until - now) : 0;
}

/* Caller holds s->lock; it is released while sleeping. */
static void sleep_until_news(struct session *s)
{
	struct pollfd fds[2] = {
		{.fd = s->wake_fd, .events = POLLIN},
		{.fd = s->online ? s->channel.fd : -1, .events = POLLIN},
	};
	int timeout_ms = sleep_ms(s, now_ms());
	uint64_t count;

	pthread_mutex_unlock(&s->lock);
	(void)poll(fds, 2, timeout_ms);
	if (fds[0].revents & POLLIN) {
		ssize_t n = read(s->wake_fd, &count, sizeof(count));
		(void)n;
	}
	pthread_mutex_lock(&s->lock);
}

static void *run_session(void *arg)
{
	struct session *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		int64_t now = now_ms();
		if (!s->online && now >= s->connect_at_ms)
			try_connect(s);
		receive(s);
		attach_due_members(s, now_ms()); /* after what was received, which makes some due */
		keep_alive(s, now_ms());
		expire_grace(s, now_ms());
		if (!s->stop)
			sleep_until_news(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int start_thread(struct session *s)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&s->thread, NULL, run_session, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static void session_free(struct session *s)
{
	proto_channel_close(&s->channel);
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	pthread_cond_destroy(&s->answered);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct session *session_new(const char *socket)
{
	struct session *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	(void)snprintf(s->socket, sizeof(s->socket), "%s", socket);
	s->channel.fd = -1;
	s->connect_at_ms = now_ms();
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->answered, &attr);
	pthread_condattr_destroy(&attr);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0 || start_thread(s)) {
		session_free(s);
		return NULL;
	}
	s->next = sessions;
	sessions = s;
	return s;
}

static struct session *session_for(const char *socket)
{
	for (struct session *s = sessions; s; s = s->next) {
		if (!strcmp(s->socket, socket))
			return s;
	}
	return session_new(socket);
}

static void session_end(struct session *s)
{
	struct session **at = &sessions;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	pthread_join(s->thread, NULL);
	session_free(s);
}

/* Enters m and waits for the first answer, which it returns with its reason in why. */
static int wait_for_answer(
	struct session *s, struct keysession_member *m, char *why, size_t why_bytes)
{
	struct timespec deadline;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += JOIN_TIMEOUT_MS / 1000;
	pthread_mutex_lock(&s->lock);
	m->attach_due = true;
	m->next = s->members;
	s->members = m;
	s->connect_at_ms = 0;
	wake(s);
	while (!m->answered && !rc)
		rc = pthread_cond_timedwait(&s->answered, &s->lock, &deadline);
	rc = m->answered ? m->rc : -ETIMEDOUT;
	if (m->answered)
		(void)snprintf(why, why_bytes, "%s", m->why);
	else
		(void)snprintf(
			why, why_bytes, "keyd at %s does not answer: is it stopped?", s->socket);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int keysession_join(
	struct volume *vol, struct keysession_member **member, char *why, size_t why_bytes)
{
	const char *socket = volume_opts(vol)->keyd;
	struct keysession_member *m = calloc(1, sizeof(*m));
	struct session *s = m ? session_for(socket) : NULL;

	if (!s) {
		free(m);
		return -ENOMEM;
	}
	m->session = s;
	m->vol = vol;
	int rc = wait_for_answer(s, m, why, why_bytes);
	if (rc) {
		keysession_leave(m);
		return rc;
	}
	*member = m;
	return 0;
}

static void send_detach(struct session *s, const struct volume *vol)
{
	struct proto_msg msg = {.type = PROTO_DETACH};

	(void)snprintf(msg.volume.uuid, sizeof(msg.volume.uuid), "%s", volume_uuid(vol));
	(void)send_message(s, &msg);
}

/* Whether a LUN has the volume open: with shared=on several of one tgtd may. */
static bool is_open(const struct session *s, const char *uuid)
{
	for (const struct keysession_member *m = s->members; m; m = m->next) {
		if (!strcmp(volume_uuid(m->vol), uuid))
			return true;
	}
	return false;
}

void keysession_leave(struct keysession_member *member)
{
	if (!member)
		return;
	struct session *s = member->session;
	struct keysession_member **at = &s->members;

	pthread_mutex_lock(&s->lock);
	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	(void)volume_key_wipe(member->vol, VOLUME_NOT_READY);
	/* After the ATTACH, in the order of the socket: keyd forgets a key that it sent just now. */
	if (s->online && !is_open(s, volume_uuid(member->vol)))
		send_detach(s, member->vol);
	bool last = !s->members;
	pthread_mutex_unlock(&s->lock);
	free(member);
	if (last)
		session_end(s);
}
