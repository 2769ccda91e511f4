/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "sanitize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ledger.h"
#include "log.h"
#include "precedence.h"
#include "sanitize_private.h"
#include "serverkeys.h"
#include "token.h"

int sanitize_audit(struct keyd *keyd, const struct sanitize *s, const char *event,
	const char *detail, const char *result)
{
	return audit_append(&keyd->audit, &(struct audit_event){.event = event,
						  .by = s->resumed ? NULL : &s->requester,
						  .level = volume_of(s)->level->name,
						  .volume = volume_of(s)->uuid,
						  .detail = detail,
						  .result = result});
}

void sanitize_free(struct sanitize *s)
{
	json_object_put(s->certificate);
	keystore_renewal_discard(&s->renewal);
	free(s);
}

static void unlink_sanitize(struct keyd *keyd, struct sanitize *s)
{
	struct sanitize **link = &keyd->sanitizes;

	while (*link && *link != s)
		link = &(*link)->next;
	if (*link)
		*link = s->next;
}

static void answer(
	struct keyd *keyd, struct sanitize *s, enum proto_status status, const char *message)
{
	if (s->asker)
		(void)session_reply(keyd, &s->asker->session, PROTO_SANITIZE_REPLY, s->serial,
			status, "%s", message);
	s->asker = NULL;
}

/* The intent stays: the next ATTACH, or the next start, goes on. No key leaves meanwhile. */
static void give_up(struct keyd *keyd, struct sanitize *s, const char *step, int rc)
{
	log_error("sanitizing %s: cannot %s: %s: it goes on when the volume is attached, or keyd "
		  "starts again",
		volume_of(s)->uuid, step, token_strerror(rc));
	if (sanitize_audit(keyd, s, "sanitize-interrupted", step, "failed"))
		log_error("sanitizing %s: the interruption is not in the audit log",
			volume_of(s)->uuid);
	unlink_sanitize(keyd, s);
	answer(keyd, s, PROTO_FAILED, "keyd cannot go on at once: see its log");
	sanitize_free(s);
}

/* ---- After the old key is erased ----------------------------------------------------------------- */

/* Enters what was found, and signs. */
static int complete_certificate(const struct keyd *keyd, struct sanitize *s)
{
	const struct scope *scope = &s->rev.scope;
	const struct erase_class class = erasure_class(&keyd->store, scope);
	struct certificate_end facts = {
		.completed_at = clock_wall_seconds(),
		.erase_class = class.name,
		.erase_class_reason = class.reason,
		.erase_error = s->progress.first_error,
		.audit_head = keyd->audit.head,
		.audit_seq = keyd->audit.next_seq - 1,
		.custody = keyd->store.custody->name,
	};

	int rc = erasure_verify(&keyd->store, scope, &facts.findings);
	if (rc && !facts.erase_error)
		facts.erase_error = rc;
	facts.exports = ledger_outstanding(keyd->store.dir_fd, scope->level->name,
		scope->volume->uuid, &facts.damaged_exports);
	facts.exports_doubt = ledger_doubt(keyd->store.dir_fd, &keyd->audit);
	facts.vouched = ledger_vouched(keyd->store.dir_fd, scope->level->name, scope->volume->uuid);
	rc = certificate_complete(s->certificate, &facts);
	return rc ? rc : serverkeys_sign(keyd, s->certificate);
}

static int write_certificate(const struct keyd *keyd, struct sanitize *s)
{
	if (s->certified)
		return 0;
	int rc = complete_certificate(keyd, s);
	const char *text = rc ? NULL : certificate_text(s->certificate);
	if (!rc)
		rc = text ? erasure_write_sanitize_certificate(
				    &keyd->store, volume_of(s), volume_of(s)->sanitized, text)
			  : -ENOMEM;
	s->certified = !rc;
	return rc;
}

static bool is_proven(const struct sanitize *s)
{
	char names[1];

	return certificate_is_verified(s->certificate) &&
	       !certificate_missing(s->certificate, names, sizeof(names));
}

/* What the audit log says at the end names the very document. */
static int audit_end(struct keyd *keyd, const struct sanitize *s)
{
	char detail[CERTIFICATE_DIGEST_BYTES];

	int rc = certificate_digest(s->certificate, detail, sizeof(detail));
	return rc ? rc
		  : sanitize_audit(
			    keyd, s, "volume-sanitized", detail, is_proven(s) ? "ok" : "unproven");
}

