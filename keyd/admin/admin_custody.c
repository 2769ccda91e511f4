/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Where the root key is kept: made there, fetched from there, moved from there. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_requests.h"
#include "clock.h"
#include "destroy.h"
#include "inventory.h"
#include "jsonhelp.h"
#include "log.h"
#include "pending.h"
#include "rewrap.h"
#include "sanitize.h"
#include "serverkeys.h"
#include "unlock.h"
#include "zeroize.h"
#include "zeroize_medium.h"

enum { PROGRESS_MS = 200 };

static const char *names_of_custodies(char *text, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; custody_at(i) && used < cap; i++) {
		int n = snprintf(
			text + used, cap - used, "%s%s", i ? ", " : "", custody_at(i)->name);
		used += n > 0 ? (size_t)n : 0;
	}
	return text;
}

/* Why the passphrase for a new root key is not taken. */
static const char *why_rejected(const struct custody *custody)
{
	return custody == &custody_pkcs11
		       ? "the token says that this is not its PIN: after some more wrong ones it "
			 "locks it"
		       : "a passphrase needs 8 bytes at least, a PIN 4";
}

/* False when the store was zeroized and cannot be left; then it has been answered. */
static bool leave_zeroized(struct request *r)
{
	int rc = r->keyd->store.zeroized_at ? zeroize_leave(r->keyd) : 0;

	if (rc == -ENOTEMPTY)
		request_answer(r, PROTO_EXISTS, NULL,
			"key files lie in the zeroized key store again: keyadm zeroize --all "
			"erases them, then init");
	else if (rc == -EBUSY)
		request_answer(r, PROTO_BUSY, NULL,
			"the key store is being zeroized: try again when that is done");
	else if (rc)
		request_answer(r, PROTO_FAILED, NULL, "cannot set aside the zeroized key store: %s",
			strerror(-rc));
	return !rc;
}

void request_init(struct request *r)
{
	const char *custody = r->msg.init.custody;
	char names[PROTO_MESSAGE_BYTES / 2] = "";

	if (!custody_find(custody)) {
		request_answer(r, PROTO_INVALID, NULL, "this keyd has the custodies %s",
			names_of_custodies(names, sizeof(names)));
		return;
	}
	if (r->keyd->store.custody) {
		request_answer(r, PROTO_EXISTS, NULL, "the key store is initialized already");
		return;
	}
	if (!request_audit_before(r, "init", NULL, NULL, custody) || !leave_zeroized(r))
		return;
	int rc = keystore_init(&r->keyd->store, custody, r->passphrase);
	if (rc == -EKEYREJECTED) {
		request_audit_failure(r, "init", NULL, NULL, rc);
		request_answer(r, PROTO_INVALID, NULL, "nothing was made: %s",
			why_rejected(custody_find(custody)));
		return;
	}
	if (rc) {
		request_audit_failure(r, "init", NULL, NULL, rc);
		request_answer(r, PROTO_FAILED, NULL, "cannot make the key store: %s",
			custody_strerror(rc));
		return;
	}
	rc = serverkeys_begin(r->keyd);
	if (rc) {
		request_answer(r, PROTO_FAILED, NULL,
			"the key store is made, but not the keys of its audit log and "
			"certificates: %s; put that right and start keyd again",
			strerror(-rc));
		return;
	}
	request_answer(r, PROTO_OK, inventory_status(r->keyd), "the key store is initialized");
}

static void answer_locked(struct request *r, int rc)
{
	const struct custody *custody = r->keyd->store.custody;

	switch (rc) {
	case -EKEYREJECTED:
		request_answer(r, PROTO_DENIED, NULL, "still locked: this is not the %s",
			custody == &custody_pkcs11 ? "PIN" : "passphrase");
		break;
	case -EBADMSG:
		request_answer(r, PROTO_DAMAGED, NULL,
			"still locked: %s is damaged: put it back from a backup", custody->file);
		break;
	case -ENOMEM:
	case -EPERM:
	case -EAGAIN:
		request_answer(r, PROTO_FAILED, NULL,
			"still locked: keyd has no memory for Argon2id, or may not lock it: raise "
			"LimitMEMLOCK");
		break;
	default:
		request_answer(r, PROTO_FAILED, NULL, "still locked: %s", custody_strerror(rc));
	}
}

