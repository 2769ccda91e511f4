/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "places.h"

#include "admin.h"

static size_t places_of_kind(const struct session_kind *kind)
{
	return kind == &admin_kind ? SESSIONS_OF_ADMINS_MAX : SESSIONS_MAX - SESSIONS_OF_ADMINS_MAX;
}

/* Same socket, same user. */
static bool same_owner(const struct session *a, const struct session *b)
{
	return a->kind == b->kind && a->peer.uid == b->peer.uid;
}

static size_t count_of_owner(const struct keyd *keyd, const struct session *session)
{
	size_t count = 0;

	for (size_t i = 0; i < keyd->session_count; i++)
		count += same_owner(keyd->sessions[i], session);
	return count;
}

static bool may_go(const struct session *session)
{
	return session->fd >= 0 && !session->ending && session->kind->is_idle(session);
}

/* The table is in the order of arrival. True when there was one. */
static bool end_oldest_of(struct keyd *keyd, const struct session *owner)
{
	for (size_t i = 0; i < keyd->session_count; i++) {
		struct session *session = keyd->sessions[i];
		if (same_owner(session, owner) && may_go(session)) {
			session->ending = true;
			return true;
		}
	}
	return false;
}

static bool end_oldest_stranger(struct keyd *keyd)
{
	for (size_t i = 0; i < keyd->session_count; i++) {
		struct session *session = keyd->sessions[i];
		if (session->stranger && may_go(session)) {
			session->ending = true;
			return true;
		}
	}
	return false;
}

/* All places of the socket are taken: one is made by the user who has the most, if the newcomer has fewer. */
static bool end_one_of_the_greediest(struct keyd *keyd, const struct session *newcomer, size_t own)
{
	const struct session *greediest = NULL;
	size_t most = own + 1;

	for (size_t i = 0; i < keyd->session_count; i++) {
		const struct session *session = keyd->sessions[i];
		if (session->kind != newcomer->kind || !may_go(session))
			continue;
		size_t count = count_of_owner(keyd, session);
		if (count > most) {
			most = count;
			greediest = session;
		}
	}
	return greediest && end_oldest_of(keyd, greediest);
}

bool places_find(struct keyd *keyd, const struct session *session)
{
	size_t taken = 0, strangers = 0, places = places_of_kind(session->kind);

	for (size_t i = 0; i < keyd->session_count; i++) {
		taken += keyd->sessions[i]->kind == session->kind;
		strangers += keyd->sessions[i]->stranger;
	}
	size_t own = count_of_owner(keyd, session);
	if (session->stranger && strangers >= SESSIONS_OF_STRANGERS_MAX)
		return end_oldest_stranger(keyd);
	if (taken >= places)
		return end_one_of_the_greediest(keyd, session, own);
	if (own >= places - taken)
		return end_oldest_of(keyd, session);
	return true;
}

static bool wants_a_turn(const struct session *session, const struct pollfd *poll)
{
	return (poll->revents & POLLIN) && session->fd >= 0 && !session->busy && !session->ending;
}

void places_turns(const struct keyd *keyd, const struct pollfd *polls, bool turn[SESSIONS_MAX])
{
	for (size_t i = 0; i < keyd->session_count; i++) {
		const struct session *session = keyd->sessions[i];
		turn[i] = wants_a_turn(session, &polls[i]);
		for (size_t k = 0; turn[i] && k < i; k++) {
			const struct session *rival = keyd->sessions[k];
			if (!turn[k] || !same_owner(rival, session))
				continue;
			/* One of a user at most has it so far; the earlier in the table of equals. */
			turn[k] = rival->served_at <= session->served_at;
			turn[i] = !turn[k];
			break;
		}
	}
}
