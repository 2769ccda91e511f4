/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The certificate of destruction (DESIGN 4), a JSON document that grows with the transaction: the
 * draft is in the intent, the answers of the consumers come next, the findings and the signature
 * (serverkeys.h) last. Its contents follow NIST SP 800-88 rev. 1, 4.8 and appendix G, as far as they apply to
 * cryptographic erase.
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

/* The terms on which a destruction was asked for. */
struct certificate_terms {
	bool approved; /* by a second security administrator */
	uid_t approver;
	int64_t approved_at;
	bool emergency; /* approval and delay were left out */
};

/* Enters the terms into a draft. 0 or -ENOMEM. */
int certificate_add_terms(struct json_object *draft, const struct certificate_terms *terms)
	__attribute__((warn_unused_result));

/* Enters which sanitization of its volume it is, and the initiator ("": unknown) that sent it. 0 or -ENOMEM. */
int certificate_add_sanitize(struct json_object *draft, uint32_t number, const char *initiator)
	__attribute__((warn_unused_result));

enum { CERTIFICATE_DIGEST_BYTES = 128 };

/* The SHA-256 of the certificate's text, for the audit log to name it. 0 or -ENOMEM. */
int certificate_digest(struct json_object *certificate, char *text, size_t cap)
	__attribute__((warn_unused_result));

/* Who uid is: "uid" and "user". NULL: out of memory. */
struct json_object *certificate_person(uid_t uid);

/* The draft that an intent holds. NULL when it is none, or not for this scope. */
struct json_object *certificate_parse(const struct scope *scope, const char *text);

enum certificate_answer {
	CERTIFICATE_ACKNOWLEDGED,
	CERTIFICATE_UNACKNOWLEDGED,
	CERTIFICATE_EXITED, /* the process ended, and its keys with it */
	CERTIFICATE_KILLED, /* it did not answer, and keyd ended it */
};

/* Enters a consumer. wiped and scrubs count for acknowledgements. 0 or -ENOMEM. */
int certificate_add_answer(struct json_object *certificate, enum certificate_answer answer,
	const struct peer *consumer, uint32_t wiped, bool scrubs)
	__attribute__((warn_unused_result));

/* How many consumers did not acknowledge; names them in text ("tgtd pid 12 uid 0, …"). */
size_t certificate_missing(struct json_object *certificate, char *text, size_t cap);

/* True when the certificate is complete and its verification passed. */
bool certificate_is_verified(struct json_object *certificate);

struct certificate_end {
	int64_t completed_at;
	const char *erase_class;
	const char *erase_class_reason;
	const char
		*device_checked; /* what was looked at in the custody's device; NULL: it has none */
	int erase_error;         /* 0 or -errno */
	struct erasure_findings findings;
	struct json_object *exports; /* taken over; NULL: the ledger cannot be read */
	struct json_object
		*vouched; /* taken over: exports whose copies somebody says are destroyed */
	uint64_t damaged_exports;
	const char *
		exports_doubt; /* ledger_doubt(): exports are those that are known, and there may be more */
	const char *audit_head;
	uint64_t audit_seq;  /* number of that record */
	const char *custody; /* of the root key */
};

/* Enters the rest, but for the signature, which comes after. 0 or -ENOMEM. */
int certificate_complete(struct json_object *certificate, const struct certificate_end *end)
	__attribute__((warn_unused_result));

/* Borrowed from the certificate, valid until it changes. NULL: out of memory. */
const char *certificate_text(struct json_object *certificate);

#endif
