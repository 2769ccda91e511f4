/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Requests about what is on record: the audit log, certificates of destruction. */
#include "admin_requests.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "erasure.h"
#include "helper.h"
#include "inventory.h"
#include "secret.h"
#include "text.h"

void request_audit(struct request *r)
{
	if (!request_audit_reading(r, "audit-read"))
		return;
	int fd = openat(r->keyd->store.dir_fd, AUDIT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		request_answer(
			r, PROTO_FAILED, NULL, "cannot read the audit log: %s", strerror(errno));
		return;
	}
	admin_answer_file(r->keyd, r->admin, r->msg.serial, fd, r->keyd->audit.size_bytes);
}

/* What a good verdict covers, in words. */
static void describe(
	const struct audit_key *key, const struct audit_verdict *v, char text[PROTO_MESSAGE_BYTES])
{
	char older[96] = "", locked[128] = "";

	if (!key->bytes) {
		(void)snprintf(text, PROTO_MESSAGE_BYTES,
			"%" PRIu64
			" records, unbroken as far as can be told without the log's key: "
			"it is in a store that is locked, or not made yet",
			v->records);
		return;
	}
	if (key->first_keyed > 1)
		(void)snprintf(older, sizeof(older), "; 1 to %" PRIu64 " are older than the key",
			key->first_keyed - 1);
	if (v->without_code)
		(void)snprintf(locked, sizeof(locked),
			"; %" PRIu64 " were written while the store was locked", v->without_code);
	(void)snprintf(text, PROTO_MESSAGE_BYTES,
		"%" PRIu64 " records, unbroken; the log's key vouches for 1 to %" PRIu64 "%s%s",
		v->records, v->last_keyed, older, locked);
}

/* A verification under way, on the helper's thread. */
struct verification {
	struct helper_job job; /* first */
	struct admin_waiting waiting;
	int dir_fd;           /* borrowed: the store's */
	struct audit_key key; /* a copy; bytes owned, NULL: none */
	struct audit_mark kept;
	struct audit_snapshot until;
	struct audit_check check;
	struct audit_verdict verdict;
	int rc;
};

static void verification_free(struct helper_job *job)
{
	struct verification *v = (struct verification *)job;

	secret_free(v->key.bytes);
	free(v);
}

static void verify(struct helper_job *job)
{
	struct verification *v = (struct verification *)job;

	v->rc = audit_verify(v->dir_fd, &v->check, &v->verdict);
}

static void answer_verdict(struct keyd *keyd, struct verification *v)
{
	const struct audit_verdict *verdict = &v->verdict;
	struct json_object *json = inventory_audit(&keyd->audit, verdict);
	char text[PROTO_MESSAGE_BYTES];

	if (verdict->first_bad_line) {
		admin_answer_waiting(keyd, &v->waiting, PROTO_DAMAGED, json,
			"the audit log is broken at line %" PRIu64 ": %s", verdict->first_bad_line,
			verdict->reason);
	} else if (verdict->torn || strcmp(verdict->head, v->until.head) != 0 ||
		   !audit_is_as_left(&keyd->audit)) {
		admin_answer_waiting(keyd, &v->waiting, PROTO_DAMAGED, json,
			"the audit log does not end with the last record that keyd wrote");
	} else {
		describe(&v->key, verdict, text);
		admin_answer_waiting(keyd, &v->waiting, PROTO_OK, json, "%s", text);
	}
}

static void on_verified(struct keyd *keyd, struct helper_job *job)
{
	struct verification *v = (struct verification *)job;

	if (v->rc)
		admin_answer_waiting(keyd, &v->waiting, PROTO_FAILED, NULL,
			"cannot read the audit log: %s", strerror(-v->rc));
	else
		answer_verdict(keyd, v);
	verification_free(job);
}

/* keyd stops. */
static void drop_verification(struct helper_job *job)
{
	(void)admin_stop_waiting(&((struct verification *)job)->waiting);
	verification_free(job);
}

/* What the thread needs is copied: keyd may lose the key meanwhile. */
static int prepare_verification(const struct keyd *keyd, struct verification *v)
{
	const struct audit_key *key = &keyd->audit.key;

	v->job.work = verify;
	v->job.done = on_verified;
	v->job.drop = drop_verification;
	v->dir_fd = keyd->store.dir_fd;
	v->check.until = &v->until;
	if (v->kept.seq)
		v->check.kept = &v->kept;
	v->key = *key;
	v->key.bytes = NULL;
	if (key->bytes) {
		v->key.bytes = secret_alloc(MAC_KEY_BYTES);
		if (!v->key.bytes)
			return -errno;
		memcpy(v->key.bytes, key->bytes, MAC_KEY_BYTES);
		v->check.key = &v->key;
	}
	return audit_take_snapshot(&keyd->audit, &v->until);
}

