/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Another key for a volume, in its session with keyd: an initiator's SANITIZE on its way there and back, and
 * the LUKS2 header that comes with the new key. A worker writes it, because the session's thread, which
 * also revokes, touches no disk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "keysession.h"
#include "keysession_private.h"
#include "luks.h"
#include "note.h"
#include "pool.h"
#include "report.h"

enum {
	SANITIZE_MS = 15 * 60 * 1000, /* longer than keyd waits for consumers at most */
	REWRITE_MS = 5000,            /* after a header that could not be written */
};

/* A header on its way to the medium, or from there. */
struct header_job {
	struct completion completion; /* first: from the worker to the main thread */
	struct pool_task task;
	struct volume *vol; /* a reference, while it is written */
	int fd;             /* owned: the memfd that keyd sent; -1: the medium's is read */
	struct luks *luks;  /* owned: what was read; NULL: nothing */
	uint32_t number;    /* of the sanitization that it belongs to */
	int rc;
};

static void job_free(struct header_job *job)
{
	if (!job)
		return;
	if (job->fd >= 0)
		(void)close(job->fd);
	luks_free(job->luks);
	free(job);
}

/* ---- SANITIZE -------------------------------------------------------------------------------------- */

static void end(struct volume_sanitization *sanitization, int rc)
{
	sanitization->rc = rc;
	complete_post(&sanitization->completion);
}

void keysession_sanitize(struct keysession_member *member, struct volume_sanitization *sanitization)
{
	if (!member) {
		end(sanitization, -EAGAIN);
		return;
	}
	atomic_store(&member->sanitize_asked, sanitization);
	keysession_look(member);
}

void keysession_sanitize_end(struct keysession_member *m, int rc)
{
	struct volume_sanitization *sanitization = m->sanitize;

	m->sanitize = NULL;
	m->sanitize_serial = 0;
	m->sanitize_replied = false;
	if (sanitization)
		end(sanitization, rc);
}

/* Caller holds s->lock. */
static void begin(struct session *s, struct keysession_member *m, int64_t now)
{
	struct volume_sanitization *asked = atomic_exchange(&m->sanitize_asked, NULL);

	if (!asked)
		return;
	m->sanitize = asked;
	m->sanitize_end_ms = now + SANITIZE_MS;
	if (!s->online || !m->holding)
		keysession_sanitize_end(m, -EAGAIN);
	else
		(void)keysession_send_sanitize(s, m);
}

