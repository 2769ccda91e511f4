/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * SANITIZE, CRYPTOGRAPHIC ERASE (SBC-4 5.30) of an initiator: a volume's key is destroyed, and another takes its
 * place. A transaction that a crash at any step only delays:
 *
 *   audit   the request is recorded
 *   intent  durable: from now on no key of the volume leaves, and a restart goes on from here
 *   revoke  every consumer wipes, or is named because it did not say so in time
 *   erase   the old key's file; then the certificate says so
 *   renew   another key's file; from then on the statement says that its header is due
 *   audit, answer, RESTORE
 *   header  goes to every consumer that attaches the volume, until one says that it is on the medium
 *
 * Before the intent nothing is changed. After it the old key never leaves again. One transaction at a time works on
 * a volume. One that is overtaken by a destruction of its volume or level leaves the rest to that: whoever asked
 * is answered at once, and gets no other key (precedence.c).
 */
#ifndef KEYD_SANITIZE_H
#define KEYD_SANITIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer.h"
#include "keyd.h"

enum { SANITIZATIONS_MAX = 1000 }; /* of one volume: each leaves a certificate */

/* SANITIZE of consumer is in keyd->io.msg: SANITIZE_REPLY answers it, now or later. */
void sanitize_request(struct keyd *keyd, struct consumer *consumer);

/*
 * Sends HEADER with serial to consumer, if volume's header is due; key is volume's. 0 or -errno: then the key must not
 * follow.
 */
int sanitize_send_header(struct keyd *keyd, struct consumer *consumer, struct volume *volume,
	const uint8_t *key, uint32_t serial) __attribute__((warn_unused_result));

/* HEADER_WRITTEN of consumer is in keyd->io.msg. */
void sanitize_header_written(struct keyd *keyd, struct consumer *consumer);

/* Goes on with the sanitization of volume if an error stopped it. */
void sanitize_go_on(struct keyd *keyd, struct volume *volume);

/* Goes on with everything that the last run of keyd left unfinished. */
void sanitize_resume_all(struct keyd *keyd);

/* Whether one that overlaps scope is under way, and not overtaken. */
bool sanitize_under_way(const struct keyd *keyd, const struct scope *scope);

/* scope is being destroyed, durably: what is under way in it is a part of that from now on. */
void sanitize_give_way(struct keyd *keyd, const struct scope *scope);

/* Everybody has answered that destruction: nobody is waited for any more. */
void sanitize_drop_overtaken(struct keyd *keyd, const struct scope *scope);

/* Does a bounded amount of work. True: there is more to do at once. */
bool sanitize_step(struct keyd *keyd);

/* The consumer's connection is gone: it gets no answer. */
void sanitize_on_close(struct keyd *keyd, const struct consumer *consumer);

/* The whole store is zeroized, or keyd stops: forgets what is under way, revocations included. */
void sanitize_forget_all(struct keyd *keyd);

#endif
