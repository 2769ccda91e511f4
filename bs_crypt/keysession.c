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

#include "clock.h"
#include "keyconnect.h"
#include "keysession_private.h"
#include "note.h"
#include "report.h"

enum {
	JOIN_TIMEOUT_MS = 5000,
	RECONNECT_MS = 500,
	BUSY_MS = 50,
	BUSY_TRIES = 20,
	PING_MS = 10000,
	SILENCE_MS = 30000, /* keyd is away when nothing came for so long */
};

static struct session *sessions; /* main thread only */

static void wake(struct session *s)
{
	const uint64_t one = 1;
	ssize_t n = write(s->wake_fd, &one, sizeof(one));
	(void)n; /* a full counter wakes the thread just as well */
}

/* keyd could not be had: who waits in keysession_join() is told. Caller holds s->lock. */
static void connect_failed(struct session *s, int rc, const char *cause)
{
	/* keyd has not read the end of this process's last connection yet, as a rule. */
	if (rc == -EBUSY && s->busy_tries++ < BUSY_TRIES) {
		s->connect_at_ms = clock_now_ms() + BUSY_MS;
		return;
	}
	s->connect_at_ms = clock_now_ms() + RECONNECT_MS;
	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (rc == -EKEYREJECTED) {
			if (volume_key_wipe(m->vol, VOLUME_NO_ACCESS))
				note(report_error, "%s: %s", volume_path(m->vol), cause);
			keysession_key_gone(m);
		}
		if (m->answered)
			continue;
		(void)snprintf(m->why, sizeof(m->why),
			"no key from keyd at %s (%s): start keyd, or name its socket with keyd=",
			s->socket, cause);
		keysession_answer(m, rc);
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
	s->heard_at_ms = clock_now_ms();
	s->ping_at_ms = s->heard_at_ms + PING_MS;
	for (struct keysession_member *m = s->members; m; m = m->next)
		m->attach_due = true;
	if (!keysession_tell_grows(s))
		(void)keysession_tell_scrub(s);
}

/* Caller holds s->lock. */
static void keep_alive(struct session *s, int64_t now)
{
	if (!s->online)
		return;
	if (now - s->heard_at_ms >= SILENCE_MS) {
		keysession_go_offline(s, "no answer");
	} else if (now >= s->ping_at_ms) {
		s->ping_at_ms = now + PING_MS;
		(void)keysession_send_ping(s);
	}
}

/* Caller holds s->lock. */
static void expire_grace(struct session *s, int64_t now)
{
	for (struct keysession_member *m = s->members; m; m = m->next) {
		if (!m->grace_end_ms || now < m->grace_end_ms)
			continue;
		keysession_key_gone(m);
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
		{.fd = s->online ? s->channel.fd : -1,
			.events = (short)(POLLIN | (s->crowded ? POLLOUT : 0))},
	};
	int timeout_ms = sleep_ms(s, clock_now_ms());
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
		int64_t now = clock_now_ms();
		if (!s->online && now >= s->connect_at_ms)
			try_connect(s);
		keysession_receive(s);
		keysession_sanitize_due(s, clock_now_ms());
		keysession_settle(s);
		keysession_attach_due(s); /* after what was received, which makes some due */
		keep_alive(s, clock_now_ms());
		expire_grace(s, clock_now_ms());
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
	s->passed_fd = -1;
	s->connect_at_ms = clock_now_ms();
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

void keysession_look(struct keysession_member *member)
{
	if (member)
		wake(member->session);
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
	keysession_sanitize_leave(member);
	/* After the ATTACH, in the order of the socket: keyd forgets a key that it sent just now. */
	if (s->online && !is_open(s, volume_uuid(member->vol)))
		(void)keysession_send_detach(s, member->vol);
	bool last = !s->members;
	pthread_mutex_unlock(&s->lock);
	free(member);
	if (last)
		session_end(s);
}
