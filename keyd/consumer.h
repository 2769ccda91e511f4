/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Sessions on keyd.sock: tgtd processes that attach volumes, hold their keys, and wipe them when they
 * are told to.
 */
#ifndef KEYD_CONSUMER_H
#define KEYD_CONSUMER_H

#include <stdbool.h>
#include <stdint.h>

#include "erasure.h"
#include "keyd.h"
#include "session.h"

/* A volume whose key a process may hold. */
struct held {
	struct volume *volume;
	bool confirmed; /* attached over this connection; else over an earlier one */
	uint32_t
		revoked_by; /* serial of the last REVOKE about it over this connection; 0: none since */
};

struct consumer {
	struct session session; /* first: a session of this kind is a consumer */
	char program[PROTO_CUSTODY_BYTES];
	int64_t connected_at; /* seconds since the epoch */
	bool greeted;
	bool scrubs;       /* it wipes buffers of data as it frees them */
	bool grows;        /* its volumes can become larger while they are open */
	struct held *held; /* owned */
	size_t held_count;
	char (*listed)[PROTO_UUID_BYTES]; /* owned: what the file of holders.h has for it */
	size_t listed_count;
	struct volume *slots[PAGE_SLOTS]; /* of held, whose key was put there last; NULL: none */
	struct proto_store store;         /* of its last STORE */
};

extern const struct session_kind consumer_kind;

/* The consumer, or NULL when session is of the other kind. */
struct consumer *consumer_of(struct session *session);

/* A consumer without a connection yet; peer is taken over on success. NULL: out of memory. */
struct consumer *consumer_new(struct peer *peer);

/* Notes that the process may hold the key of volume. 0 or -ENOMEM. */
int consumer_add_held(struct consumer *consumer, struct volume *volume, bool confirmed)
	__attribute__((warn_unused_result));

/* True when it may hold a key of the scope. */
bool consumer_holds(const struct consumer *consumer, const struct scope *scope);

bool consumer_holds_volume(const struct consumer *consumer, const struct volume *volume);

/* Its volumes are about to be forgotten. */
void consumer_forget_held(struct consumer *consumer);

/* A REVOKE of the scope with this serial goes to the consumer. */
void consumer_note_revoke(struct consumer *consumer, const struct scope *scope, uint32_t serial);

/* Wipes the keys of the scope in the page, those that the consumer has not taken. */
void consumer_wipe_slots(struct consumer *consumer, const struct scope *scope);

/* The keys of the scope were wiped in the process; they are in the page, too. */
void consumer_drop_held(struct consumer *consumer, const struct scope *scope);

#endif
