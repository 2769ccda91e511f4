/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyadm zeroize: every key of the store at once. In this order, so that power may fail anywhere:
 *
 *   marker  the file "zeroized" is durable: from now on nothing of the store is ever loaded again
 *   revoke  every consumer is told to wipe; nobody waits for that yet
 *   root    the root key is erased in its custody and wiped from memory: every other key is lost with it
 *   files   the other key files
 *   end     consumers have answered, or are named, or were killed; certificate, audit, answer
 *
 * An audit log or a marker that cannot be written stops nothing here: it is told instead. What a crash interrupts goes on
 * at the next start, or with keyd --zeroize (zeroize_offline.h).
 */
#ifndef KEYD_ZEROIZE_H
#define KEYD_ZEROIZE_H

#include "admin.h"

/* OK: admin will be answered with the certificate. Otherwise message says why nothing was done. */
enum proto_status zeroize_start(struct keyd *keyd, struct admin *admin, uint32_t serial,
	char *message) __attribute__((warn_unused_result));

/* Goes on with one that the last run of keyd left unfinished. */
void zeroize_resume(struct keyd *keyd);

/*
 * Makes room for a new store in place of one that was zeroized. -EBUSY: not done yet; -ENOTEMPTY: there are key
 * files again; 0 or -errno.
 */
int zeroize_leave(struct keyd *keyd) __attribute__((warn_unused_result));

/* Does a bounded amount of erasing, and ends it when it can end. True: there is more to do at once. */
bool zeroize_step(struct keyd *keyd);

/* keyd stops; the marker is durable. */
void zeroize_forget(struct keyd *keyd);

#endif
