/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Admin requests that destroy: at once, after approval and delay, in an emergency, everything. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin_requests.h"
#include "clock.h"
#include "jsonhelp.h"
#include "text.h"
#include "zeroize.h"

/* What a request waits for now, and until when. */
static void answer_waiting(struct request *r, const struct pending *p, const char *what)
{
	const char *kind = p->scope.volume ? "volume" : "level";
	char until[TEXT_TIME_BYTES], text[PENDING_WHAT_BYTES];

	text_time(until, pending_until(p));
	if (p->operation != PENDING_DESTROY)
		request_answer(r, PROTO_OK, pending_json(p),
			"request %s is approved: uid %u may now %s, once, until %s, by giving the "
			"same command again",
			p->id, (unsigned)p->requester.uid, pending_what(p, text), until);
	else if (pending_needs_approval(p))
		request_answer(r, PROTO_OK, pending_json(p),
			"to destroy %s %s is %s as %s: it needs the approval of another security "
			"administrator until %s: keyadm approve %s",
			kind, pending_subject(p), what, p->id, until, p->id);
	else
		request_answer(r, PROTO_OK, pending_json(p),
			"to destroy %s %s is %s as %s: it takes effect at %s unless keyadm cancel "
			"%s comes first",
			kind, pending_subject(p), what, p->id, until, p->id);
}

static void ask(struct request *r, const struct scope *scope, const struct destroy_rules *rules)
{
	char message[PROTO_MESSAGE_BYTES];
	struct pending *p;

	enum proto_status status =
		pending_ask(r->keyd, scope, rules, &r->admin->session.peer, &p, message);
	if (status == PROTO_OK)
		answer_waiting(r, p, "requested");
	else
		request_answer(r, status, NULL, "%s", message);
}

static struct json_object *parameters_of(const struct approval_needed *needed, const char *what)
{
	struct json_object *json = needed->parameters;

	bool ok = (!needed->level || json_add_string(json, "level", needed->level)) &&
		  json_add_string(json, "what", what);
	return ok ? json : NULL;
}

bool request_is_approved(
	struct request *r, const struct approval_needed *needed, const char *fmt, ...)
{
	char message[PROTO_MESSAGE_BYTES] = "", what[PENDING_WHAT_BYTES], until[TEXT_TIME_BYTES];
	const struct pending *waits = NULL;
	enum proto_status status = PROTO_FAILED;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	struct json_object *parameters = parameters_of(needed, what);
	if (parameters)
		status = pending_use(r->keyd,
			&(struct pending_wish){.operation = needed->operation,
				.parameters = parameters,
				.by = &r->admin->session.peer},
			&waits, message);
	else
		(void)snprintf(message, sizeof(message), "nothing was done: out of memory");
	if (status == PROTO_UNAPPROVED) {
		text_time(until, pending_until(waits));
		request_answer(r, status, pending_json(waits),
			"request %s to %s: needs the approval of another security administrator "
			"until %s (keyadm approve %s); then give the same command again",
			waits->id, what, until, waits->id);
	} else if (status != PROTO_OK) {
		request_answer(r, status, NULL, "%s", message);
	}
	json_object_put(needed->parameters);
	return status == PROTO_OK;
}

/* False when keyd.conf forbids it for level, or for everything (NULL); then it has been recorded and answered. */
static bool may_hurry(struct request *r, const char *level)
{
	if (config_allows_emergency(&r->keyd->config, level))
		return true;
	keyd_audit_refusal(r->keyd, &(struct audit_event){.event = "admin-request",
					    .by = &r->admin->session.peer,
					    .level = level,
					    .detail = proto_type_name(r->msg.type),
					    .result = "denied"});
	request_answer(r, PROTO_DENIED, NULL, "nothing was destroyed: keyd.conf(5) says %s; %s",
		r->keyd->config.emergency == 0 ? "emergency = no"
					       : "approval, and not emergency = yes",
		level ? "give the same command without --emergency"
		      : "root on this machine may zeroize");
	return false;
}

