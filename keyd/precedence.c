/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "precedence.h"

#include "clock.h"
#include "destroy.h"
#include "revocation.h"
#include "sanitize.h"

enum { SANITIZE_PAUSE_MS = 30 * 1000 };

#define TOGETHER  PRECEDENCE_TOGETHER
#define OVERTAKES PRECEDENCE_OVERTAKES
#define AHEAD     PRECEDENCE_AHEAD
#define BUSY      PRECEDENCE_BUSY

/*
 * Suspending goes on beside a sanitization: the key that was to be replaced is replaced, and no key leaves. A level
 * that is destroyed waits, at the end, for its volumes that were being destroyed before: each has its certificate.
 */
static const uint8_t table[OPERATIONS_HELD][OPERATIONS] = {
	[OPERATION_RESIZE] =
		{
			[OPERATION_RESIZE] = TOGETHER,
			[OPERATION_SANITIZE] = OVERTAKES,
			[OPERATION_RESUME] = TOGETHER,
			[OPERATION_SUSPEND] = OVERTAKES,
			[OPERATION_DESTROY_VOLUME] = OVERTAKES,
			[OPERATION_DESTROY_LEVEL] = OVERTAKES,
			[OPERATION_CREATE] = TOGETHER,
			[OPERATION_EXPORT] = TOGETHER,
			[OPERATION_IMPORT] = BUSY,
			[OPERATION_CUSTODY] = TOGETHER,
		},
	[OPERATION_SANITIZE] =
		{
			[OPERATION_RESIZE] = BUSY,
			[OPERATION_SANITIZE] = BUSY,
			[OPERATION_RESUME] = TOGETHER,
			[OPERATION_SUSPEND] = TOGETHER,
			[OPERATION_DESTROY_VOLUME] = OVERTAKES,
			[OPERATION_DESTROY_LEVEL] = OVERTAKES,
			[OPERATION_CREATE] = TOGETHER,
			[OPERATION_EXPORT] = BUSY,
			[OPERATION_IMPORT] = BUSY,
			[OPERATION_CUSTODY] = BUSY,
		},
	[OPERATION_RESUME] =
		{
			[OPERATION_RESIZE] = BUSY,
			[OPERATION_SANITIZE] = BUSY,
			[OPERATION_RESUME] = BUSY,
			[OPERATION_SUSPEND] = OVERTAKES,
			[OPERATION_DESTROY_VOLUME] = TOGETHER,
			[OPERATION_DESTROY_LEVEL] = OVERTAKES,
			[OPERATION_CREATE] = TOGETHER,
			[OPERATION_EXPORT] = TOGETHER,
			[OPERATION_IMPORT] = BUSY,
			[OPERATION_CUSTODY] = TOGETHER,
		},
	[OPERATION_SUSPEND] =
		{
			[OPERATION_RESIZE] = BUSY,
			[OPERATION_SANITIZE] = BUSY,
			[OPERATION_RESUME] = BUSY,
			[OPERATION_SUSPEND] = BUSY,
			[OPERATION_DESTROY_VOLUME] = TOGETHER,
			[OPERATION_DESTROY_LEVEL] = TOGETHER,
			[OPERATION_CREATE] = BUSY,
			[OPERATION_EXPORT] = TOGETHER,
			[OPERATION_IMPORT] = BUSY,
			[OPERATION_CUSTODY] = TOGETHER,
		},
	[OPERATION_DESTROY_VOLUME] =
		{
			[OPERATION_RESIZE] = BUSY,
			[OPERATION_SANITIZE] = BUSY,
			[OPERATION_RESUME] = TOGETHER,
			[OPERATION_SUSPEND] = TOGETHER,
			[OPERATION_DESTROY_VOLUME] = BUSY,
			[OPERATION_DESTROY_LEVEL] = AHEAD,
			[OPERATION_CREATE] = TOGETHER,
			[OPERATION_EXPORT] = BUSY,
			[OPERATION_IMPORT] = BUSY,
			[OPERATION_CUSTODY] =
				BUSY, /* its certificate would speak of two custodies */
		},
	[OPERATION_DESTROY_LEVEL] =
		{
			[OPERATION_RESIZE] = BUSY,
			[OPERATION_SANITIZE] = BUSY,
			[OPERATION_RESUME] = BUSY,
			[OPERATION_SUSPEND] = BUSY,
			[OPERATION_DESTROY_VOLUME] = BUSY,
			[OPERATION_DESTROY_LEVEL] = BUSY,
			[OPERATION_CREATE] = BUSY,
			[OPERATION_EXPORT] = BUSY,
			[OPERATION_IMPORT] = BUSY,
			[OPERATION_CUSTODY] = BUSY,
		},
};

enum precedence precedence_of(enum operation held, enum operation wanted)
{
	return (enum precedence)table[held][wanted];
}

const char *precedence_doing(enum operation held)
{
	static const char *const texts[OPERATIONS_HELD] = {
		[OPERATION_RESIZE] = "becoming larger",
		[OPERATION_SANITIZE] = "being sanitized by an initiator",
		[OPERATION_RESUME] = "being resumed",
		[OPERATION_SUSPEND] = "being suspended",
		[OPERATION_DESTROY_VOLUME] = "being destroyed",
		[OPERATION_DESTROY_LEVEL] = "being destroyed",
	};

	return held < OPERATIONS_HELD ? texts[held] : "in use";
}

bool precedence_overlap(const struct scope *a, const struct scope *b)
{
	if (!a->level || !b->level)
		return true;
	return a->level == b->level && (!a->volume || !b->volume || a->volume == b->volume);
}

/* What a revocation is when it is not a part of a transaction; OPERATIONS: it is one. */
static enum operation operation_of(const struct revocation *rev)
{
	if (rev->reason == PROTO_REASON_RESIZE)
		return OPERATION_RESIZE;
	if (rev->reason != PROTO_REASON_SUSPEND)
		return OPERATIONS;
	return rev->type == PROTO_REVOKE ? OPERATION_SUSPEND : OPERATION_RESUME;
}

static bool is_held(const struct keyd *keyd, enum operation operation, const struct scope *scope)
{
	switch (operation) {
	case OPERATION_SANITIZE:
		return sanitize_under_way(keyd, scope);
	case OPERATION_DESTROY_VOLUME:
		return destroy_under_way(keyd, scope, false);
	case OPERATION_DESTROY_LEVEL:
		return destroy_under_way(keyd, scope, true);
	default:
		break;
	}
	for (const struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		if (operation_of(rev) == operation && precedence_overlap(&rev->scope, scope))
			return true;
	}
	return false;
}

static void pause_sanitizing(const struct keyd *keyd, const struct scope *scope)
{
	int64_t until_ms = clock_now_ms() + SANITIZE_PAUSE_MS;

	for (size_t i = 0; i < keyd->store.level_count; i++) {
		const struct scope level = {.level = keyd->store.levels[i]};
		if (precedence_overlap(&level, scope))
			level.level->no_sanitize_until_ms = until_ms;
	}
}

bool precedence_allows(
	struct keyd *keyd, enum operation wanted, const struct scope *scope, enum operation *held)
{
	for (unsigned i = OPERATIONS_HELD; i-- > 0;) {
		*held = (enum operation)i;
		if (precedence_of(*held, wanted) != BUSY || !is_held(keyd, *held, scope))
			continue;
		if (*held == OPERATION_SANITIZE && wanted != OPERATION_SANITIZE)
			pause_sanitizing(keyd, scope);
		return false;
	}
	return true;
}
