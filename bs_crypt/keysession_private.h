/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What keysession.c, which keeps a session up, and keymessages.c, which speaks and listens in it, share. */
#ifndef BS_CRYPT_KEYSESSION_PRIVATE_H
#define BS_CRYPT_KEYSESSION_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "opts.h"
#include "proto.h"
#include "volume.h"

struct header_job;

/*
 * How many ATTACH may be without their answers: few enough to leave room in the socket's buffer for what must not wait,
 * REVOKE_ACK above all. Each has a slot of the page for its key.
 */
enum { ATTACH_WINDOW = 16 };

struct keysession_member {
	struct keysession_member *next;
	struct session *session;
	struct volume *vol;
	bool attach_due;
	bool holding;         /* the key is here */
	int64_t grace_end_ms; /* when it is wiped, unless keyd gives it anew; 0: keyd stands by it */
	uint32_t serial;      /* of the ATTACH under way; 0: none */
	uint32_t restore;     /* serial of the RESTORE under way; 0: none */
	int64_t retry_at_ms;  /* 0: no retry */
	bool answered;
	int rc; /* valid once answered */
	char why[PROTO_MESSAGE_BYTES];

	/* keysanitize.c's. From the main thread: */
	_Atomic(struct volume_sanitization *) sanitize_asked; /* NULL: none */
	_Atomic(struct header_job *) header_done;             /* owned; NULL: none */
	/* The session's: */
	struct volume_sanitization *sanitize; /* under way; NULL: none */
	uint32_t sanitize_serial;
	bool sanitize_replied; /* the old key is destroyed; the new one is waited for */
	int sanitize_rc;       /* and then this is the outcome */
	int64_t sanitize_end_ms;
	struct header_job *header_came; /* owned; for the ATTACH_REPLY that follows; NULL: none */
	struct header_job
		*header_next;   /* owned; to be written when the one under way is; NULL: none */
	bool header_writing;    /* one is under way */
	bool header_reread;     /* since a key fitted last */
	bool header_reading;    /* is under way; the volume asks again afterwards */
	uint32_t header_number; /* of the last one that came with a key that was taken */
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
	int passed_fd;                 /* that came with the message; -1: none, or taken */
	uint32_t slots[ATTACH_WINDOW]; /* serial of the ATTACH that has it; 0: free */
	bool crowded; /* no room in the socket's buffer: the next ATTACH waits for it */
	uint32_t last_serial;
	int64_t connect_at_ms;
	int busy_tries; /* in vain, since the last connection */
	int64_t heard_at_ms;
	int64_t ping_at_ms;
};

/* All below: caller holds s->lock. */

/* Who waits in keysession_join() has the answer. */
void keysession_answer(struct keysession_member *m, int rc);

/* The member's key is wiped, or about to be: no grace counts for it. */
void keysession_key_gone(struct keysession_member *m);

/* The connection is of no use any more: from now on keys are kept for their LUNs' grace. */
void keysession_go_offline(struct session *s, const char *cause);

/* Everything that has arrived. */
void keysession_receive(struct session *s);

/* Acknowledges each RESTORE that every volume concerned has followed. */
void keysession_settle(struct session *s);

/* The same for a SANITIZE under way, see volume_sanitize(). Harmless when there is none. */
void keysession_sanitize_end(struct keysession_member *m, int rc);

/* What the main thread has left: a SANITIZE to be sent, a header that is written. Times that are over. */
void keysession_sanitize_due(struct session *s, int64_t now);

/*
 * That reply found that the key is not the header's (-ESTALE). True: another LUN or another tgtd may have
 * replaced the header; it is read again by a worker, and then the volume asks again.
 */
bool keysession_header_reread(struct keysession_member *m, int rc);

/* The connection is lost: nobody knows what became of a SANITIZE. */
void keysession_sanitize_offline(struct keysession_member *m);

/* The member leaves: what it owns of this goes. */
void keysession_sanitize_leave(struct keysession_member *m);

/* Handlers of messages. */
void keysession_on_sanitize_reply(struct session *s, const struct proto_msg *msg);
void keysession_on_header(struct session *s, const struct proto_msg *msg);

/* The descriptor of the header that came for the reply that is to be applied; -1: none. It stays the member's. */
int keysession_header_fd(const struct keysession_member *m);

/* That reply was applied, with this outcome: the header is written, if the key was taken, or dropped. */
void keysession_header_applied(struct keysession_member *m, int rc);

/*
 * Sends an ATTACH for each member that is due, those without a key first, as many as the window and the socket's buffer
 * allow. The others stay due.
 */
void keysession_attach_due(struct session *s);

/* After any error of these six the session is offline. */
int keysession_tell_grows(struct session *s);
int keysession_tell_scrub(struct session *s);
int keysession_send_detach(struct session *s, const struct volume *vol);
int keysession_send_ping(struct session *s);
int keysession_send_sanitize(struct session *s, struct keysession_member *m);
int keysession_send_header_written(struct session *s, const struct volume *vol, uint32_t number);

#endif