void request_destroy(struct request *r, const struct scope *scope)
{
	struct destroy_rules rules =
		policy_destroy_rules(&r->keyd->config.policy, scope->level->name);
	enum key_state state = scope->volume ? scope->volume->state : scope->level->state;
	bool emergency = r->msg.type == PROTO_DESTROY_EMERGENCY;
	char message[PROTO_MESSAGE_BYTES];

	if (emergency && !may_hurry(r, scope->level->name))
		return;
	/* One that is half done was decided when it began. */
	if (!emergency && state != KEY_DESTROYING &&
		((rules.approval & APPROVAL_DESTROY) || rules.delay_s)) {
		ask(r, scope, &rules);
		return;
	}
	const struct destroy_order order = {
		.scope = *scope,
		.requester = r->admin->session.peer,
		.requested_at = clock_wall_seconds(),
		.terms = {.emergency = emergency},
		.detail = emergency ? "emergency" : NULL,
	};
	enum proto_status status = destroy_start(r->keyd, &order, r->admin, r->msg.serial, message);
	if (status != PROTO_OK)
		request_answer(r, status, NULL, "%s", message);
}

void request_emergency(struct request *r)
{
	const struct proto_emergency wanted = r->msg.emergency;

	if (!wanted.level[0] == !wanted.id[0]) {
		request_answer(r, PROTO_INVALID, NULL, "a level or a volume, not both");
		return;
	}
	if (wanted.level[0]) {
		memcpy(r->msg.level.level, wanted.level, sizeof(wanted.level));
		request_level_destroy(r);
	} else {
		memcpy(r->msg.volume_id.id, wanted.id, sizeof(wanted.id));
		request_volume_destroy(r);
	}
}

void request_request_list(struct request *r)
{
	if (request_store_is_open(r)) /* else an empty list would be a lie */
		request_answer(r, PROTO_OK, pending_list_json(r->keyd), "%s", "");
}

static struct pending *find_request(struct request *r)
{
	if (!request_store_is_open(r))
		return NULL;
	struct pending *p = pending_find(r->keyd, r->msg.request.id);
	if (!p)
		request_answer(r, PROTO_NOT_FOUND, NULL,
			"there is no such request any more: see keyadm requests");
	return p;
}

void request_approve(struct request *r)
{
	char message[PROTO_MESSAGE_BYTES];
	struct pending *p = find_request(r);
	bool waits;

	if (!p)
		return;
	enum proto_status status =
		pending_approve(r->keyd, p, r->admin, r->msg.serial, &waits, message);
	if (status != PROTO_OK)
		request_answer(r, status, NULL, "%s", message);
	else if (waits)
		answer_waiting(r, p, "approved");
}

void request_cancel(struct request *r)
{
	char message[PROTO_MESSAGE_BYTES], id[PROTO_REQUEST_ID_BYTES];
	struct pending *p = find_request(r);

	if (!p)
		return;
	memcpy(id, p->id, sizeof(id));
	struct json_object *json = pending_json(p);
	enum proto_status status = pending_cancel(r->keyd, p, &r->admin->session.peer, message);
	if (status == PROTO_OK) {
		request_answer(r, status, json, "request %s is cancelled", id);
		return;
	}
	json_object_put(json);
	request_answer(r, status, NULL, "%s", message);
}

void request_zeroize(struct request *r)
{
	char message[PROTO_MESSAGE_BYTES];

	/* Root could run keyd --zeroize instead: the button must not depend on what keyd.conf says. */
	if (!(r->admin->roles & ROLE_ROOT) && !may_hurry(r, NULL))
		return;
	enum proto_status status = zeroize_start(r->keyd, r->admin, r->msg.serial, message);
	if (status != PROTO_OK)
		request_answer(r, status, NULL, "%s", message);
}
