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

static unsigned count_blockers(const struct range_lock *lock, const struct range_claim *claim)
{
	unsigned blockers = 0;

	for (const struct range_claim *c = lock->oldest; c; c = c->next)
		blockers += conflict(c, claim);
	return blockers;
}

static void grant(struct range_lock *lock, struct range_claim *claim)
{
	if (claim->running || claim->blockers || lock->granted == RANGE_GRANTED_MAX)
		return;
	lock->granted++;
	claim->running = true;
	claim->granted(claim);
}

bool range_free(const struct range_lock *lock, const struct range_claim *claim)
{
	return lock->granted < RANGE_GRANTED_MAX && !count_blockers(lock, claim);
}

void range_acquire(struct range_lock *lock, struct range_claim *claim)
{
	claim->running = false;
	claim->blockers = count_blockers(lock, claim);
	append(lock, claim);
	grant(lock, claim);
}

void range_release(struct range_lock *lock, struct range_claim *claim)
{
	for (struct range_claim *later = claim->next; later; later = later->next)
		later->blockers -= conflict(claim, later);
	unlink_claim(lock, claim);
	lock->granted--;
	/* granted() may only start the command, never release it: the list stays as it is. */
	for (struct range_claim *c = lock->oldest; c && lock->granted < RANGE_GRANTED_MAX;
		c = c->next)
		grant(lock, c);
}
