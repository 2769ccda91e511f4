/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A connection, or what is left of one: a consumer whose connection broke stays in the table for as
 * long as its process may hold keys.
 */
#ifndef KEYD_SESSION_H
#define KEYD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "peer.h"
#include "proto.h"

enum {
	SESSIONS_MAX = 256,
	SESSIONS_OF_ADMINS_MAX = 64,    /* of SESSIONS_MAX, kept for admin.sock */
	SESSIONS_OF_STRANGERS_MAX = 16, /* peers without any right, until they were told so */
};

struct keyd;
struct session;

/* What differs between the two sockets. */
struct session_kind {
	const char *name;
	/* A message of the peer is in keyd->io.msg. */
	void (*on_message)(struct keyd *keyd, struct session *session);
	/* What the peer sent is no message: error of proto_recv(). The session is ended after this. */
	void (*on_garbage)(struct keyd *keyd, struct session *session, int error);
	/* There is room to send; called only while wants_to_send. NULL: never. */
	void (*on_writable)(struct keyd *keyd, struct session *session);
	bool queues; /* messages for a peer that does not read at the moment wait for it */
	/* The connection is closed. True: the session stays, to watch the peer's process. */
	bool (*on_closed)(struct keyd *keyd, struct session *session);
	/* It waits for nothing, and may be ended to make room for another. */
	bool (*is_idle)(const struct session *session);
	/* The process of a session that stayed has ended. NULL: sessions never stay. */
	void (*on_exit)(struct keyd *keyd, struct session *session);
	void (*free)(struct session *session);
};

/* A record that waits for room in the socket's buffer. */
struct session_record;

struct session {
	const struct session_kind *kind;
	int fd; /* owned; -1: the connection is closed, only the process is watched */
	struct peer peer;
	uint8_t *page;                /* shared with the peer (page.h), owned; NULL: none */
	struct session_record *queue; /* owned, first to be sent first; NULL: none */
	size_t queued;
	int64_t deadline_ms; /* of clock_now_ms(): ended then; 0: none */
	uint64_t served_at;  /* of keyd->served: when its last message was taken */
	bool stranger;       /* no right at all: told so after its first message */
	bool busy;           /* do not read the next message yet */
	bool wants_to_send;
	bool unread; /* something of the peer waited to be read when keyd looked last */
	bool ending; /* close it after this round of the loop */
};

/*
 * Sends msg to the session's peer, its secret in the shared page. Without room in the socket's buffer the message waits,
 * where the kind has a queue: for some seconds, and not for ever more messages. A peer that does not read is cut off.
 * False: the session is ending. msg may be keyd->io.msg.
 */
bool session_send(
	struct keyd *keyd, struct session *session, const struct proto_msg *msg, int pass_fd);

/* Sends what waits, as far as there is room. */
void session_flush(struct keyd *keyd, struct session *session);

/*
 * Makes the page that is shared with the peer, in place of one that there is. Its descriptor, owned by the caller, who
 * sends it; or -errno.
 */
int session_new_page(struct session *session) __attribute__((warn_unused_result));

/* Closes the connection: wipes the page, drops what waits. The session stays. */
void session_close(struct session *session);

/*
 * Tells a peer that speaks another version (the last that session_recv() refused), in that version, whose refusals
 * have the same layout. type is REPLY or HELLO_REPLY.
 */
void session_refuse_version(
	struct keyd *keyd, struct session *session, uint16_t type, const char *what_to_do);

/* Sends a REPLY or HELLO_REPLY (type) with a message for people, cut to fit. */
bool session_reply(struct keyd *keyd, struct session *session, uint16_t type, uint32_t serial,
	enum proto_status status, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Receives one message into keyd->io.msg; 0 or an error of proto_recv(), -EAGAIN included. */
int session_recv(struct keyd *keyd, struct session *session) __attribute__((warn_unused_result));

#endif
