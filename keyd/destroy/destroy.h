/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Destroying a level or a volume: a transaction that a crash at any step only delays (DESIGN 4).
 *
 *   audit  the request is recorded
 *   intent durable: from now on no key of the scope leaves, and a restart goes on from here
 *   revoke every consumer wipes, or is named because it did not say so in time
 *   erase  every key file of the scope, and the level's key in the custody's token
 *   tombstone, certificate, audit, end of the intent, answer
 *
 * What may be under way on the same level or volume meanwhile is in precedence.c. A level's destruction waits, before it
 * erases, for its volumes' that began earlier; a sanitization ends within the destruction that overtakes it.
 */
#ifndef KEYD_DESTROY_H
#define KEYD_DESTROY_H

#include <stdbool.h>

#include "admin.h"
#include "certificate.h"
#include "erasure.h"

/* What is to be destroyed, and who wants it. */
struct destroy_order {
	struct scope scope;
	struct peer requester; /* pid and uid; owns nothing */
	int64_t requested_at;
	struct certificate_terms terms;
	const char *detail; /* for the audit log; NULL: nothing */
};

/*
 * Starts, or goes on with one that failed half-way. OK: admin, if there is one, will be answered with the
 * certificate. Otherwise message (PROTO_MESSAGE_BYTES) says why nothing was destroyed.
 */
enum proto_status destroy_start(struct keyd *keyd, const struct destroy_order *order,
	struct admin *admin, uint32_t serial, char *message) __attribute__((warn_unused_result));

/* Goes on with everything that the last run of keyd left unfinished. */
void destroy_resume_all(struct keyd *keyd);

/* Whether a destruction that overlaps scope is under way: of a level, or of a volume. */
bool destroy_under_way(const struct keyd *keyd, const struct scope *scope, bool of_level);

/* Does a bounded amount of erasing. True: there is more to do at once. */
bool destroy_step(struct keyd *keyd);

/* The whole store is zeroized: answers those who wait, and forgets what is under way, revocations included. */
void destroy_abandon_all(struct keyd *keyd);

/* keyd stops: forgets what is under way; the intents are durable. */
void destroy_forget_all(struct keyd *keyd);

#endif