static int refusal(uint32_t status)
{
	switch (status) {
	case PROTO_DENIED:
		return -EPERM;
	case PROTO_BUSY:
	case PROTO_SUSPENDED:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

void keysession_on_sanitize_reply(struct session *s, const struct proto_msg *msg)
{
	const struct proto_reply *reply = &msg->reply;
	struct keysession_member *m = s->members;

	while (m && m->sanitize_serial != msg->serial)
		m = m->next;
	if (!m || !msg->serial)
		return; /* the volume was closed meanwhile */
	m->sanitize_serial = 0;
	if (reply->status != PROTO_OK)
		note(report_error, "%s: SANITIZE: keyd: %s", volume_path(m->vol), reply->message);
	if (reply->status == PROTO_OK || reply->status == PROTO_UNPROVEN) {
		m->sanitize_replied = true;
		m->sanitize_rc = reply->status == PROTO_OK ? 0 : -EIO;
	} else {
		keysession_sanitize_end(m, refusal(reply->status));
	}
}

/* ---- The header ------------------------------------------------------------------------------------ */

/* On the main thread: to the session, if the volume is still open. */
static void hand_back(struct completion *completion)
{
	struct header_job *job = (struct header_job *)completion;
	struct volume *vol = job->vol;
	struct keysession_member *m = volume_member(vol);

	job->vol = NULL;
	if (m) {
		atomic_store(&m->header_done, job); /* the member owns it */
		keysession_look(m);
	} else {
		job_free(job);
	}
	volume_put(vol);
}

static void run(struct pool_task *task)
{
	struct header_job *job =
		(struct header_job *)(void *)((char *)task - offsetof(struct header_job, task));

	pool_wait_begin();
	job->rc = job->fd >= 0 ? volume_header_write(job->vol, job->fd)
			       : volume_header_read(job->vol, &job->luks);
	pool_wait_end();
	complete_post(&job->completion);
}

/* One at a time: two could leave a mixture of both. Caller holds s->lock. */
static void write_next(struct keysession_member *m)
{
	struct header_job *job = m->header_next;

	if (!job || m->header_writing)
		return;
	m->header_next = NULL;
	m->header_writing = true;
	job->completion.done = hand_back; /* which ends header_writing, or the member is gone */
	job->task.run = run;
	job->vol = volume_get(m->vol);
	pool_submit(&job->task);
}

static struct header_job *job_new(int fd, uint32_t number)
{
	struct header_job *job = calloc(1, sizeof(*job));

	if (!job) {
		if (fd >= 0)
			(void)close(fd);
		return NULL;
	}
	job->fd = fd;
	job->number = number;
	return job;
}

void keysession_on_header(struct session *s, const struct proto_msg *msg)
{
	struct keysession_member *m = s->members;

	while (m && m->serial != msg->serial)
		m = m->next;
	if (!m || !msg->serial || s->passed_fd < 0 ||
		strcmp(msg->header.uuid, volume_uuid(m->vol)) != 0 ||
		msg->header.header_bytes != volume_header_bytes(m->vol))
		return; /* closed meanwhile; or a key follows that fits no header, and is refused */
	job_free(m->header_came);
	struct header_job *job = job_new(s->passed_fd, msg->header.number);
	s->passed_fd = -1; /* the job owns it */
	m->header_came = job;
}

int keysession_header_fd(const struct keysession_member *m)
{
	return m->header_came ? m->header_came->fd : -1;
}

void keysession_header_applied(struct keysession_member *m, int rc)
{
	struct header_job *job = m->header_came;

	m->header_came = NULL;
	bool taken = !rc && m->holding;
	m->header_reread = m->header_reread && !taken;
	if (taken && job && !volume_read_only(m->vol)) {
		job_free(m->header_next); /* overtaken */
		m->header_next = job;
		m->header_number = job->number;
		write_next(m);
		return;
	}
	job_free(job);
	if (m->sanitize_replied) /* another LUN has written the header, or the level was suspended */
		keysession_sanitize_end(m, taken ? m->sanitize_rc : -EIO);
}

bool keysession_header_reread(struct keysession_member *m, int rc)
{
	if (rc != -ESTALE)
		return false;
	struct header_job *job = m->answered && !m->header_reread ? job_new(-1, 0) : NULL;
	if (!job) {
		(void)volume_key_wipe(m->vol, VOLUME_NO_ACCESS);
		return false;
	}
	m->header_reread = m->header_reading = true;
	job_free(m->header_next); /* of a key that is not held any more */
	m->header_next = job;
	write_next(m);
	return true;
}

void keysession_sanitize_offline(struct keysession_member *m)
{
	keysession_sanitize_end(m, -EIO);
	job_free(m->header_came);
	m->header_came = NULL;
}

/* The key that is held goes with this header. Caller holds s->lock. */
static void header_is_written(struct session *s, struct keysession_member *m)
{
	volume_header_written(m->vol);
	note(report_info, "%s: the header of its new key is written", volume_path(m->vol));
	if (s->online)
		(void)keysession_send_header_written(s, m->vol, m->header_number);
	job_free(m->header_next); /* of the same key, from another keyd */
	m->header_next = NULL;
	if (m->sanitize_replied)
		keysession_sanitize_end(m, m->sanitize_rc);
}

/* Caller holds s->lock. */
static void read_again(struct keysession_member *m, struct header_job *job, int64_t now)
{
	int rc = job->rc ? job->rc : volume_header_replace(m->vol, job->luks);

	job->luks = NULL; /* the volume took it */
	m->header_reading = false;
	m->attach_due = !rc;
	if (!rc)
		return;
	note(report_error, "%s: the LUKS2 header cannot be read again: %s", volume_path(m->vol),
		strerror(-rc));
	m->header_reread = false;
	m->retry_at_ms = now + REWRITE_MS;
}

/* Caller holds s->lock. */
static void take_back(struct session *s, struct keysession_member *m, int64_t now)
{
	struct header_job *job = atomic_exchange(&m->header_done, NULL);

	if (!job)
		return;
	m->header_writing = false;
	if (job->fd < 0) {
		read_again(m, job, now);
	} else if (job->rc) {
		note(report_error, "%s: the header of its new key cannot be written: %s",
			volume_path(m->vol), strerror(-job->rc));
		m->retry_at_ms = now + REWRITE_MS; /* keyd sends it again with the key */
		keysession_sanitize_end(m, -EIO);
	} else if (m->holding && job->number == m->header_number) {
		header_is_written(s, m);
	}
	job_free(job);
	write_next(m);
}

/* ---- The session's turns --------------------------------------------------------------------------- */

void keysession_sanitize_due(struct session *s, int64_t now)
{
	for (struct keysession_member *m = s->members; m; m = m->next) {
		begin(s, m, now);
		take_back(s, m, now);
		if (m->sanitize && now >= m->sanitize_end_ms)
			keysession_sanitize_end(m, -EIO);
	}
}

void keysession_sanitize_leave(struct keysession_member *m)
{
	struct volume_sanitization *asked = atomic_exchange(&m->sanitize_asked, NULL);

	if (asked)
		end(asked, -EAGAIN);
	keysession_sanitize_end(m, -EIO);
	job_free(atomic_exchange(&m->header_done, NULL));
	job_free(m->header_came);
	job_free(m->header_next);
}
