/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "destroy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certificate.h"
#include "clock.h"
#include "ledger.h"
#include "log.h"
#include "precedence.h"
#include "revocation.h"
#include "sanitize.h"
#include "serverkeys.h"
#include "token.h"

enum { ERASE_FILES_A_STEP = 16 };

struct destroy {
	struct revocation rev; /* first */
	struct destroy *next;
	struct json_object *certificate; /* owned; complete only at the end */
	struct erasure_progress progress;
	bool erasing; /* the consumers have answered */
	struct admin_waiting waiting;
	struct peer requester; /* for the audit log; owns nothing */
	bool resumed;          /* after a restart: nobody of this run asked for it */
};

static const char *scope_name(const struct scope *scope)
{
	return scope->volume ? scope->volume->uuid : scope->level->name;
}

static int audit(struct keyd *keyd, const struct destroy *d, const char *event, const char *detail,
	const char *result)
{
	const struct scope *scope = &d->rev.scope;

	return audit_append(
		&keyd->audit, &(struct audit_event){.event = event,
				      .by = d->resumed ? NULL : &d->requester,
				      .level = scope->level->name,
				      .volume = scope->volume ? scope->volume->uuid : NULL,
				      .detail = detail,
				      .result = result});
}

static void set_state(const struct scope *scope, enum key_state state, int64_t destroyed_at)
{
	if (scope->volume) {
		scope->volume->state = state;
		scope->volume->destroyed_at = destroyed_at;
		return;
	}
	scope->level->state = state;
	scope->level->destroyed_at = destroyed_at;
	for (size_t i = 0; state == KEY_DESTROYED && i < scope->level->volume_count; i++) {
		struct volume *volume = scope->level->volumes[i];
		if (volume->state == KEY_DESTROYED)
			continue;
		volume->state = KEY_DESTROYED;
		volume->destroyed_at = destroyed_at;
	}
}

static void unlink_destroy(struct keyd *keyd, struct destroy *d)
{
	struct destroy **link = &keyd->destroys;

	while (*link && *link != d)
		link = &(*link)->next;
	if (*link)
		*link = d->next;
}

static void destroy_free(struct destroy *d)
{
	json_object_put(d->certificate);
	free(d);
}

/* The intent stays: the next start, or another request, goes on. No key leaves meanwhile. */
static void give_up(struct keyd *keyd, struct destroy *d, const char *step, int rc)
{
	const char *name = scope_name(&d->rev.scope);

	log_error("destroying %s: cannot %s: %s: it goes on when keyd starts again", name, step,
		token_strerror(rc));
	if (audit(keyd, d, "destroy-interrupted", step, "failed"))
		log_error("destroying %s: the interruption is not in the audit log", name);
	unlink_destroy(keyd, d);
	admin_answer_waiting(keyd, &d->waiting, PROTO_FAILED, NULL,
		"the key of %s will never be given out again, but keyd cannot %s: %s; put that "
		"right and destroy it again",
		name, step, token_strerror(rc));
	destroy_free(d);
}

static void answer_done(struct keyd *keyd, struct destroy *d)
{
	char names[PROTO_MESSAGE_BYTES - 192];
	const char *name = scope_name(&d->rev.scope);
	struct json_object *certificate = d->certificate;

	d->certificate = NULL; /* the answer owns it */
	size_t missing = certificate_missing(certificate, names, sizeof(names));
	if (!certificate_is_verified(certificate))
		admin_answer_waiting(keyd, &d->waiting, PROTO_UNPROVEN, certificate,
			"%s is destroyed for keyd, but its key files could not all be erased: see "
			"\"verification\" and the state directory",
			name);
	else if (missing)
		admin_answer_waiting(keyd, &d->waiting, PROTO_UNPROVEN, certificate,
			"%s is destroyed in the store, but %zu did not acknowledge: %s; end "
			"them%s%s",
			name, missing, names, d->rev.kill_error ? "; keyd cannot: " : "",
			d->rev.kill_error ? strerror(-d->rev.kill_error) : "");
	else
		admin_answer_waiting(
			keyd, &d->waiting, PROTO_OK, certificate, "%s is destroyed", name);
}

