/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Sessions on admin.sock: what administrators ask, who of them may ask it (policy.h), and the answers.
 * One request at a time on a connection.
 */
#ifndef KEYD_ADMIN_H
#define KEYD_ADMIN_H

#include <json-c/json.h>

#include "answer.h"
#include "keyd.h"
#include "session.h"
#include "upload.h"

struct admin;

/* Where a transaction keeps who waits for it. */
struct admin_waiting {
	struct admin *admin; /* NULL: nobody, or not any more */
	uint32_t serial;
};

struct admin {
	struct session session; /* first: a session of this kind is an admin */
	unsigned roles;
	struct answer answer;
	struct volume_draft draft;     /* between VOLUME_CREATE and VOLUME_COMMIT */
	struct upload upload;          /* for EXPORT or IMPORT, which end it */
	struct admin_waiting *waiting; /* in the transaction that will answer; NULL: none */
};

extern const struct session_kind admin_kind;

/* An administrator without a connection yet; peer is taken over on success. NULL: out of memory. */
struct admin *admin_new(const struct keyd *keyd, struct peer *peer);

/* Makes admin wait for the transaction that waiting is part of. */
void admin_wait(struct admin *admin, struct admin_waiting *waiting, uint32_t serial);

/* Who waits, and does so no more; NULL: nobody. */
struct admin *admin_stop_waiting(struct admin_waiting *waiting);

/* Answers whoever waits, if anybody still does: json, taken over, may be NULL. */
void admin_answer_waiting(struct keyd *keyd, struct admin_waiting *waiting,
	enum proto_status status, struct json_object *json, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
