/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Erasing every key of a store, found by walking its directory: it needs no index, no root key and no intact
 * file, so it works on a damaged store and on a locked one.
 *
 * The root key goes first: with that one small file every other key is lost, should power fail a moment later.
 * Then the levels' own keys go, and everything else below levels/ but certificates.
 */
#ifndef KEYD_ZEROIZE_MEDIUM_H
#define KEYD_ZEROIZE_MEDIUM_H

#include "erasure.h"

/*
 * Makes the root key useless in its custody, also one that was being made, and erases root.*, unfinished files, and
 * what lies in keys/ and requests/. A file that a custody needs to try again stays. place->keeper is that of the custody of,
 * both NULL where the store is not open. 0 or the first error.
 */
int zeroize_medium_root(const struct custody_place *place, const struct custody *of)
	__attribute__((warn_unused_result));

/*
 * Erases up to budget files below levels/. progress->last_attempt unlinks what cannot be overwritten. 1: call
 * again; 0: done as far as it can be, see first_error.
 */
int zeroize_medium_step(int state_fd, unsigned budget, struct erasure_progress *progress)
	__attribute__((warn_unused_result));

/* How many files are left that the two above erase. 0 or -errno. */
int zeroize_medium_left(int state_fd, uint64_t *left) __attribute__((warn_unused_result));

/*
 * Makes room for a new store: what tells of the zeroized one moves to the directory "zeroized-TIME", the file
 * ZEROIZED_FILE last. -ENOTEMPTY when there is a key file: then nothing moves. 0 or -errno.
 */
int zeroize_medium_set_aside(int state_fd, int64_t zeroized_at) __attribute__((warn_unused_result));

#endif
