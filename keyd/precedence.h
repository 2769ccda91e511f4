/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Which operation may begin on a level, a volume or the whole store while another one is under way there. One
 * table decides that for all of them (precedence.c). What takes keys away comes first: nothing that a client or
 * a tgtd does keeps an administrator from suspending or destroying.
 */
#ifndef KEYD_PRECEDENCE_H
#define KEYD_PRECEDENCE_H

#include "erasure.h"
#include "keyd.h"

enum operation {
	/* These take time, and are looked for when another one is to begin. */
	OPERATION_RESIZE,         /* of a volume; a consumer takes the new size */
	OPERATION_SANITIZE,       /* of a volume, for an initiator */
	OPERATION_RESUME,         /* of a level */
	OPERATION_SUSPEND,        /* of a level */
	OPERATION_DESTROY_VOLUME, /* the intent is durable, or is about to be */
	OPERATION_DESTROY_LEVEL,
	OPERATIONS_HELD,
	/* These are over when their request is answered. */
	OPERATION_CREATE = OPERATIONS_HELD, /* of a volume: its record */
	OPERATION_EXPORT,
	OPERATION_IMPORT,
	OPERATION_CUSTODY, /* of the store: another root key */
	OPERATIONS,
};

enum precedence {
	PRECEDENCE_TOGETHER, /* neither minds the other */
	PRECEDENCE_OVERTAKES, /* begins at once; what is under way ends within it, and is answered so */
	PRECEDENCE_AHEAD, /* begins at once, and ends after what is under way, which is bounded */
	PRECEDENCE_BUSY,  /* refused, until what is under way has ended */
};

/* What becomes of wanted while held is under way on the same volume, level or store. */
enum precedence precedence_of(enum operation held, enum operation wanted);

/* Of an operation that is held, for people: "being suspended", … Static storage. */
const char *precedence_doing(enum operation held);

/* Whether two scopes have a key in common. level NULL: the whole store. */
bool precedence_overlap(const struct scope *a, const struct scope *b);

/*
 * True when wanted may begin on scope. False: *held is in its way. Then no further sanitization begins there for
 * some time, so that a client that repeats SANITIZE cannot keep an administrator out: wanted is to be tried again.
 */
bool precedence_allows(struct keyd *keyd, enum operation wanted, const struct scope *scope,
	enum operation *held) __attribute__((warn_unused_result));

#endif