/* What the audit log says at the end names the very document that was handed out. */
static int audit_end(struct keyd *keyd, const struct destroy *d)
{
	char detail[CERTIFICATE_DIGEST_BYTES], names[1];

	int rc = certificate_digest(d->certificate, detail, sizeof(detail));
	if (rc)
		return rc;
	bool proven = certificate_is_verified(d->certificate) &&
		      !certificate_missing(d->certificate, names, sizeof(names));
	return audit(keyd, d, d->rev.scope.volume ? "volume-destroyed" : "level-destroyed", detail,
		proven ? "ok" : "unproven");
}

/* The certificate is durable: what is left is to say so. */
static void end(struct keyd *keyd, struct destroy *d)
{
	const struct scope *scope = &d->rev.scope;

	int rc = audit_end(keyd, d);
	if (rc) {
		give_up(keyd, d, "record it in the audit log", rc);
		return;
	}
	if ((scope->volume ? scope->volume->state : scope->level->state) != KEY_DESTROYED)
		set_state(scope, KEY_DESTROYED, clock_wall_seconds());
	rc = erasure_remove_intent(&keyd->store, scope);
	if (rc) /* the next start would find nothing left to do */
		log_warning("destroying %s: cannot remove the intent: %s", scope_name(scope),
			strerror(-rc));
	log_info("%s %s is destroyed", scope->volume ? "volume" : "level", scope_name(scope));
	unlink_destroy(keyd, d);
	answer_done(keyd, d);
	destroy_free(d);
}

/* Enters what was found after erasing. */
static int complete(const struct keyd *keyd, struct destroy *d, int64_t now)
{
	const struct scope *scope = &d->rev.scope;
	const struct erase_class class = erasure_class(&keyd->store, scope);
	const struct custody_levels *levels = keyd->store.custody->levels;
	struct certificate_end facts = {
		.completed_at = now,
		.erase_class = class.name,
		.erase_class_reason = class.reason,
		.device_checked = levels && !scope->volume ? levels->checked : NULL,
		.erase_error = d->progress.first_error,
		.audit_head = keyd->audit.head,
		.audit_seq = keyd->audit.next_seq - 1,
		.custody = keyd->store.custody->name,
	};

	int rc = erasure_verify(&keyd->store, scope, &facts.findings);
	if (rc && !facts.erase_error)
		facts.erase_error = rc;
	const char *uuid = scope->volume ? scope->volume->uuid : NULL;
	facts.exports = ledger_outstanding(
		keyd->store.dir_fd, scope->level->name, uuid, &facts.damaged_exports);
	facts.exports_doubt = ledger_doubt(keyd->store.dir_fd, &keyd->audit);
	facts.vouched = ledger_vouched(keyd->store.dir_fd, scope->level->name, uuid);
	return certificate_complete(d->certificate, &facts);
}

/* Every file is erased that can be. */
static void finish(struct keyd *keyd, struct destroy *d)
{
	const struct scope *scope = &d->rev.scope;
	int64_t now = clock_wall_seconds();

	int rc = erasure_destroy_in_device(&keyd->store, scope);
	if (rc) {
		give_up(keyd, d, "destroy its wrapping key in the token", rc);
		return;
	}
	rc = erasure_renew_root(&keyd->store, scope);
	if (rc) {
		give_up(keyd, d, "replace the root key", rc);
		keyd_stop_if_unclear(keyd, rc);
		return;
	}
	const char *text = certificate_text(d->certificate);
	rc = text ? erasure_write_tombstone(&keyd->store, scope, now, text) : -ENOMEM;
	if (rc) {
		give_up(keyd, d, "write the tombstone", rc);
		return;
	}
	rc = complete(keyd, d, now);
	if (!rc)
		rc = serverkeys_sign(keyd, d->certificate);
	if (rc) {
		give_up(keyd, d, "complete and sign the certificate", rc);
		return;
	}
	text = certificate_text(d->certificate);
	rc = text ? erasure_write_certificate(&keyd->store, scope, text) : -ENOMEM;
	if (rc) {
		give_up(keyd, d, "write the certificate", rc);
		return;
	}
	end(keyd, d);
}

