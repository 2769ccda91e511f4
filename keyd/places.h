/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * How connections share keyd, so that no user stands in the way of another, whatever he opens and sends:
 * who gets a place in the table of sessions, and whose message is taken next.
 */
#ifndef KEYD_PLACES_H
#define KEYD_PLACES_H

#include <poll.h>

#include "keyd.h"

/*
 * Whether one more session like this one, which is not in the table yet, gets a place. Each socket has
 * its own. A user gets as many as leave that many to others; who has too many, or, where all are
 * taken, more than the newcomer, loses the oldest that waits for nothing: it is ending then, and its place is
 * free after the next reap. Strangers have few.
 */
bool places_find(struct keyd *keyd, const struct session *session)
	__attribute__((warn_unused_result));

/*
 * Sets turn[i] for each session i that has something to read (polls[i], in the order of the table) and whose
 * turn it is: one of each user on each socket, the one that waited longest.
 */
void places_turns(const struct keyd *keyd, const struct pollfd *polls, bool turn[SESSIONS_MAX]);

#endif
