/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Which commands of a LUN may run together: claims on byte ranges, readers share, writers exclude,
 * and not more at a time than RANGE_GRANTED_MAX, so that a LUN whose storage hangs cannot take all
 * the threads that wait for devices.
 *
 * This makes COMPARE AND WRITE and ORWRITE atomic (SBC-3 5.2, 5.20), and keeps an overlapping read
 * and write from tearing a sector, which under CBC would not read as old or new but as noise.
 * Claims are granted in the order of arrival, so none starves. Everything here runs on tgtd's main
 * thread: no lock.
 */
#ifndef BS_CRYPT_RANGE_H
#define BS_CRYPT_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum { RANGE_GRANTED_MAX = 64 };

struct range_claim {
	uint64_t first_byte;
	uint64_t len_bytes; /* 0 conflicts with nothing */
	bool exclusive;
	void (*granted)(struct range_claim *claim);

	/* Private to range.c. */
	unsigned blockers; /* earlier claims that conflict */
	bool running;      /* granted */
	struct range_claim *prev, *next;
};

/* Zero-initialised is ready for use. */
struct range_lock {
	struct range_claim *oldest, *newest;
	unsigned granted;
};

/*
 * Enters the claim (fields above filled by the caller, which keeps the memory until release) and
 * calls claim->granted, at once or from a later range_release().
 */
void range_acquire(struct range_lock *lock, struct range_claim *claim);

/* Takes a granted claim out and grants those that waited for it alone. */
void range_release(struct range_lock *lock, struct range_claim *claim);

/*
 * True when the claim would be granted at once. For work that the main thread does before anything
 * else happens: it needs no claim then.
 */
bool range_free(const struct range_lock *lock, const struct range_claim *claim);

#endif