static void on_revoked(struct keyd *keyd, struct revocation *rev)
{
	struct destroy *d = (struct destroy *)rev;
	char names[PROTO_MESSAGE_BYTES];

	sanitize_drop_overtaken(keyd, &rev->scope);
	size_t missing = revocation_missing(rev, names, sizeof(names));
	if (missing)
		log_warning("destroying %s: %zu did not acknowledge: %s", scope_name(&rev->scope),
			missing, names);
	int rc = revocation_certify(rev, d->certificate);
	if (rc) {
		give_up(keyd, d, "note the consumers' answers", rc);
		return;
	}
	if (audit(keyd, d, "destroy-revoked", names, missing ? "unproven" : "ok"))
		log_error("destroying %s goes on all the same", scope_name(&rev->scope));
	const char *text = certificate_text(d->certificate);
	rc = text ? erasure_write_intent(&keyd->store, &rev->scope, RECORD_ERASING, text) : -ENOMEM;
	if (rc) /* a restart would ask the consumers again: no reason to keep the keys for longer */
		log_warning("destroying %s: cannot write the intent again: %s",
			scope_name(&rev->scope), strerror(-rc));
	d->erasing = true;
}

bool destroy_under_way(const struct keyd *keyd, const struct scope *scope, bool of_level)
{
	for (const struct destroy *d = keyd->destroys; d; d = d->next) {
		if (!d->rev.scope.volume == of_level && precedence_overlap(&d->rev.scope, scope))
			return true;
	}
	return false;
}

/* A volume that was being destroyed before gets its own certificate first: its files are the level's, too. */
static bool waits_for_volumes(const struct keyd *keyd, const struct destroy *d)
{
	return !d->rev.scope.volume && destroy_under_way(keyd, &d->rev.scope, false);
}

bool destroy_step(struct keyd *keyd)
{
	bool more = false;

	for (struct destroy *d = keyd->destroys, *next; d && !keyd->unclear; d = next) {
		next = d->next;
		if (!d->erasing || waits_for_volumes(keyd, d))
			continue;
		if (erasure_step(&keyd->store, &d->rev.scope, ERASE_FILES_A_STEP, &d->progress) ||
			erasure_try_again(&d->progress))
			more = true;
		else
			finish(keyd, d), more = true; /* another one may have waited for it */
	}
	return more;
}

static struct destroy *new_destroy(const struct scope *scope)
{
	struct destroy *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->rev.scope = *scope;
	d->rev.type = PROTO_REVOKE;
	d->rev.reason = PROTO_REASON_DESTROY;
	d->rev.done = on_revoked;
	return d;
}

/* The intent is durable: from here on there is no way back. */
static void begin(struct keyd *keyd, struct destroy *d, bool erasing)
{
	set_state(&d->rev.scope, KEY_DESTROYING, 0);
	sanitize_give_way(keyd, &d->rev.scope);
	d->next = keyd->destroys;
	keyd->destroys = d; /* the list owns it */
	d->erasing = erasing;
	d->rev.kill_silent = keyd->config.kill_unresponsive;
	if (!erasing)
		revocation_start(keyd, &d->rev);
}

static enum proto_status refuse(char *message, enum proto_status status, const char *why)
{
	(void)snprintf(message, PROTO_MESSAGE_BYTES, "nothing was destroyed: %s", why);
	return status;
}

/* Makes the intent durable, unless d came from one. */
static enum proto_status write_intent(
	struct keyd *keyd, struct destroy *d, const struct destroy_order *order, char *message)
{
	const struct scope *scope = &d->rev.scope;
	const char *text = NULL;

	if (d->certificate)
		return PROTO_OK;
	d->certificate = certificate_draft(scope, &d->requester, order->requested_at);
	if (d->certificate && !certificate_add_terms(d->certificate, &order->terms))
		text = certificate_text(d->certificate);
	if (!text)
		return refuse(message, PROTO_FAILED, "out of memory");
	int rc = erasure_write_intent(&keyd->store, scope, RECORD_REVOKING, text);
	if (!rc)
		return PROTO_OK;
	if (audit(keyd, d, "destroy-interrupted", "write the intent", "failed") ||
		erasure_remove_intent(&keyd->store, scope))
		return refuse(message, PROTO_FAILED,
			"the state directory cannot be written, and a half-written intent may be "
			"carried out when keyd starts again");
	return refuse(message, PROTO_FAILED, strerror(-rc));
}

