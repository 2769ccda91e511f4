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

struct answer;

/*
 * A document that is made piece by piece as the peer reads it, so that a slow reader holds one piece. What changes
 * meanwhile is listed as it is when its piece is made.
 */
struct answer_pieces {
	/* The next piece, which the answer owns; NULL: none left, or no memory (*failed). Moves the place on. */
	char *(*next)(const struct keyd *keyd, struct answer_pieces *pieces, bool *failed);
	char level[PROTO_LEVEL_BYTES]; /* whose volumes; empty: all */
	size_t level_at, volume_at;    /* the place: levels and volumes only ever come after it */
	bool begun, ended;
};

struct answer {
	bool under_way;
	char *text;                  /* owned; NULL: the document is in fd, or there is none */
	struct answer_pieces pieces; /* .next NULL: text or fd is all */
	int fd;                      /* owned; -1: none */
	uint64_t len_bytes;
	uint64_t sent_bytes;
	uint32_t serial;
	enum proto_status status;
	char message[PROTO_MESSAGE_BYTES];
};

/* Starts to send. text and fd (-1: none) are taken over; at most one of them is given. */
void answer_start(struct answer *answer, uint32_t serial, enum proto_status status,
	const char *message, char *text, int fd, uint64_t len_bytes);

/* The same for a document in pieces. */
void answer_start_pieces(
	struct answer *answer, uint32_t serial, const struct answer_pieces *pieces);

/* Sends what there is room for. False: done, with or without an error (session->ending). */
bool answer_continue(struct keyd *keyd, struct session *session, struct answer *answer);

/* Frees what is left of it. Harmless on one that was never started (fd -1). */
void answer_clear(struct answer *answer);

#endif