/* From the statement on the new key is the volume's; until then it has never left. */
static int renew(struct keyd *keyd, struct sanitize *s)
{
	const char *text = certificate_text(s->certificate);
	int rc = text ? 0 : -ENOMEM;

	if (!rc && !s->renewal.sealed)
		rc = keystore_renewal_prepare(&keyd->store, volume_of(s), &s->renewal);
	if (!rc)
		rc = keystore_renewal_commit(&keyd->store, volume_of(s), &s->renewal);
	if (!rc)
		rc = audit_end(keyd, s);
	if (!rc)
		rc = erasure_write_sanitize(&keyd->store, &s->rev.scope, RECORD_HEADER_DUE, text);
	return rc;
}

static void on_restored(struct keyd *keyd, struct revocation *rev)
{
	(void)keyd;
	((struct sanitize *)rev)->step = STEP_DONE;
}

/* Whoever had the volume may ask for its new key. */
static void restore(struct keyd *keyd, struct sanitize *s)
{
	s->step = STEP_DONE;
	if (keystore_volume_state(volume_of(s)) != KEY_ACTIVE)
		return; /* its level was suspended meanwhile: resuming it tells everybody */
	s->step = STEP_RESTORE;
	s->rev.type = PROTO_RESTORE;
	s->rev.done = on_restored;
	s->rev.kill_silent = false;
	revocation_start(keyd, &s->rev);
}

/* Every file of the old key is erased that can be. */
static void finish(struct keyd *keyd, struct sanitize *s)
{
	int rc = write_certificate(keyd, s);
	if (rc) {
		give_up(keyd, s, "complete, sign and write the certificate", rc);
		return;
	}
	rc = renew(keyd, s);
	if (rc) {
		give_up(keyd, s, "make and record another key", rc);
		return;
	}
	volume_of(s)->state = KEY_ACTIVE;
	log_info("volume %s has another key: the one before is destroyed", volume_of(s)->uuid);
	if (is_proven(s))
		answer(keyd, s, PROTO_OK, "");
	else
		answer(keyd, s, PROTO_UNPROVEN,
			"the volume has another key, but that the old one is gone is not proven: "
			"see keyadm certificate show");
	restore(keyd, s);
}

/* ---- Up to there --------------------------------------------------------------------------------- */

static void on_revoked(struct keyd *keyd, struct revocation *rev)
{
	struct sanitize *s = (struct sanitize *)rev;
	char names[PROTO_MESSAGE_BYTES];

	if (s->step == STEP_OVERTAKEN) {
		s->step = STEP_DONE;
		return;
	}
	size_t missing = revocation_missing(rev, names, sizeof(names));
	if (missing)
		log_warning("sanitizing %s: %zu did not acknowledge: %s", volume_of(s)->uuid,
			missing, names);
	int rc = revocation_certify(rev, s->certificate);
	if (rc) {
		give_up(keyd, s, "note the consumers' answers", rc);
		return;
	}
	if (sanitize_audit(keyd, s, "sanitize-revoked", names, missing ? "unproven" : "ok"))
		log_error("sanitizing %s goes on all the same", volume_of(s)->uuid);
	const char *text = certificate_text(s->certificate);
	rc = text ? erasure_write_sanitize(&keyd->store, &rev->scope, RECORD_ERASING, text)
		  : -ENOMEM;
	if (rc) /* a restart would ask the consumers again: no reason to keep the key for longer */
		log_warning("sanitizing %s: cannot write the intent again: %s", volume_of(s)->uuid,
			strerror(-rc));
	s->step = STEP_ERASE;
}

static void erase(struct keyd *keyd, struct sanitize *s)
{
	enum { FILES_A_STEP = 16 };

	if (!erasure_step(&keyd->store, &s->rev.scope, FILES_A_STEP, &s->progress) &&
		!erasure_try_again(&s->progress))
		finish(keyd, s);
}

bool sanitize_under_way(const struct keyd *keyd, const struct scope *scope)
{
	for (const struct sanitize *s = keyd->sanitizes; s; s = s->next) {
		if (s->step != STEP_OVERTAKEN && precedence_overlap(&s->rev.scope, scope))
			return true;
	}
	return false;
}

void sanitize_give_way(struct keyd *keyd, const struct scope *scope)
{
	for (struct sanitize *s = keyd->sanitizes; s; s = s->next) {
		if (s->step == STEP_OVERTAKEN || !precedence_overlap(&s->rev.scope, scope))
			continue;
		log_info("sanitizing %s ends: its key is being destroyed for good",
			volume_of(s)->uuid);
		if (sanitize_audit(keyd, s, "sanitize-overtaken", NULL, "ok"))
			log_error("that sanitizing %s was overtaken is not in the audit log",
				volume_of(s)->uuid);
		answer(keyd, s, PROTO_FAILED, "the volume or its level is being destroyed");
		/* Answers to its REVOKE may be on their way; the destruction ends whoever is silent. */
		s->rev.kill_silent = false;
		s->step = s->step == STEP_REVOKE ? STEP_OVERTAKEN : STEP_DONE;
		if (s->step == STEP_DONE)
			revocation_forget(keyd, &s->rev);
	}
}

