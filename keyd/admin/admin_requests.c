/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "admin_requests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "inventory.h"
#include "log.h"
#include "text.h"

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
	char when[TEXT_TIME_BYTES];

	if (ks->zeroized_at) {
		text_time(when, ks->zeroized_at);
		request_answer(r, PROTO_DESTROYED, NULL,
			"the key store was zeroized at %s: keyadm init makes a new one", when);
		return false;
	}
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

bool request_is_in_the_way(struct request *r, enum operation wanted, const struct scope *scope)
{
	enum operation held;

	if (precedence_allows(r->keyd, wanted, scope, &held))
		return false;
	request_answer(r, PROTO_BUSY, NULL,
		"nothing was changed: %s%s or a volume of it is %s: try again when that is done",
		scope->level ? "level " : "a level", scope->level ? scope->level->name : "",
		precedence_doing(held));
	return true;
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

bool request_audit_reading(struct request *r, const char *event)
{
	int rc = audit_append_repeat(&r->keyd->audit,
		&(struct audit_event){
			.event = event, .by = &r->admin->session.peer, .result = "ok"},
		REPEAT_FREE);
	if (rc)
		request_answer(r, PROTO_FAILED, NULL,
			"nothing was read: the audit log cannot be written: %s", strerror(-rc));
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

void request_page(struct request *r)
{
	const struct proto_msg msg = {.type = PROTO_PAGE, .serial = r->msg.serial};

	int fd = session_new_page(&r->admin->session);
	if (fd < 0) {
		request_answer(r, PROTO_FAILED, NULL,
			"keyd has no memory for a shared page, or may not lock it: raise its "
			"LimitMEMLOCK");
		return;
	}
	(void)session_send(r->keyd, &r->admin->session, &msg, fd);
	(void)close(fd);
}

void request_status(struct request *r)
{
	struct json_object *json = inventory_status(r->keyd);

	request_answer(r, json ? PROTO_OK : PROTO_FAILED, json, "%s", json ? "" : "out of memory");
}
