/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What is said of a request that waits: to its record, and to people and programs. */
#include <errno.h>
#include <string.h>

#include "jsonhelp.h"
#include "pending.h"
#include "text.h"

static const char type_name[] = "tgt-crypt request to destroy";

/* ---- On the medium ---------------------------------------------------------------------------- */

static struct json_object *whole(bool ok, struct json_object *json)
{
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

static struct json_object *moment_json(const struct moment *moment)
{
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "boot_id", moment->boot_id) &&
		  json_add_number(json, "boot_s", (uint64_t)moment->boot_s) &&
		  json_add_number(json, "wall_s", (uint64_t)moment->wall_s);
	return whole(ok, json);
}

static struct json_object *record_json(const struct pending *p)
{
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "type", type_name) && json_add_string(json, "id", p->id) &&
		  json_add_number(json, "requester_uid", p->requester.uid) &&
		  json_add_number(json, "requested_at", (uint64_t)p->requested_at) &&
		  json_add_bool(json, "needs_approval", p->needs_approval) &&
		  json_add_bool(json, "approved", p->terms.approved) &&
		  json_add_number(json, "approver_uid", p->terms.approver) &&
		  json_add_number(json, "approved_at", (uint64_t)p->terms.approved_at) &&
		  json_add_number(json, "delay_s", (uint64_t)p->delay_s) &&
		  json_add_number(json, "wait_s", (uint64_t)p->wait_s) &&
		  json_add(json, "since", moment_json(&p->since));
	return whole(ok, json);
}

int pending_save(const struct keyd *keyd, const struct pending *p)
{
	struct json_object *json = record_json(p);
	const char *text =
		json ? json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN) : NULL;

	int rc = text ? erasure_write_request(&keyd->store, &p->scope, text) : -ENOMEM;
	json_object_put(json);
	return rc;
}

static bool flag(struct json_object *json, const char *key)
{
	struct json_object *member;

	return json_object_object_get_ex(json, key, &member) && json_object_get_boolean(member);
}

int pending_parse(struct pending *p, const char *body)
{
	struct json_object *since, *json = body ? json_tokener_parse(body) : NULL;

	int rc = -EBADMSG;
	if (strcmp(json_string(json, "type"), type_name) ||
		!json_object_object_get_ex(json, "since", &since))
		goto out;
	p->requester = (struct peer){
		.uid = (uid_t)json_number(json, "requester_uid"),
		.pidfd = -1,
	};
	p->requested_at = (int64_t)json_number(json, "requested_at");
	p->needs_approval = flag(json, "needs_approval");
	p->terms.approved = flag(json, "approved");
	p->terms.approver = (uid_t)json_number(json, "approver_uid");
	p->terms.approved_at = (int64_t)json_number(json, "approved_at");
	p->delay_s = (int)json_number(json, "delay_s");
	p->wait_s = (int64_t)json_number(json, "wait_s");
	p->since.boot_s = (int64_t)json_number(since, "boot_s");
	p->since.wall_s = (int64_t)json_number(since, "wall_s");
	rc = text_copy(p->id, sizeof(p->id), json_string(json, "id"));
	if (!rc)
		rc = text_copy(
			p->since.boot_id, sizeof(p->since.boot_id), json_string(since, "boot_id"));
out:
	json_object_put(json);
	return rc;
}

/* ---- For people and programs ------------------------------------------------------------------- */

struct json_object *pending_json(const struct pending *p)
{
	const struct volume *volume = p->scope.volume;
	struct json_object *json = json_object_new_object();
	bool approval = pending_needs_approval(p);

	bool ok = json_add_string(json, "type", type_name) && json_add_string(json, "id", p->id) &&
		  json_add_string(json, "scope", volume ? "volume" : "level") &&
		  json_add_string(json, "level", p->scope.level->name) &&
		  json_add_string(json, "subject", pending_subject(p)) &&
		  json_add_string(json, "state", approval ? "needs approval" : "waits") &&
		  json_add(json, "requester", certificate_person(p->requester.uid)) &&
		  json_add_time(json, "requested_at", p->requested_at);
	if (ok && volume)
		ok = json_add_string(json, "path", volume->path);
	if (ok && p->terms.approved)
		ok = json_add(json, "approved_by", certificate_person(p->terms.approver)) &&
		     json_add_time(json, "approved_at", p->terms.approved_at);
	if (ok)
		ok = json_add_time(
			json, approval ? "expires_at" : "takes_effect_at", pending_until(p));
	if (ok && approval)
		ok = json_add_number(json, "delay_seconds", (uint64_t)p->delay_s);
	return whole(ok, json);
}

struct json_object *pending_list_json(const struct keyd *keyd)
{
	struct json_object *array = json_object_new_array();
	bool ok = array != NULL;

	for (const struct pending *p = keyd->pending; ok && p; p = p->next)
		ok = json_append(array, pending_json(p));
	return whole(ok, array);
}
