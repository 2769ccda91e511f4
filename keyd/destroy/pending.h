/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Operations that were asked for and are not yet decided. A request changes nothing for the keys. It is a sealed
 * file and outlives restarts; what it waits for is fixed when it is made.
 *
 * A destruction waits for a second security administrator, for a delay in which it can be cancelled, or for both,
 * in this order, and is then carried out by keyd. The other operations wait for a second security administrator;
 * then the requester repeats the command, because no passphrase and no file may lie around, and that uses the
 * approval up.
 */
#ifndef KEYD_PENDING_H
#define KEYD_PENDING_H

#include "destroy.h"
#include "moment.h"

enum {
	PENDING_MAX = 1024,
	PENDING_OF_REQUESTER_MAX = 16, /* but for destructions: one for each scope */
	PENDING_PARAMETERS_BYTES_MAX = 64 * 1024,
};

enum pending_operation {
	PENDING_DESTROY,
	PENDING_EXPORT,
	PENDING_VOLUME_KEY,
	PENDING_IMPORT_FORCE,
	PENDING_CUSTODY_CHANGE,
	PENDING_OPERATIONS
};

struct pending {
	struct pending *next;
	enum pending_operation operation;
	struct scope scope; /* of destructions; else empty */
	/*
	 * Owned: what exactly is to be done, of all but destructions. "level" (if it is one) and "what", for people, are
	 * strings. An approval is for a command with the same parameters.
	 */
	struct json_object *parameters;
	char id[PROTO_REQUEST_ID_BYTES];
	struct peer requester; /* pid and uid; owns nothing */
	int64_t requested_at;
	bool needs_approval;
	struct certificate_terms terms; /* approved: the delay runs */
	int delay_s;
	struct moment since; /* when what it waits for began */
	int64_t wait_s;      /* from then on: until it expires, or is carried out */
	int64_t retry_ms;    /* it was due and could not be started; 0: never tried */
};

/*
 * Makes a request on rules, which ask for approval or delay. OK: *made is in the list, durably; otherwise
 * message (PROTO_MESSAGE_BYTES) says why not.
 */
enum proto_status pending_ask(struct keyd *keyd, const struct scope *scope,
	const struct destroy_rules *rules, const struct peer *by, struct pending **made,
	char *message) __attribute__((warn_unused_result));

/* Another operation than destroying, that by wants to do. Borrows. */
struct pending_wish {
	enum pending_operation operation;
	struct json_object *parameters;
	const struct peer *by;
};

/*
 * OK: a second administrator has approved exactly this; the approval is used up, durably and on record, and it is to be
 * done now. UNAPPROVED: *waits, a request of by that is in the list, durably, and not approved. Otherwise message
 * says why not.
 */
enum proto_status pending_use(struct keyd *keyd, const struct pending_wish *wish,
	const struct pending **waits, char *message) __attribute__((warn_unused_result));

/* How many wait. */
size_t pending_count(const struct keyd *keyd);

/* The request called id, or NULL. */
struct pending *pending_find(const struct keyd *keyd, const char *id);

/*
 * by agrees. OK: carried out, and admin will be answered with the certificate, when *waits is false; it
 * waits for its delay, or to be used, when *waits is true. Otherwise message says why not.
 */
enum proto_status pending_approve(struct keyd *keyd, struct pending *p, struct admin *admin,
	uint32_t serial, bool *waits, char *message) __attribute__((warn_unused_result));

/* Ends the request; p is gone after OK. Otherwise message says why not. */
enum proto_status pending_cancel(struct keyd *keyd, struct pending *p, const struct peer *by,
	char *message) __attribute__((warn_unused_result));

/* When it expires, or a destruction is carried out, as the wall clock stands now. */
int64_t pending_until(const struct pending *p);

/* A second administrator has not yet agreed, and has to. */
bool pending_needs_approval(const struct pending *p);

/* Of a destruction: the level's name or the volume's UUID. */
const char *pending_subject(const struct pending *p);

/* "export", …: for records and programs. Static storage. */
const char *pending_operation_name(enum pending_operation operation);

/* "destroy level X", "export …": what is to be done, for people. Returns text. */
enum { PENDING_WHAT_BYTES = 320 };
const char *pending_what(const struct pending *p, char text[PENDING_WHAT_BYTES]);

/* pending_json.c: p to its record, durably; 0 or -errno. And from the record's body; 0 or -errno. */
int pending_save(const struct keyd *keyd, const struct pending *p)
	__attribute__((warn_unused_result));
int pending_parse(struct pending *p, const char *body) __attribute__((warn_unused_result));

/* Removes the record, durably. 0 or -errno. */
int pending_erase(const struct keyd *keyd, const struct pending *p)
	__attribute__((warn_unused_result));

/* The record of the request called id, which is no destruction's: 0 and p without id checked, or -errno. */
int pending_read(const struct keyd *keyd, const char *name, struct pending *p)
	__attribute__((warn_unused_result));

/* For people and programs; NULL: out of memory. */
struct json_object *pending_json(const struct pending *p);
struct json_object *pending_list_json(const struct keyd *keyd);

/* Takes up the requests that lie in the store. */
void pending_load_all(struct keyd *keyd);

/* Does what is due. The next moment to call it in ms of clock_now_ms(), 0: none. */
int64_t pending_tick(struct keyd *keyd, int64_t now_ms);

/* keyd stops: frees the list; the requests are durable. */
void pending_forget_all(struct keyd *keyd);

#endif