/* Of an open store, which may need the PIN of its token again. */
static void reconnect(struct request *r)
{
	struct keystore *ks = &r->keyd->store;

	if (!keystore_needs_pin(ks)) {
		request_answer(r, PROTO_OK, NULL, "the key store is not locked");
		return;
	}
	if (!request_audit_before(r, "token-login", NULL, NULL, NULL))
		return;
	int rc = keystore_reconnect(ks, r->passphrase);
	if (!rc) {
		request_answer(r, PROTO_OK, inventory_status(r->keyd), "the token can be used");
		return;
	}
	request_audit_failure(r, "token-login", NULL, NULL, rc);
	request_answer(r, rc == -EKEYREJECTED ? PROTO_DENIED : PROTO_FAILED, NULL,
		"the token cannot be used: %s",
		rc == -EKEYREJECTED ? "this is not the PIN" : custody_strerror(rc));
}

static bool is_left_in_token(const struct keyd *keyd)
{
	const struct keystore *ks = &keyd->store;
	const struct custody *custody;

	if (!ks->zeroized_at || keyd->zeroize)
		return false;
	return rewrap_is_unfinished(ks) || custody_of_store(ks->dir_fd, &custody) ||
	       custody == &custody_pkcs11;
}

/* What a zeroized store still has in a token goes with its PIN. */
static void erase_in_token(struct request *r)
{
	const struct keystore *ks = &r->keyd->store;
	const struct custody_place place = {
		.dir_fd = ks->dir_fd, .config = ks->custody_config, .passphrase = r->passphrase};

	int rc = zeroize_medium_root(&place, NULL);
	if (rc)
		request_answer(r, PROTO_FAILED, NULL,
			"the zeroized store still has its root key: %s",
			rc == -EKEYREJECTED ? "this is not the token's PIN" : custody_strerror(rc));
	else
		request_answer(r, PROTO_OK, NULL,
			"no custody has the zeroized store's root key any more; keyadm zeroize "
			"--all "
			"certifies that");
}

void request_unlock(struct request *r)
{
	if (is_left_in_token(r->keyd)) {
		erase_in_token(r);
		return;
	}
	if (!keystore_is_locked(&r->keyd->store)) {
		if (request_store_is_open(r))
			reconnect(r);
		return;
	}
	int rc = unlock_store(r->keyd, r->passphrase, &r->admin->session.peer, NULL);
	if (rc) {
		answer_locked(r, rc);
		return;
	}
	destroy_resume_all(r->keyd);
	sanitize_resume_all(r->keyd);
	pending_load_all(r->keyd);
	request_answer(r, PROTO_OK, inventory_status(r->keyd), "the key store is unlocked");
}

/* Who waits for a change, and when it was told last. */
struct audience {
	struct request *r;
	int64_t told_ms;
};

/* A peer that does not read is cut off; the change goes on. */
static void tell_progress(void *arg, size_t done, size_t total)
{
	struct audience *audience = arg;
	struct proto_msg msg = {
		.type = PROTO_PROGRESS,
		.serial = audience->r->msg.serial,
		.progress = {.done = (uint32_t)done, .total = (uint32_t)total},
	};

	if (done < total && clock_now_ms() - audience->told_ms < PROGRESS_MS)
		return;
	audience->told_ms = clock_now_ms();
	(void)session_send(audience->r->keyd, &audience->r->admin->session, &msg, -1);
}

/* For errors of the new custody, which changed nothing. */
static void answer_refused(struct request *r, const struct custody *to, int rc)
{
	switch (rc) {
	case -EKEYREJECTED:
		request_answer(r, PROTO_INVALID, NULL, "nothing was changed: %s", why_rejected(to));
		break;
	default:
		request_answer(r, PROTO_FAILED, NULL, "nothing was changed: custody %s: %s",
			to->name, custody_strerror(rc));
	}
}

