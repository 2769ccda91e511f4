/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What keysession.c, which keeps a session up, and keymessages.c, which speaks and listens in it, share. */
#ifndef BS_CRYPT_KEYSESSION_PRIVATE_H
#define BS_CRYPT_KEYSESSION_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "opts.h"
#include "proto.h"
#include "volume.h"

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

/* After any error of these five the session is offline. */
int keysession_tell_grows(struct session *s);
int keysession_tell_scrub(struct session *s);
int keysession_send_attach(struct session *s, struct keysession_member *m);
int keysession_send_detach(struct session *s, const struct volume *vol);
int keysession_send_ping(struct session *s);

#endif
