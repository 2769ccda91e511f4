/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

enum { CHUNKS_A_TURN = 64 }; /* 256 KiB: then it is the others' turn */

void answer_start(struct answer *answer, uint32_t serial, enum proto_status status,
	const char *message, char *text, int fd, uint64_t len_bytes)
{
	answer_clear(answer);
	*answer = (struct answer){
		.under_way = true,
		.text = text,
		.fd = fd,
		.len_bytes = len_bytes,
		.serial = serial,
		.status = status,
	};
	(void)snprintf(answer->message, sizeof(answer->message), "%s", message);
}

void answer_start_pieces(struct answer *answer, uint32_t serial, const struct answer_pieces *pieces)
{
	answer_start(answer, serial, PROTO_OK, "", NULL, -1, 0);
	answer->pieces = *pieces;
}

/* False: everything is sent. */
static bool has_more(const struct keyd *keyd, struct answer *answer)
{
	bool failed = false;

	if (answer->sent_bytes < answer->len_bytes)
		return true;
	if (!answer->pieces.next)
		return false;
	free(answer->text);
	answer->text = answer->pieces.next(keyd, &answer->pieces, &failed);
	answer->len_bytes = answer->text ? strlen(answer->text) : 0;
	answer->sent_bytes = 0;
	if (!answer->text)
		answer->pieces.next = NULL;
	if (failed) {
		answer->status = PROTO_FAILED;
		(void)snprintf(answer->message, sizeof(answer->message),
			"keyd ran out of memory while sending the list: ask again");
	}
	return answer->text != NULL;
}

/* The next chunk, not yet counted as sent. 0 or -errno. */
static int fill_chunk(const struct answer *answer, struct proto_text *chunk)
{
	uint64_t left = answer->len_bytes - answer->sent_bytes;
	size_t want = left < sizeof(chunk->bytes) ? (size_t)left : sizeof(chunk->bytes);

	memset(chunk, 0, sizeof(*chunk));
	if (answer->text) {
		memcpy(chunk->bytes, answer->text + answer->sent_bytes, want);
	} else {
		ssize_t n = pread(answer->fd, chunk->bytes, want, (off_t)answer->sent_bytes);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		want = (size_t)n;
	}
	chunk->len = (uint32_t)want;
	return 0;
}

/* Sends msg without waiting. 0; -EAGAIN: no room, later; else the session is ending. */
static int send_now(struct keyd *keyd, struct session *session, const struct proto_msg *msg)
{
	keyd->io.fd = session->fd;
	int rc = proto_send(&keyd->io, msg, -1, 0);
	keyd->io.fd = -1;
	if (rc == -ETIMEDOUT || rc == -EAGAIN)
		return -EAGAIN;
	if (rc)
		session->ending = true;
	return rc;
}

bool answer_continue(struct keyd *keyd, struct session *session, struct answer *answer)
{
	struct proto_msg *msg = keyd->io.msg;
	unsigned chunks = 0;
	int rc = 0;

	while (!rc && has_more(keyd, answer)) {
		if (chunks++ == CHUNKS_A_TURN) /* somebody reads as fast as keyd sends */
			return true;
		msg->type = PROTO_TEXT;
		msg->serial = answer->serial;
		rc = fill_chunk(answer, &msg->text);
		if (rc) {
			log_error("cannot read the document of an answer: %s", strerror(-rc));
			answer->status = PROTO_FAILED;
			answer->len_bytes = answer->sent_bytes;
			rc = 0;
			break;
		}
		uint32_t len = msg->text.len;
		rc = send_now(keyd, session, msg);
		if (!rc)
			answer->sent_bytes += len;
	}
	if (!rc) {
		*msg = (struct proto_msg){.type = PROTO_REPLY, .serial = answer->serial};
		msg->reply.status = answer->status;
		memcpy(msg->reply.message, answer->message, sizeof(answer->message));
		rc = send_now(keyd, session, msg);
	}
	if (rc == -EAGAIN)
		return true;
	answer_clear(answer);
	return false;
}

void answer_clear(struct answer *answer)
{
	free(answer->text);
	if (answer->fd >= 0)
		(void)close(answer->fd);
	*answer = (struct answer){.fd = -1};
}
