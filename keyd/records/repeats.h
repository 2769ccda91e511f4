/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What keeps the audit log small although peers can ask again and again: decisions that are on record already are
 * counted, and each user has a budget of new ones. Both are bounded in memory. Knows no log: audit.c writes.
 * Times are those of clock_now_ms().
 */
#ifndef KEYD_REPEATS_H
#define KEYD_REPEATS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto.h"

enum {
	REPEATS_MAX = 1024,        /* decisions that are remembered */
	REPEATS_OF_USER_MAX = 256, /* of one user, while others need the rest */
	REPEAT_USERS_MAX = 64,     /* with a budget of their own; all others share one */
	REPEAT_DIGEST_BYTES = 32,
	REPEAT_WINDOW_MS = 60 * 1000, /* the first; each further one is twice as long */
	REPEAT_WINDOW_MAX_MS = 16 * REPEAT_WINDOW_MS,
};

/* A decision on record, and how often it was repeated since the last record about it. */
struct repeat {
	bool used;
	uint8_t digest[REPEAT_DIGEST_BYTES]; /* of what makes two decisions equal */
	uint64_t seq;                        /* of its record */
	uint64_t count;                      /* of repeats that no record tells yet */
	int64_t window_end_ms;
	int64_t window_ms;
	const char *event, *result; /* static storage */
	uid_t uid;
	pid_t pid;
	char level[PROTO_LEVEL_BYTES]; /* this and the next: empty when it has none */
	char volume[PROTO_UUID_BYTES];
};

/* Whose share of new records. */
enum repeat_budget {
	REPEAT_FREE,    /* no limit: only a few different ones are possible */
	REPEAT_FETCH,   /* of a user who may fetch keys: many at once, few in the long run */
	REPEAT_REFUSAL, /* refusals of such a user */
	REPEAT_STRANGER, /* refusals of a user without any right: all strangers together have a limit, too */
	REPEAT_BUDGETS,
};

/* One user's share; or that of all who have none. */
struct repeat_share {
	bool used;
	uid_t uid;
	int64_t paid_until_ms; /* the shares taken so far are earned then */
	uint64_t left_out;     /* records that were not made, and that no record tells yet */
};

struct repeats {
	struct repeat of[REPEATS_MAX];
	struct repeat_share shares[REPEAT_BUDGETS]
				  [REPEAT_USERS_MAX + 1]; /* the last is for the others */
	struct repeat_share strangers;
	/* How many REPEAT_FETCH may come at once, and how often one more; set by the owner, 0: not yet. */
	unsigned fetch_burst;
	int64_t fetch_each_ms;
};

/* The decision with this digest, or NULL. */
struct repeat *repeats_find(struct repeats *repeats, const uint8_t digest[REPEAT_DIGEST_BYTES]);

/*
 * The place for a new decision of uid. The caller records the count that is in it, if there is one, and fills it. Never
 * NULL: a user with many loses his own oldest first.
 */
struct repeat *repeats_place(struct repeats *repeats, uid_t uid);

/* A window has ended: the next one begins, or the decision is forgotten when nobody repeated it. */
void repeats_next_window(struct repeat *repeat, uint64_t told, int64_t now_ms);

/*
 * Takes a share of uid's budget for one record. False: it is used up, and that is counted in *share, which is never
 * NULL for a limited budget.
 */
bool repeats_take_share(struct repeats *repeats, enum repeat_budget budget, uid_t uid,
	int64_t now_ms, struct repeat_share **share);

/* Whether there is a share for telling what *share left out; takes it. */
bool repeats_take_for_left_out(struct repeats *repeats, enum repeat_budget budget,
	struct repeat_share *share, int64_t now_ms);

/* Everybody may fetch as at first: an administrator's order makes tgtds ask again. */
void repeats_renew_fetches(struct repeats *repeats);

#endif