static void answer_changed(struct request *r, const struct custody *to, int rc)
{
	switch (rc) {
	case 0:
		request_answer(r, PROTO_OK, inventory_status(r->keyd),
			"the key store has a new root key in custody %s", to->name);
		break;
	case -EREMCHG:
		request_answer(r, PROTO_UNPROVEN, inventory_status(r->keyd),
			"the key store has a new root key in custody %s, but what the old custody "
			"kept is not proven gone: see keyd's log; restarting keyd tries again",
			to->name);
		break;
	case -EUCLEAN:
		request_answer(r, PROTO_FAILED, NULL,
			"the change was interrupted and keyd stops: it is completed, or taken "
			"back, "
			"when keyd starts again");
		break;
	default:
		answer_refused(r, to, rc);
	}
}

/* Also one that was given up half-way: where its key lay shows in its record only, which may be gone. */
static bool has_destroying(const struct keystore *ks)
{
	for (size_t i = 0; i < ks->level_count; i++) {
		if (ks->levels[i]->state == KEY_DESTROYING)
			return true;
	}
	return false;
}

/* The custody that is asked for, or NULL: then it has been answered. */
static const struct custody *find_new_custody(struct request *r)
{
	const struct custody *to = custody_find(r->msg.init.custody);
	char names[PROTO_MESSAGE_BYTES / 2] = "";

	if (!request_store_is_open(r))
		return NULL;
	if (!to) {
		request_answer(r, PROTO_INVALID, NULL, "this keyd has the custodies %s",
			names_of_custodies(names, sizeof(names)));
		return NULL;
	}
	if (request_is_in_the_way(r, OPERATION_CUSTODY, &(struct scope){.level = NULL}))
		return NULL;
	if (has_destroying(&r->keyd->store)) { /* its certificate would speak of two custodies */
		request_answer(r, PROTO_BUSY, NULL,
			"nothing was changed: a key is being destroyed; try again after that");
		return NULL;
	}
	return to;
}

/* The passphrase itself is nobody's business: whoever approves agrees to one that only the requester knows. */
static bool change_is_approved(struct request *r, const struct custody *to)
{
	const char *from = r->keyd->store.custody->name;
	bool passphrase = r->passphrase->len_bytes > 0;

	if (!policy_custody_needs_approval(&r->keyd->config.policy))
		return true;
	struct json_object *json = json_object_new_object();
	bool ok = json_add_string(json, "from", from) && json_add_string(json, "to", to->name) &&
		  json_add_bool(json, "passphrase", passphrase);
	const struct approval_needed needed = {PENDING_CUSTODY_CHANGE, NULL, ok ? json : NULL};
	if (!ok)
		json_object_put(json);
	return request_is_approved(r, &needed, "change the custody from %s to %s%s", from, to->name,
		passphrase ? " with a passphrase or PIN that only the requester gives" : "");
}

void request_custody_change(struct request *r)
{
	struct audience audience = {.r = r};
	char detail[2 * PROTO_CUSTODY_BYTES + 8];

	const struct custody *to = find_new_custody(r);
	if (!to || !change_is_approved(r, to))
		return;
	(void)snprintf(detail, sizeof(detail), "%s to %s", r->keyd->store.custody->name, to->name);
	if (!request_audit_before(r, "custody-change", NULL, NULL, detail))
		return;
	int rc = rewrap_store(&r->keyd->store, &(struct rewrap){
						       .to = to,
						       .passphrase = r->passphrase,
						       .progress = tell_progress,
						       .arg = &audience,
					       });
	if (rc)
		request_audit_failure(r, "custody-changed", NULL, NULL, rc);
	else if (audit_append(&r->keyd->audit, &(struct audit_event){.event = "custody-changed",
						       .by = &r->admin->session.peer,
						       .detail = detail,
						       .result = "ok"}))
		log_error("the custody is changed (%s), and the audit log does not say so", detail);
	answer_changed(r, to, rc);
	keyd_stop_if_unclear(r->keyd, rc);
}