static enum proto_status declare(
	struct keyd *keyd, struct destroy *d, const struct destroy_order *order, char *message)
{
	d->resumed = false;
	d->requester = (struct peer){
		.pid = order->requester.pid,
		.uid = order->requester.uid,
		.pidfd = -1,
	};
	if (audit(keyd, d, d->rev.scope.volume ? "volume-destroy" : "level-destroy", order->detail,
		    "ok"))
		return refuse(message, PROTO_FAILED, "the audit log cannot be written");
	return write_intent(keyd, d, order, message);
}

/*
 * The transaction that the scope's intent describes. NULL with *rc: -ENOENT (no intent), -EBADMSG, …
 * *erasing: the consumers have answered. A certificate that is there already is taken as it is when
 * it is signed; any other is written anew.
 */
static struct destroy *from_intent(
	const struct keyd *keyd, const struct scope *scope, bool *erasing, bool *certified, int *rc)
{
	char *text = NULL, signer[SIGNATURE_ID_BYTES];
	struct record rec;

	*rc = erasure_read_intent(&keyd->store, scope, &rec);
	if (*rc)
		return NULL;
	*rc = -ENOMEM;
	struct destroy *d = new_destroy(scope);
	if (!d)
		goto out;
	d->resumed = true;
	*erasing = rec.state == RECORD_ERASING;
	if (!erasure_read_certificate(&keyd->store, scope, &text) &&
		!signature_verify(text, strlen(text), &keyd->signer, signer))
		d->certificate = certificate_parse(scope, text);
	*certified = d->certificate != NULL;
	if (!d->certificate)
		d->certificate = certificate_parse(scope, rec.body);
	*rc = d->certificate ? 0 : -EBADMSG;
	if (*rc) {
		destroy_free(d);
		d = NULL;
	}
out:
	free(text);
	record_clear(&rec);
	return d;
}

enum proto_status destroy_start(struct keyd *keyd, const struct destroy_order *order,
	struct admin *admin, uint32_t serial, char *message)
{
	const struct scope *scope = &order->scope;
	bool erasing = false, certified;
	int rc;

	struct destroy *d = from_intent(keyd, scope, &erasing, &certified, &rc);
	if (!d) /* none, or one that nobody can read any more: a new one replaces it */
		d = new_destroy(scope);
	if (!d)
		return refuse(message, PROTO_FAILED, "out of memory");
	enum proto_status status = declare(keyd, d, order, message);
	if (status != PROTO_OK) {
		destroy_free(d);
		return status;
	}
	if (admin)
		admin_wait(admin, &d->waiting, serial);
	begin(keyd, d, erasing);
	return PROTO_OK;
}

static void resume(struct keyd *keyd, const struct scope *scope)
{
	bool erasing, certified;
	int rc;

	struct destroy *d = from_intent(keyd, scope, &erasing, &certified, &rc);
	if (!d) {
		if (rc != -ENOENT)
			log_error("%s was being destroyed, but the intent cannot be read: destroy "
				  "it again",
				scope_name(scope));
		return;
	}
	log_info("going on with destroying %s", scope_name(scope));
	if (!certified) {
		begin(keyd, d, erasing);
		return;
	}
	end(keyd, d);
}

void destroy_resume_all(struct keyd *keyd)
{
	for (size_t i = 0; i < keyd->store.level_count; i++) {
		struct level *level = keyd->store.levels[i];
		resume(keyd, &(struct scope){.level = level});
		bool whole = destroy_under_way(keyd, &(struct scope){.level = level}, true);
		for (size_t k = 0; !whole && k < level->volume_count; k++)
			resume(keyd, &(struct scope){.level = level, .volume = level->volumes[k]});
	}
}

void destroy_abandon_all(struct keyd *keyd)
{
	while (keyd->destroys) {
		struct destroy *d = keyd->destroys;
		revocation_forget(keyd, &d->rev);
		unlink_destroy(keyd, d);
		admin_answer_waiting(keyd, &d->waiting, PROTO_FAILED, NULL,
			"there is no certificate for %s alone: the whole key store is being "
			"zeroized",
			scope_name(&d->rev.scope));
		destroy_free(d);
	}
}

void destroy_forget_all(struct keyd *keyd)
{
	while (keyd->destroys) {
		struct destroy *d = keyd->destroys;
		unlink_destroy(keyd, d);
		admin_answer_waiting(keyd, &d->waiting, PROTO_FAILED, NULL,
			"keyd is stopping: destroying %s goes on when it starts again",
			scope_name(&d->rev.scope));
		destroy_free(d);
	}
}
