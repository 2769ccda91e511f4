/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The answer to an admin request on its way out: a document in TEXT chunks, then REPLY. It is sent as
 * the peer reads, so that a long one (the audit log) takes neither memory nor anybody else's time.
 */
#ifndef KEYD_ANSWER_H
#define KEYD_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "keyd.h"
#include "session.h"

struct answer {
	bool under_way;
	char *text; /* owned; NULL: the document is in fd, or there is none */
	int fd;     /* owned; -1: none */
	uint64_t len_bytes;
	uint64_t sent_bytes;
	uint32_t serial;
	enum proto_status status;
	char message[PROTO_MESSAGE_BYTES];
};

/* Starts to send. text and fd (-1: none) are taken over; at most one of them is given. */
void answer_start(struct answer *answer, uint32_t serial, enum proto_status status,
	const char *message, char *text, int fd, uint64_t len_bytes);

/* Sends what there is room for. False: done, with or without an error (session->ending). */
bool answer_continue(struct keyd *keyd, struct session *session, struct answer *answer);

/* Frees what is left of it. Harmless on one that was never started (fd -1). */
void answer_clear(struct answer *answer);

#endif
