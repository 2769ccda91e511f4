/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The certificate of destruction (DESIGN 4), a JSON document that grows with the transaction: the
 * draft is in the intent, the answers of the consumers come next, the findings last.
 */
#ifndef KEYD_CERTIFICATE_H
#define KEYD_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

#include "audit.h"
#include "erasure.h"
#include "peer.h"

/* A new draft: what is to be destroyed, and who asked for it when. NULL: out of memory. */
struct json_object *certificate_draft(
	const struct scope *scope, const struct peer *requester, int64_t requested_at);

/* The draft that an intent holds. NULL when it is none, or not for this scope. */
struct json_object *certificate_parse(const struct scope *scope, const char *text);

enum certificate_answer {
	CERTIFICATE_ACKNOWLEDGED,
	CERTIFICATE_UNACKNOWLEDGED,
	CERTIFICATE_EXITED, /* the process ended, and its keys with it */
};

/* Enters a consumer. wiped counts for acknowledgements. 0 or -ENOMEM. */
int certificate_add_answer(struct json_object *certificate, enum certificate_answer answer,
	const struct peer *consumer, uint32_t wiped) __attribute__((warn_unused_result));

/* How many consumers did not acknowledge; names them in text ("tgtd pid 12 uid 0, …"). */
size_t certificate_missing(struct json_object *certificate, char *text, size_t cap);

/* True when the certificate is complete and its verification passed. */
bool certificate_is_verified(struct json_object *certificate);

struct certificate_end {
	int64_t completed_at;
	const char *erase_class;
	const char *erase_class_reason;
	int erase_error; /* 0 or -errno */
	struct erasure_findings findings;
	struct json_object *exports; /* taken over; NULL: the ledger cannot be read */
	struct json_object
		*vouched; /* taken over: exports whose copies somebody says are destroyed */
	uint64_t damaged_exports;
	const char *audit_head;
};

/* Enters the rest. 0 or -ENOMEM. */
int certificate_complete(struct json_object *certificate, const struct certificate_end *end)
	__attribute__((warn_unused_result));

/* Borrowed from the certificate, valid until it changes. NULL: out of memory. */
const char *certificate_text(struct json_object *certificate);

#endif
