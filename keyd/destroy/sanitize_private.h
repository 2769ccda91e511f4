/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A sanitization under way: what sanitize.c, which carries it out, and sanitize_request.c, which begins it, share. */
#ifndef KEYD_SANITIZE_PRIVATE_H
#define KEYD_SANITIZE_PRIVATE_H

#include "revocation.h"
#include "sanitize.h"

enum step { STEP_REVOKE, STEP_ERASE, STEP_RESTORE, STEP_OVERTAKEN, STEP_DONE };

struct sanitize {
	struct revocation rev; /* first; of REVOKE, then of RESTORE */
	struct sanitize *next;
	enum step step;
	struct json_object *certificate; /* owned; complete only at the end */
	bool certified;                  /* by an earlier run: signed and durable */
	struct erasure_progress progress;
	struct volume_renewal renewal; /* owned; empty: to be made */
	struct consumer *asker;        /* NULL: nobody waits, or not any more */
	uint32_t serial;
	struct peer requester; /* for the audit log; owns nothing */
	bool resumed;          /* after a restart: nobody of this run asked for it */
};

static inline struct volume *volume_of(const struct sanitize *s)
{
	return s->rev.scope.volume;
}

/* One that is to revoke; the caller frees it, or has it begin. NULL: out of memory. */
struct sanitize *sanitize_new(struct volume *volume);
void sanitize_free(struct sanitize *s);

/* audit_append() of an event of s; detail may be NULL. */
int sanitize_audit(struct keyd *keyd, const struct sanitize *s, const char *event,
	const char *detail, const char *result) __attribute__((warn_unused_result));

/* The intent is durable: from here on there is no way back. keyd owns s. */
void sanitize_begin(struct keyd *keyd, struct sanitize *s);

#endif
