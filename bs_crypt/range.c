/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "range.h"

#include <stddef.h>

static bool conflict(const struct range_claim *a, const struct range_claim *b)
{
	if (!a->exclusive && !b->exclusive)
		return false;
	if (!a->len_bytes || !b->len_bytes)
		return false;
	return a->first_byte < b->first_byte ? b->first_byte - a->first_byte < a->len_bytes
					     : a->first_byte - b->first_byte < b->len_bytes;
}

static void append(struct range_lock *lock, struct range_claim *claim)
{
	claim->next = NULL;
	claim->prev = lock->newest;
	if (lock->newest)
		lock->newest->next = claim;
	else
		lock->oldest = claim;
	lock->newest = claim;
}

static void unlink_claim(struct range_lock *lock, struct range_claim *claim)
{
	if (claim->prev)
		claim->prev->next = claim->next;
	else
		lock->oldest = claim->next;
	if (claim->next)
		claim->next->prev = claim->prev;
	else
		lock->newest = claim->prev;
}

void range_acquire(struct range_lock *lock, struct range_claim *claim)
{
	claim->blockers = 0;
	for (const struct range_claim *c = lock->oldest; c; c = c->next)
		claim->blockers += conflict(c, claim);
	append(lock, claim);
	if (!claim->blockers)
		claim->granted(claim);
}

void range_release(struct range_lock *lock, struct range_claim *claim)
{
	struct range_claim *later = claim->next;

	unlink_claim(lock, claim);
	while (later) {
		/* granted() may only start the command, never release it: later->next stays. */
		struct range_claim *next = later->next;
		if (conflict(claim, later) && !--later->blockers)
			later->granted(later);
		later = next;
	}
}
