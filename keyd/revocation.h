/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Telling every consumer to wipe keys, or to ask for them again, and waiting, bounded, until each has
 * answered or its process has ended. Suspending and resuming (suspend.c), destroying (destroy.c) and
 * resizing (admin_resize.c) are built on it.
 */
#ifndef KEYD_REVOCATION_H
#define KEYD_REVOCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "certificate.h"
#include "consumer.h"
#include "erasure.h"

/* A consumer that was told, or could not be told because its connection is broken. */
struct revocation_target {
	struct consumer *consumer; /* NULL once answered is true */
	struct peer peer;          /* who it is, for the report; owns nothing */
	bool answered;
	bool killed;   /* it did not answer in time; its end is waited for */
	bool unkilled; /* nor could keyd end it: nothing more is waited for */
	enum certificate_answer answer;
	uint32_t wiped;
	bool scrubs; /* consumer.h, when it acknowledged */
};

struct revocation {
	struct revocation *next;
	uint16_t type; /* PROTO_REVOKE or PROTO_RESTORE */
	struct scope scope;
	enum proto_reason reason;
	bool kill_silent; /* end those that do not answer in time */
	bool killing;     /* that has been done; deadline_ms is for their end now */
	int kill_error;   /* the first that could not be ended: 0 or -errno */
	uint32_t serial;
	int64_t deadline_ms; /* of clock_now_ms(); keyd's own delays move it */
	int64_t excused_ms;  /* by how much they have */
	struct revocation_target targets[2 * SESSIONS_MAX];
	size_t target_count;
	/* Called once, when all have answered or the deadline is past; may free the revocation. */
	void (*done)(struct keyd *keyd, struct revocation *rev);
};

/*
 * Sends rev's type to every consumer that said HELLO and may hold such keys; for a resize, only to those that hold
 * them, now or as soon as they are back. rev's type, scope, reason, kill_silent and done are set. Where it revokes,
 * nothing is given back: a resize or a resumption of the same scope, or of a part of it, ends as it stands.
 */
void revocation_start(struct keyd *keyd, struct revocation *rev);

/* A consumer said HELLO while revocations are under way: it is told too. */
void revocation_on_hello(struct keyd *keyd, struct consumer *consumer);

/* consumer is the new connection of the process that lost its session former: it answers for it. */
void revocation_replace(struct keyd *keyd, struct consumer *former, struct consumer *consumer);

/*
 * REVOKE_ACK: the consumer's process holds none of the keys any more; RESTORE_ACK: it has asked for
 * them and has its answers. type is what is acknowledged. False: no revocation with this serial.
 */
bool revocation_on_ack(struct keyd *keyd, struct consumer *consumer, uint16_t type, uint32_t serial,
	uint32_t wiped);

/* Whether an acknowledgement that the volume's key is wiped, or back, is still waited for. */
bool revocation_under_way(const struct keyd *keyd, const struct volume *volume);

/* Whether a tgtd is still asked to serve another size of the volume. */
bool revocation_resizes(const struct keyd *keyd, const struct volume *volume);

/* The consumer's process has ended, and its keys with it. */
void revocation_on_exit(struct keyd *keyd, struct consumer *consumer);

/*
 * The consumer closed its connection: those that it cannot hold a key of do not wait for it. True: one waits for
 * the end of its process, which was killed.
 */
bool revocation_on_close(struct keyd *keyd, struct consumer *consumer);

/*
 * keyd did not look at its sockets for absent_ms, from since_ms on: whoever was still in time then gets as much time
 * more, within bounds.
 */
void revocation_excuse(struct keyd *keyd, int64_t since_ms, int64_t absent_ms);

/*
 * Ends the revocations that can end, as of now_ms, when keyd last looked at its sockets. The next moment to call it in ms
 * of clock_now_ms(), 0: none.
 */
int64_t revocation_tick(struct keyd *keyd, int64_t now_ms);

/* How many targets have not acknowledged; names them in text ("tgtd pid 12 uid 0, …"). */
size_t revocation_missing(const struct revocation *rev, char *text, size_t cap);

/* Enters the answers into certificate. 0 or -ENOMEM. */
int revocation_certify(const struct revocation *rev, struct json_object *certificate)
	__attribute__((warn_unused_result));

/* Nobody waits for it any more: done is not called. Harmless when it has ended. */
void revocation_forget(struct keyd *keyd, const struct revocation *rev);

/* How many acknowledged. */
size_t revocation_acknowledged(const struct revocation *rev);

#endif
