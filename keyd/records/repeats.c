/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "repeats.h"

#include <assert.h>
#include <string.h>

enum { STRANGERS_BURST = 120, STRANGERS_EACH_MS = 10 * 1000 };

/* What a user earns: so many records at once, then one in each_ms. Of REPEAT_FETCH until the owner sets it. */
static const struct {
	unsigned burst;
	int64_t each_ms;
} rates[REPEAT_BUDGETS] = {
	[REPEAT_FETCH] = {1024, (int64_t)10 * 1000},
	[REPEAT_REFUSAL] = {20, (int64_t)5 * 60 * 1000},
	[REPEAT_STRANGER] = {20, (int64_t)5 * 60 * 1000},
};

struct repeat *repeats_find(struct repeats *repeats, const uint8_t digest[REPEAT_DIGEST_BYTES])
{
	for (size_t i = 0; i < REPEATS_MAX; i++) {
		struct repeat *one = &repeats->of[i];
		if (one->used && !memcmp(one->digest, digest, REPEAT_DIGEST_BYTES))
			return one;
	}
	return NULL;
}

struct repeat *repeats_place(struct repeats *repeats, uid_t uid)
{
	struct repeat *unused = NULL, *own = NULL, *oldest = NULL;
	size_t owned = 0;

	for (size_t i = 0; i < REPEATS_MAX; i++) {
		struct repeat *one = &repeats->of[i];
		if (!one->used) {
			unused = one;
			continue;
		}
		if (!oldest || one->seq < oldest->seq)
			oldest = one;
		if (one->uid != uid)
			continue;
		owned++;
		if (!own || one->seq < own->seq)
			own = one;
	}
	if (unused && owned < REPEATS_OF_USER_MAX)
		return unused;
	return own ? own : oldest;
}

void repeats_next_window(struct repeat *repeat, uint64_t told, int64_t now_ms)
{
	if (!told) {
		repeat->used = false;
		return;
	}
	repeat->count -= told;
	if (repeat->window_ms < REPEAT_WINDOW_MAX_MS)
		repeat->window_ms *= 2;
	repeat->window_end_ms = now_ms + repeat->window_ms;
}

static bool take(struct repeat_share *share, unsigned burst, int64_t each_ms, int64_t now_ms)
{
	int64_t from_ms = share->paid_until_ms > now_ms ? share->paid_until_ms : now_ms;

	if (from_ms - now_ms > (int64_t)(burst - 1) * each_ms)
		return false;
	share->paid_until_ms = from_ms + each_ms;
	return true;
}

/* A user who has earned all that he took, and of whom nothing is left to tell, needs no place. */
static struct repeat_share *find_share(
	struct repeat_share shares[REPEAT_USERS_MAX + 1], uid_t uid, int64_t now_ms)
{
	struct repeat_share *unused = NULL;

	for (size_t i = 0; i < REPEAT_USERS_MAX; i++) {
		struct repeat_share *one = &shares[i];
		if (one->used && one->uid == uid)
			return one;
		if (!one->used || (one->paid_until_ms <= now_ms && !one->left_out))
			unused = one;
	}
	if (!unused) {
		shares[REPEAT_USERS_MAX].used = true;
		return &shares[REPEAT_USERS_MAX];
	}
	*unused = (struct repeat_share){.used = true, .uid = uid};
	return unused;
}

static bool take_from(struct repeats *repeats, enum repeat_budget budget,
	struct repeat_share *share, int64_t now_ms)
{
	bool set = budget == REPEAT_FETCH && repeats->fetch_burst;
	unsigned burst = set ? repeats->fetch_burst : rates[budget].burst;
	int64_t each_ms = set ? repeats->fetch_each_ms : rates[budget].each_ms;

	if (!take(share, burst, each_ms, now_ms))
		return false;
	if (budget != REPEAT_STRANGER ||
		take(&repeats->strangers, STRANGERS_BURST, STRANGERS_EACH_MS, now_ms))
		return true;
	share->paid_until_ms -= rates[budget].each_ms;
	return false;
}

bool repeats_take_share(struct repeats *repeats, enum repeat_budget budget, uid_t uid,
	int64_t now_ms, struct repeat_share **share)
{
	assert(budget < REPEAT_BUDGETS);
	*share = NULL;
	if (budget == REPEAT_FREE)
		return true;
	*share = find_share(repeats->shares[budget], uid, now_ms);
	if (take_from(repeats, budget, *share, now_ms))
		return true;
	(*share)->left_out++;
	return false;
}

bool repeats_take_for_left_out(struct repeats *repeats, enum repeat_budget budget,
	struct repeat_share *share, int64_t now_ms)
{
	return share->left_out && take_from(repeats, budget, share, now_ms);
}

void repeats_renew_fetches(struct repeats *repeats)
{
	for (size_t i = 0; i <= REPEAT_USERS_MAX; i++)
		repeats->shares[REPEAT_FETCH][i].paid_until_ms = 0;
}
