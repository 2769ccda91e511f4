/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Destructions that were asked for and are not yet decided: they wait for a second security administrator, for a
 * delay in which they can be cancelled, or for both, in this order. A request changes nothing for the keys. It
 * is a sealed file beside them and outlives restarts; what it waits for is fixed when it is made.
 */
#ifndef KEYD_PENDING_H
#define KEYD_PENDING_H

#include "destroy.h"
#include "moment.h"

enum { PENDING_MAX = 1024 };

struct pending {
	struct pending *next;
	struct scope scope;
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

/* How many wait. */
size_t pending_count(const struct keyd *keyd);

/* The request called id, or NULL. */
struct pending *pending_find(const struct keyd *keyd, const char *id);

/*
 * by agrees. OK: carried out, and admin will be answered with the certificate, when *waits is false; it
 * waits for its delay when *waits is true. Otherwise message says why not.
 */
enum proto_status pending_approve(struct keyd *keyd, struct pending *p, struct admin *admin,
	uint32_t serial, bool *waits, char *message) __attribute__((warn_unused_result));

/* Ends the request; p is gone after OK. Otherwise message says why not. */
enum proto_status pending_cancel(struct keyd *keyd, struct pending *p, const struct peer *by,
	char *message) __attribute__((warn_unused_result));

/* When it expires or is carried out, as the wall clock stands now. */
int64_t pending_until(const struct pending *p);

/* A second administrator has not yet agreed, and has to. */
bool pending_needs_approval(const struct pending *p);

/* The level's name or the volume's UUID. */
const char *pending_subject(const struct pending *p);

/* pending_json.c: p to its record, durably; 0 or -errno. And from the record's body; 0 or -errno. */
int pending_save(const struct keyd *keyd, const struct pending *p)
	__attribute__((warn_unused_result));
int pending_parse(struct pending *p, const char *body) __attribute__((warn_unused_result));

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
