/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "admin_requests.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "destroy.h"
#include "inventory.h"
#include "log.h"
#include "text.h"
#include "unlock.h"

void request_answer(
	struct request *r, enum proto_status status, struct json_object *json, const char *fmt, ...)
{
	char message[PROTO_MESSAGE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	admin_answer(r->keyd, r->admin, r->msg.serial, status, json, message);
}

bool request_store_is_open(struct request *r)
{
	const struct keystore *ks = &r->keyd->store;

	if (keystore_is_locked(ks))
		request_answer(r, PROTO_LOCKED, NULL, "the key store is locked: keyadm unlock");
	else if (!ks->root)
		request_answer(r, PROTO_UNINITIALIZED, NULL, "no key store yet: keyadm init");
	return ks->root != NULL;
}

struct level *request_find_level(struct request *r)
{
	const char *name = r->msg.level.level;

	if (!request_store_is_open(r))
		return NULL;
	struct level *level = keystore_level(&r->keyd->store, name);
	if (!level)
		request_answer(r, PROTO_NOT_FOUND, NULL,
			"there is no level %s: see keyadm level list",
			text_is_level_name(name) ? name : "of this name");
	return level;
}

bool request_audit_before(struct request *r, const char *event, const char *level,
	const struct volume *volume, const char *detail)
{
	int rc = audit_append(&r->keyd->audit, &(struct audit_event){.event = event,
						       .by = &r->admin->session.peer,
						       .level = level,
						       .volume = volume ? volume->uuid : NULL,
						       .path = volume ? volume->path : NULL,
						       .detail = detail,
						       .result = "ok"});
	if (rc)
		request_answer(r, PROTO_FAILED, NULL,
			"nothing was done: the audit log cannot be written: %s", strerror(-rc));
	return !rc;
}

void request_audit_failure(struct request *r, const char *event, const char *level,
	const struct volume *volume, int rc)
{
	if (audit_append(&r->keyd->audit, &(struct audit_event){.event = event,
						  .by = &r->admin->session.peer,
						  .level = level,
						  .volume = volume ? volume->uuid : NULL,
						  .detail = strerror(-rc),
						  .result = "failed"}))
		log_error(
			"%s failed (%s), and the audit log does not say so", event, strerror(-rc));
}

void request_init(struct request *r)
{
	const char *custody = r->msg.init.custody;

	if (!custody_find(custody)) {
		request_answer(
			r, PROTO_INVALID, NULL, "this keyd has the custodies file and passphrase");
		return;
	}
	if (r->keyd->store.custody) {
		request_answer(r, PROTO_EXISTS, NULL, "the key store is initialized already");
		return;
	}
	if (!request_audit_before(r, "init", NULL, NULL, custody))
		return;
	int rc = keystore_init(&r->keyd->store, custody, r->passphrase);
	if (rc == -EKEYREJECTED) {
		request_audit_failure(r, "init", NULL, NULL, rc);
		request_answer(r, PROTO_INVALID, NULL,
			"nothing was made: a passphrase needs 8 bytes at least");
		return;
	}
	if (rc) {
		request_audit_failure(r, "init", NULL, NULL, rc);
		request_answer(
			r, PROTO_FAILED, NULL, "cannot make the key store: %s", strerror(-rc));
		return;
	}
	request_answer(r, PROTO_OK, inventory_status(r->keyd), "the key store is initialized");
}

static void answer_locked(struct request *r, int rc)
{
	switch (rc) {
	case -EKEYREJECTED:
		request_answer(r, PROTO_DENIED, NULL, "still locked: this is not the passphrase");
		break;
	case -EBADMSG:
		request_answer(r, PROTO_DAMAGED, NULL,
			"still locked: root.passphrase is damaged: put it back from a backup");
		break;
	case -ENOMEM:
	case -EPERM:
	case -EAGAIN:
		request_answer(r, PROTO_FAILED, NULL,
			"still locked: keyd has no memory for Argon2id, or may not lock it: raise "
			"LimitMEMLOCK");
		break;
	default:
		request_answer(r, PROTO_FAILED, NULL, "still locked: %s", strerror(-rc));
	}
}

void request_unlock(struct request *r)
{
	if (!keystore_is_locked(&r->keyd->store)) {
		if (request_store_is_open(r))
			request_answer(r, PROTO_OK, NULL, "the key store is not locked");
		return;
	}
	int rc = unlock_store(r->keyd, r->passphrase, &r->admin->session.peer, NULL);
	if (rc) {
		answer_locked(r, rc);
		return;
	}
	destroy_resume_all(r->keyd);
	request_answer(r, PROTO_OK, inventory_status(r->keyd), "the key store is unlocked");
}

void request_status(struct request *r)
{
	struct json_object *json = inventory_status(r->keyd);

	request_answer(r, json ? PROTO_OK : PROTO_FAILED, json, "%s", json ? "" : "out of memory");
}

void request_audit(struct request *r)
{
	if (!request_audit_before(r, "audit-read", NULL, NULL, NULL))
		return;
	int fd = openat(r->keyd->store.dir_fd, AUDIT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		request_answer(
			r, PROTO_FAILED, NULL, "cannot read the audit log: %s", strerror(errno));
		return;
	}
	admin_answer_file(r->keyd, r->admin, r->msg.serial, fd, r->keyd->audit.size_bytes);
}

void request_audit_verify(struct request *r)
{
	struct audit_verdict verdict;

	if (!request_audit_before(r, "audit-verify", NULL, NULL, NULL))
		return;
	int rc = audit_verify(r->keyd->store.dir_fd, &verdict);
	if (rc) {
		request_answer(
			r, PROTO_FAILED, NULL, "cannot read the audit log: %s", strerror(-rc));
		return;
	}
	struct json_object *json = inventory_audit(&verdict);
	if (verdict.first_bad_line)
		request_answer(r, PROTO_DAMAGED, json,
			"the audit log is broken at line %" PRIu64 ": %s", verdict.first_bad_line,
			verdict.reason);
	else if (verdict.torn || strcmp(verdict.head, r->keyd->audit.head))
		request_answer(r, PROTO_DAMAGED, json,
			"the audit log does not end with the last record that keyd wrote");
	else
		request_answer(r, PROTO_OK, json, "%" PRIu64 " records, unbroken", verdict.records);
}