void sanitize_drop_overtaken(struct keyd *keyd, const struct scope *scope)
{
	for (struct sanitize *s = keyd->sanitizes; s; s = s->next) {
		if (s->step != STEP_OVERTAKEN || !precedence_overlap(&s->rev.scope, scope))
			continue;
		s->rev.deadline_ms =
			0; /* on_revoked() comes with the next look at the revocations */
	}
}

bool sanitize_step(struct keyd *keyd)
{
	bool more = false;

	for (struct sanitize *s = keyd->sanitizes, *next; s && !keyd->unclear; s = next) {
		next = s->next;
		if (s->step == STEP_DONE) {
			unlink_sanitize(keyd, s);
			sanitize_free(s);
		} else if (s->step == STEP_ERASE) {
			erase(keyd, s);
			more = true;
		}
	}
	return more;
}

struct sanitize *sanitize_new(struct volume *volume)
{
	struct sanitize *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->rev.scope = (struct scope){.level = volume->level, .volume = volume};
	s->rev.type = PROTO_REVOKE;
	s->rev.reason = PROTO_REASON_SANITIZE;
	s->rev.done = on_revoked;
	return s;
}

void sanitize_begin(struct keyd *keyd, struct sanitize *s)
{
	volume_of(s)->state = KEY_SANITIZING;
	s->next = keyd->sanitizes;
	keyd->sanitizes = s; /* the list owns it */
	s->rev.kill_silent = keyd->config.kill_unresponsive;
	if (s->step == STEP_REVOKE)
		revocation_start(keyd, &s->rev);
}

/* ---- Restart, lost connections, end --------------------------------------------------------------- */

/* A certificate that is there already is taken as it is when it is signed; any other is written anew. */
static void find_certificate(const struct keyd *keyd, struct sanitize *s, const char *drafted)
{
	char *text = NULL, signer[SIGNATURE_ID_BYTES];

	if (!erasure_read_sanitize_certificate(
		    &keyd->store, volume_of(s), volume_of(s)->sanitized, &text) &&
		!signature_verify(text, strlen(text), &keyd->signer, signer))
		s->certificate = certificate_parse(&s->rev.scope, text);
	s->certified = s->certificate != NULL;
	if (!s->certificate)
		s->certificate = certificate_parse(&s->rev.scope, drafted);
	free(text);
}

void sanitize_go_on(struct keyd *keyd, struct volume *volume)
{
	struct record rec;

	const struct scope scope = {.level = volume->level, .volume = volume};

	if (keystore_volume_state(volume) != KEY_SANITIZING || sanitize_under_way(keyd, &scope))
		return;
	struct sanitize *s = sanitize_new(volume);
	int rc = s ? erasure_read_sanitize(&keyd->store, &s->rev.scope, &rec) : -ENOMEM;
	if (!rc) {
		s->resumed = true;
		s->step = rec.state == RECORD_REVOKING ? STEP_REVOKE : STEP_ERASE;
		find_certificate(keyd, s, rec.body);
		rc = s->certificate ? 0 : -EBADMSG;
		record_clear(&rec);
	}
	if (rc) {
		log_error("volume %s was being sanitized, but it cannot go on: %s", volume->uuid,
			strerror(-rc));
		if (s)
			sanitize_free(s);
		return;
	}
	log_info("going on with sanitizing %s", volume->uuid);
	sanitize_begin(keyd, s);
}

void sanitize_on_close(struct keyd *keyd, const struct consumer *consumer)
{
	for (struct sanitize *s = keyd->sanitizes; s; s = s->next) {
		if (s->asker == consumer)
			s->asker = NULL;
	}
}

void sanitize_resume_all(struct keyd *keyd)
{
	for (size_t i = 0; i < keyd->store.level_count; i++) {
		struct level *level = keyd->store.levels[i];
		for (size_t k = 0; k < level->volume_count; k++)
			sanitize_go_on(keyd, level->volumes[k]);
	}
}

void sanitize_forget_all(struct keyd *keyd)
{
	while (keyd->sanitizes) {
		struct sanitize *s = keyd->sanitizes;
		revocation_forget(keyd, &s->rev);
		unlink_sanitize(keyd, s);
		answer(keyd, s, PROTO_FAILED, "keyd is stopping, or the key store is zeroized");
		sanitize_free(s);
	}
}
