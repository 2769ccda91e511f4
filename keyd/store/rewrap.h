/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Putting the whole store under a new root key, in the same custody or another, as one transaction.
 *
 * Each file that is sealed under the root key is prepared a second time, under the new one, beside the
 * old (durable.h); so is the custody's own file. The file "rewrap" says which of the two count: with
 * "prepare" in it the old, with "commit" the new, and then they take the old ones' places, what the old
 * custody kept is made unusable, and "rewrap" goes. So a crash at any moment leaves one whole store.
 *
 * Where a custody has a key in a device for each level, what is sealed are the level keys as those keys have
 * sealed them, and each is opened by the old custody's and sealed by the new one's.
 *
 * Runs to its end without returning to the loop: some milliseconds for each level. One thread.
 */
#ifndef KEYD_REWRAP_H
#define KEYD_REWRAP_H

#include <stdbool.h>
#include <stddef.h>

#include "keystore.h"

struct rewrap {
	const struct custody *to;
	const struct proto_passphrase *passphrase; /* for the new custody; NULL: none */
	/* Same custody, same terms: custody->renew() instead of create(). */
	bool renew;
	/* Called after each file; NULL: nobody wants to know. */
	void (*progress)(void *arg, size_t done, size_t total);
	void *arg;
};

/*
 * Re-wraps the open store. 0: done. -EREMCHG: the new root key counts, but what the old custody kept is
 * not proven gone; rewrap_finish() tries again. -EUCLEAN: only a restart can tell which of the two
 * counts: keyd must stop. Any other -errno (-EKEYREJECTED: the passphrase is too short): nothing changed.
 */
int rewrap_store(struct keystore *ks, const struct rewrap *rewrap)
	__attribute__((warn_unused_result));

/*
 * Before the root key is loaded: settles in the files what a crash interrupted, and sets ks->custody,
 * NULL if there is no root key. 0, -ENOTUNIQ, or -errno.
 */
int rewrap_recover(struct keystore *ks) __attribute__((warn_unused_result));

/*
 * With the root key loaded: makes what the old custody kept unusable, or what was prepared for a new one
 * that never counted. Harmless when nothing is left to do. passphrase, of that custody, may be NULL: then
 * -EKEYEXPIRED, if it cannot be done without. 0, or -errno: it is to be tried again.
 */
int rewrap_finish(struct keystore *ks, const struct proto_passphrase *passphrase)
	__attribute__((warn_unused_result));

/* Whether rewrap_finish() has something to do that an earlier call could not. */
bool rewrap_is_unfinished(const struct keystore *ks);

#endif