/* False when it is no head; then it has been answered. */
static bool take_kept_head(struct request *r, struct audit_mark *kept)
{
	if (r->msg.type != PROTO_AUDIT_VERIFY_HEAD)
		return true;
	kept->seq = r->msg.audit_head.seq;
	if (kept->seq && strspn(r->msg.audit_head.hash, "0123456789abcdef") == AUDIT_HASH_CHARS &&
		!text_copy(kept->hash, sizeof(kept->hash), r->msg.audit_head.hash))
		return true;
	request_answer(r, PROTO_INVALID, NULL,
		"this is no head: a number from 1, a colon, 64 hexadecimal digits");
	return false;
}

void request_audit_verify(struct request *r)
{
	struct audit_mark kept = {.seq = 0};

	if (!take_kept_head(r, &kept))
		return;
	if (!helper_has_room(r->keyd, r->admin->session.peer.uid)) {
		request_answer(r, PROTO_BUSY, NULL,
			"the audit log is being verified for you already: wait until that has "
			"ended, "
			"and try again");
		return;
	}
	if (!request_audit_reading(r, "audit-verify"))
		return;
	struct verification *v = calloc(1, sizeof(*v));
	int rc = -ENOMEM;
	if (v) {
		v->kept = kept;
		rc = prepare_verification(r->keyd, v);
	}
	if (rc) {
		request_answer(
			r, PROTO_FAILED, NULL, "cannot read the audit log: %s", strerror(-rc));
		if (v)
			verification_free(&v->job);
		return;
	}
	v->job.uid = r->admin->session.peer.uid;
	admin_wait(r->admin, &v->waiting, r->msg.serial);
	helper_begin(r->keyd, &v->job); /* the helper owns v */
}

/*
 * A volume that was destroyed with its level is in the level's certificate. Levels of an earlier keyd may have the name of a
 * volume: keyadm level show tells of those.
 */
static bool find_scope(const struct keyd *keyd, const char *name, struct scope *scope)
{
	struct volume *volume = text_is_uuid(name) ? keystore_volume(&keyd->store, name) : NULL;

	*scope = (struct scope){
		.level = volume ? volume->level : keystore_level(&keyd->store, name)};
	if (volume && volume->level->state != KEY_DESTROYED)
		scope->volume = volume;
	return scope->level != NULL;
}

/* In the way of a certificate: nothing, or one line. */
static const char *signature_problem(const struct keyd *keyd, const char *text)
{
	char signer[SIGNATURE_ID_BYTES];

	switch (signature_verify(text, strlen(text), &keyd->signer, signer)) {
	case 0:
	case -ENODATA: /* an earlier keyd made it; it says so itself */
		return NULL;
	case -ENOKEY:
		return "it was not signed with the key that this server has now";
	default:
		return "it was changed: its signature does not fit";
	}
}

/* Of a volume that lives: the last one of those that its sanitizations left. */
static int read_certificate(const struct keyd *keyd, const struct scope *scope, char **text)
{
	int rc = erasure_read_certificate(&keyd->store, scope, text);

	for (uint32_t n = scope->volume ? scope->volume->sanitized : 0; rc == -ENOENT && n; n--)
		rc = erasure_read_sanitize_certificate(&keyd->store, scope->volume, n, text);
	return rc;
}

void request_certificate(struct request *r)
{
	const char *name = r->msg.certificate.name;
	struct scope scope;
	char *text = NULL;

	if (!request_store_is_open(r))
		return;
	if (!find_scope(r->keyd, name, &scope)) {
		request_answer(r, PROTO_NOT_FOUND, NULL, "there is no level and no volume %s",
			text_is_level_name(name) ? name : "of this name");
		return;
	}
	int rc = read_certificate(r->keyd, &scope, &text);
	struct json_object *json = rc ? NULL : json_tokener_parse(text);
	const char *problem = json ? signature_problem(r->keyd, text) : NULL;
	if (rc == -ENOENT)
		request_answer(r, PROTO_NOT_FOUND, NULL,
			"%s has no certificate: it is not destroyed", name);
	else if (!json)
		request_answer(r, PROTO_DAMAGED, NULL, "the certificate of %s cannot be read: %s",
			name, rc ? strerror(-rc) : "it is no JSON");
	else if (problem)
		request_answer(r, PROTO_DAMAGED, json, "the certificate of %s: %s", name, problem);
	else
		request_answer(r, PROTO_OK, json, "%s", "");
	free(text);
}
