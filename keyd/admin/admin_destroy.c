/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Admin requests that destroy: at once, after approval and delay, in an emergency, everything. */
#include <stdio.h>
#include <string.h>

#include "admin_requests.h"
#include "clock.h"
#include "pending.h"
#include "text.h"
#include "zeroize.h"

/* What a request waits for now, and until when. */
static void answer_waiting(struct request *r, const struct pending *p, const char *what)
{
	const char *kind = p->scope.volume ? "volume" : "level";
	char until[TEXT_TIME_BYTES];

	text_time(until, pending_until(p));
	if (pending_needs_approval(p))
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

void request_destroy(struct request *r, const struct scope *scope)
{
	struct destroy_rules rules =
		policy_destroy_rules(&r->keyd->config.policy, scope->level->name);
	enum key_state state = scope->volume ? scope->volume->state : scope->level->state;
	bool emergency = r->msg.type == PROTO_DESTROY_EMERGENCY;
	char message[PROTO_MESSAGE_BYTES];

	/* One that is half done was decided when it began. */
	if (!emergency && state != KEY_DESTROYING && (rules.approval || rules.delay_s)) {
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

/* False when keyd.conf forbids it; then it has been recorded and answered. */
static bool may_hurry(struct request *r)
{
	if (r->keyd->config.emergency)
		return true;
	keyd_audit_refusal(r->keyd, &(struct audit_event){.event = "admin-request",
					    .by = &r->admin->session.peer,
					    .detail = proto_type_name(r->msg.type),
					    .result = "denied"});
	request_answer(r, PROTO_DENIED, NULL,
		"nothing was destroyed: keyd.conf(5) says emergency = no, so ask for it with "
		"keyadm level destroy");
	return false;
}

void request_emergency(struct request *r)
{
	const struct proto_emergency wanted = r->msg.emergency;

	if (!may_hurry(r))
		return;
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
	if (!(r->admin->roles & ROLE_ROOT) && !may_hurry(r))
		return;
	enum proto_status status = zeroize_start(r->keyd, r->admin, r->msg.serial, message);
	if (status != PROTO_OK)
		request_answer(r, status, NULL, "%s", message);
}
