/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Records that stand for several: what was repeated is counted, and the counts are recorded. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "audit_private.h"
#include "clock.h"
#include "log.h"
#include "text.h"

enum { DETAIL_BYTES = 128 };

static uid_t uid_of(const struct audit_event *event)
{
	return event->by ? event->by->uid : getuid();
}

static int add(EVP_MD_CTX *ctx, const char *text)
{
	const char *value = text ? text : "";

	return EVP_DigestUpdate(ctx, value, strlen(value) + 1) == 1 ? 0 : -EIO;
}

static int digest_of(const struct audit_event *event, enum repeat_budget budget,
	uint8_t digest[REPEAT_DIGEST_BYTES])
{
	const struct {
		uid_t uid;
		pid_t pid;
	} who = {uid_of(event), budget == REPEAT_FETCH && event->by ? event->by->pid : 0};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	int rc = !ctx ? -ENOMEM
		 : EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
				 EVP_DigestUpdate(ctx, &who, sizeof(who)) != 1
			 ? -EIO
			 : 0;
	rc = rc ?: add(ctx, event->event) ?: add(ctx, event->level) ?: add(ctx, event->volume);
	rc = rc ?: add(ctx, event->detail) ?: add(ctx, event->result);
	if (!rc && budget == REPEAT_FETCH)
		rc = add(ctx, event->path);
	if (!rc && EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		rc = -EIO;
	EVP_MD_CTX_free(ctx);
	return rc;
}

/* Records how often it was repeated. What cannot be recorded stays counted. Returns what was told. */
static uint64_t tell(struct audit *audit, const struct repeat *repeat)
{
	const struct peer by = {.uid = repeat->uid, .pid = repeat->pid, .pidfd = -1};
	char detail[DETAIL_BYTES];

	if (!repeat->count)
		return 0;
	(void)snprintf(detail, sizeof(detail), "%" PRIu64 " more like record %" PRIu64,
		repeat->count, repeat->seq);
	return audit_append_now(audit, &(struct audit_event){.event = repeat->event,
					       .by = &by,
					       .level = repeat->level,
					       .volume = repeat->volume[0] ? repeat->volume : NULL,
					       .detail = detail,
					       .result = repeat->result})
		       ? 0
		       : repeat->count;
}

static void tell_left_out(struct audit *audit, struct repeat_share *share, bool others)
{
	const struct peer by = {.uid = share->uid, .pidfd = -1};
	char detail[DETAIL_BYTES];

	(void)snprintf(detail, sizeof(detail), "%" PRIu64 " requests of %s", share->left_out,
		others ? "other users" : "this user");
	if (!audit_append_now(audit, &(struct audit_event){.event = "left-out",
					     .by = others ? NULL : &by,
					     .detail = detail,
					     .result = "denied"}))
		share->left_out = 0;
}

/* What was told, and when it is due; forced: everything, whether or not it is due. */
static int64_t tell_all_left_out(struct audit *audit, bool forced, int64_t now_ms)
{
	struct repeats *r = audit->repeats;
	int64_t next_ms = 0;

	for (unsigned budget = 0; budget < REPEAT_BUDGETS; budget++) {
		for (size_t i = 0; i <= REPEAT_USERS_MAX; i++) {
			struct repeat_share *share = &r->shares[budget][i];
			if (!share->left_out)
				continue;
			if (forced || repeats_take_for_left_out(
					      r, (enum repeat_budget)budget, share, now_ms))
				tell_left_out(audit, share, i == REPEAT_USERS_MAX);
			if (share->left_out)
				next_ms = now_ms + REPEAT_WINDOW_MS;
		}
	}
	return next_ms;
}

int64_t audit_tick(struct audit *audit, int64_t now_ms)
{
	if (!audit->repeats)
		return 0;
	int64_t next_ms = tell_all_left_out(audit, false, now_ms);
	bool failed = false; /* one error is enough */
	for (size_t i = 0; i < REPEATS_MAX; i++) {
		struct repeat *one = &audit->repeats->of[i];
		if (!one->used)
			continue;
		if (now_ms >= one->window_end_ms) {
			uint64_t count = one->count, told = failed ? 0 : tell(audit, one);
			failed = failed || (count && !told);
			if (count && !told) /* the disk may have room by then */
				one->window_end_ms = now_ms + REPEAT_WINDOW_MS;
			else
				repeats_next_window(one, told, now_ms);
		}
		if (one->used && (!next_ms || one->window_end_ms < next_ms))
			next_ms = one->window_end_ms;
	}
	return next_ms;
}

void audit_tell_repeats(struct audit *audit)
{
	if (!audit->repeats)
		return;
	for (size_t i = 0; i < REPEATS_MAX; i++) {
		struct repeat *one = &audit->repeats->of[i];
		if (one->used)
			one->count -= tell(audit, one);
	}
	(void)tell_all_left_out(audit, true, clock_now_ms());
}

/* What an event makes necessary: counts before it are recorded before it. */
static void tell_before(struct audit *audit, const struct audit_event *event)
{
	const char *level = event->level ? event->level : "";
	uid_t uid = uid_of(event);

	for (size_t i = 0; audit->repeats && i < REPEATS_MAX; i++) {
		struct repeat *one = &audit->repeats->of[i];
		bool same_level = one->used && level[0] && !strcmp(one->level, level);
		if (!one->used || (!same_level && (!event->by || one->uid != uid)))
			continue;
		one->count -= tell(audit, one);
		if (same_level && !one->count)
			one->used = false;
	}
}

int audit_append(struct audit *audit, const struct audit_event *event)
{
	tell_before(audit, event);
	return audit_append_now(audit, event);
}

static void remember(struct audit *audit, struct repeat *place, const uint8_t *digest,
	const struct audit_event *event, int64_t now_ms)
{
	*place = (struct repeat){
		.used = true,
		.seq = audit->next_seq - 1,
		.window_ms = REPEAT_WINDOW_MS,
		.window_end_ms = now_ms + REPEAT_WINDOW_MS,
		.event = event->event,
		.result = event->result,
		.uid = uid_of(event),
		.pid = event->by ? event->by->pid : getpid(),
	};
	memcpy(place->digest, digest, sizeof(place->digest));
	text_sanitize(place->level, sizeof(place->level), event->level ? event->level : "");
	text_sanitize(place->volume, sizeof(place->volume), event->volume ? event->volume : "");
}

int audit_append_repeat(
	struct audit *audit, const struct audit_event *event, enum repeat_budget budget)
{
	uint8_t digest[REPEAT_DIGEST_BYTES];
	int64_t now_ms = clock_now_ms();
	struct repeat_share *share;

	if (audit->fd < 0 || audit->unusable)
		return -EIO;
	int rc = digest_of(event, budget, digest);
	if (rc)
		return rc;
	struct repeat *same = repeats_find(audit->repeats, digest);
	if (same) {
		same->count++;
		return 0;
	}
	if (!repeats_take_share(audit->repeats, budget, uid_of(event), now_ms, &share))
		return -EBUSY;
	struct repeat *place = repeats_place(audit->repeats, uid_of(event));
	if (place->used)
		place->count -= tell(audit, place);
	rc = audit_append_now(audit, event);
	if (rc && share)
		share->left_out++;
	/* A count that could not be recorded keeps its place. */
	if (!rc && !(place->used && place->count))
		remember(audit, place, digest, event, now_ms);
	return rc;
}
