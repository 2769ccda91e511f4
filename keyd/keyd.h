/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyd as a whole: what its parts share. One thread, one poll loop (server.c), no part blocks on a
 * peer. (publish_kernel.c has a thread to be blocked in its place, helper.c one for work that takes long.)
 */
#ifndef KEYD_KEYD_H
#define KEYD_KEYD_H

#include <stdbool.h>
#include <stdint.h>

#include "audit.h"
#include "config.h"
#include "keystore.h"
#include "proto.h"
#include "session.h"
#include "signature.h"

struct consumer;
struct destroy;
struct helper;
struct pending;
struct revocation;
struct sanitize;
struct zeroize;

/* How many lines about peers keyd's log has had in this minute. */
struct log_limit {
	int64_t window_start_ms;
	unsigned recorded;
	unsigned dropped;
};

/*
 * What lies in a socket is read before its sender is called silent. It is read in turns, so that may take some rounds
 * of the loop; nobody can put the verdict off for longer by sending on.
 */
enum { UNREAD_MS = 2000 };

struct keyd {
	struct config config;
	struct keystore store;
	struct audit audit;
	struct signature_public signer; /* of certificates; empty while the store is not open */
	/* One message and wire buffer in secret memory for all connections; fd is set for each use. */
	struct proto_channel io;
	struct session *sessions[SESSIONS_MAX]; /* owned; server.c frees the ended ones */
	size_t session_count;
	struct revocation *revocations; /* under way */
	struct destroy *destroys;       /* under way; owned */
	struct sanitize *sanitizes;     /* under way; owned */
	struct pending *pending;        /* asked for and not decided; owned */
	struct zeroize *zeroize;        /* under way; owned; NULL: none */
	uint32_t next_serial;           /* of REVOKE */
	int64_t settle_until_ms;        /* no revocation ends before: see holders.h */
	struct helper *helper;          /* owned */
	bool newcomers; /* consumers wait to be accepted, or to have their first message read */
	int64_t loop_longest_ms; /* that the loop took, so far, between two looks at its sockets */
	bool unclear;            /* see keyd_stop_if_unclear(): nothing more is to be done */
	struct log_limit peers_logged;
	uint64_t served; /* messages taken, of all sessions */
};

/* After rewrap_store() and the like: on -EUCLEAN, the loop ends, and the next start tells what counts. */
void keyd_stop_if_unclear(struct keyd *keyd, int error);

/*
 * Records a refusal on admin.sock: always, if the peer has a role; equal ones are counted (audit_append_repeat()). Of strangers each
 * has a budget, and all together; what is beyond it is counted, too.
 */
void keyd_audit_refusal(struct keyd *keyd, const struct audit_event *event);

/* The same on keyd.sock, where every user has a budget: the event has texts that the peer chose. */
void keyd_audit_consumer(struct keyd *keyd, const struct audit_event *event);

/* log_at() of what peers do, limited to some lines a minute: nobody may fill the log, either. */
void keyd_log_peer(struct keyd *keyd, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
