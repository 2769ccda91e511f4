/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What is said of a request that waits: to its record, and to people and programs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "durable.h"
#include "jsonhelp.h"
#include "keystore_private.h"
#include "pending.h"
#include "text.h"

static const char destroy_type[] = "tgt-crypt request to destroy";
static const char other_type[] = "tgt-crypt request";
static const char file_suffix[] = ".request";

static const char *const operation_names[PENDING_OPERATIONS] = {
	[PENDING_DESTROY] = "destroy",
	[PENDING_EXPORT] = "export",
	[PENDING_VOLUME_KEY] = "volume-key",
	[PENDING_IMPORT_FORCE] = "import-force",
	[PENDING_CUSTODY_CHANGE] = "custody-change",
};

const char *pending_operation_name(enum pending_operation operation)
{
	return operation_names[operation];
}

const char *pending_what(const struct pending *p, char text[PENDING_WHAT_BYTES])
{
	if (p->operation == PENDING_DESTROY)
		(void)snprintf(text, PENDING_WHAT_BYTES, "destroy %s %s",
			p->scope.volume ? "volume" : "level", pending_subject(p));
	else
		(void)snprintf(text, PENDING_WHAT_BYTES, "%s", json_string(p->parameters, "what"));
	return text;
}

static const char *type_of(const struct pending *p)
{
	return p->operation == PENDING_DESTROY ? destroy_type : other_type;
}

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

	bool ok = json_add_string(json, "type", type_of(p)) && json_add_string(json, "id", p->id) &&
		  json_add_number(json, "requester_uid", p->requester.uid) &&
		  json_add_number(json, "requested_at", (uint64_t)p->requested_at) &&
		  json_add_bool(json, "needs_approval", p->needs_approval) &&
		  json_add_bool(json, "approved", p->terms.approved) &&
		  json_add_number(json, "approver_uid", p->terms.approver) &&
		  json_add_number(json, "approved_at", (uint64_t)p->terms.approved_at) &&
		  json_add_number(json, "delay_s", (uint64_t)p->delay_s) &&
		  json_add_number(json, "wait_s", (uint64_t)p->wait_s) &&
		  json_add(json, "since", moment_json(&p->since));
	if (ok && p->operation != PENDING_DESTROY)
		ok = json_add_string(json, "operation", pending_operation_name(p->operation)) &&
		     json_add(json, "parameters", json_object_get(p->parameters));
	return whole(ok, json);
}

/* Destructions lie beside the keys that they are about, the others in a directory of their own. */
static int open_requests_dir(const struct keyd *keyd)
{
	int rc = durable_mkdir(keyd->store.dir_fd, REQUESTS_DIR);

	return rc ? rc : durable_open_dir(keyd->store.dir_fd, REQUESTS_DIR);
}

static void file_name(const struct pending *p, char name[STORE_NAME_BYTES])
{
	(void)snprintf(name, STORE_NAME_BYTES, "%s%s", p->id, file_suffix);
}

static int save_other(const struct keyd *keyd, const struct pending *p, const char *text)
{
	char name[STORE_NAME_BYTES];
	const struct record rec = {
		.kind = RECORD_REQUEST,
		.state = RECORD_ACTIVE,
		.created_at = p->requested_at,
		.changed_at = p->since.wall_s,
		.body = (char *)(uintptr_t)text, /* only read */
	};

	int dir_fd = open_requests_dir(keyd);
	if (dir_fd < 0)
		return dir_fd;
	file_name(p, name);
	int rc = store_write_statement(&keyd->store, dir_fd, name, &rec);
	(void)close(dir_fd);
	return rc;
}

int pending_erase(const struct keyd *keyd, const struct pending *p)
{
	char name[STORE_NAME_BYTES];

	if (p->operation == PENDING_DESTROY)
		return erasure_remove_request(&keyd->store, &p->scope);
	int dir_fd = durable_open_dir(keyd->store.dir_fd, REQUESTS_DIR);
	if (dir_fd < 0)
		return dir_fd == -ENOENT ? 0 : dir_fd;
	file_name(p, name);
	int rc = unlinkat(dir_fd, name, 0) && errno != ENOENT ? -errno : durable_sync_dir(dir_fd);
	(void)close(dir_fd);
	return rc;
}

int pending_read(const struct keyd *keyd, const char *name, struct pending *p)
{
	char expected[STORE_NAME_BYTES];
	struct record rec = {0};

	int dir_fd = durable_open_dir(keyd->store.dir_fd, REQUESTS_DIR);
	if (dir_fd < 0)
		return dir_fd;
	int rc = store_read_record(
		dir_fd, name, RECORD_REQUEST, keyd->store.root, "", "", &rec, NULL, 0);
	(void)close(dir_fd);
	if (!rc)
		rc = pending_parse(p, rec.body);
	record_clear(&rec);
	file_name(p, expected);
	return rc ? rc : p->operation != PENDING_DESTROY && !strcmp(name, expected) ? 0 : -EBADMSG;
}

int pending_save(const struct keyd *keyd, const struct pending *p)
{
	struct json_object *json = record_json(p);
	const char *text =
		json ? json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN) : NULL;

	int rc = !text ? -ENOMEM
		 : p->operation == PENDING_DESTROY
			 ? erasure_write_request(&keyd->store, &p->scope, text)
			 : save_other(keyd, p, text);
	json_object_put(json);
	return rc;
}

static bool flag(struct json_object *json, const char *key)
{
	struct json_object *member;

	return json_object_object_get_ex(json, key, &member) && json_object_get_boolean(member);
}

/* What is asked for, and with which parameters. */
static int parse_operation(struct pending *p, struct json_object *json)
{
	struct json_object *parameters;
	const char *name = json_string(json, "operation");

	if (!strcmp(json_string(json, "type"), destroy_type))
		return 0; /* of what, its place says */
	if (strcmp(json_string(json, "type"), other_type) ||
		!json_object_object_get_ex(json, "parameters", &parameters) ||
		!json_object_is_type(parameters, json_type_object))
		return -EBADMSG;
	for (int i = PENDING_DESTROY + 1; i < PENDING_OPERATIONS; i++) {
		if (!strcmp(name, operation_names[i]))
			p->operation = (enum pending_operation)i;
	}
	p->parameters = json_object_get(parameters);
	return p->operation == PENDING_DESTROY ? -EBADMSG : 0;
}

/* Numbers that keyd itself never writes are refused: sums with them would overflow. */
static bool are_plausible(const struct pending *p)
{
	const int64_t far = INT64_MAX / 4;

	return p->delay_s >= 0 && p->wait_s >= 0 && p->wait_s < far && p->since.boot_s >= 0 &&
	       p->since.boot_s < far && p->since.wall_s >= 0 && p->since.wall_s < far;
}

int pending_parse(struct pending *p, const char *body)
{
	struct json_object *since, *json = body ? json_tokener_parse(body) : NULL;

	int rc = parse_operation(p, json);
	if (rc)
		goto out;
	rc = -EBADMSG;
	if (!json_object_object_get_ex(json, "since", &since))
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
	if (!are_plausible(p))
		goto out;
	rc = text_copy(p->id, sizeof(p->id), json_string(json, "id"));
	if (!rc)
		rc = text_copy(
			p->since.boot_id, sizeof(p->since.boot_id), json_string(since, "boot_id"));
out:
	json_object_put(json);
	return rc;
}

/* ---- For people and programs ------------------------------------------------------------------- */

/* What a request is about: of a destruction, and of the others. */
static bool add_subject(struct json_object *json, const struct pending *p)
{
	const struct volume *volume = p->scope.volume;
	const char *level = json_string(p->parameters, "level");
	char what[PENDING_WHAT_BYTES];

	bool ok = json_add_string(json, "operation", pending_operation_name(p->operation)) &&
		  json_add_string(json, "what", pending_what(p, what));
	if (ok && p->operation == PENDING_DESTROY)
		return json_add_string(json, "scope", volume ? "volume" : "level") &&
		       json_add_string(json, "level", p->scope.level->name) &&
		       json_add_string(json, "subject", pending_subject(p)) &&
		       (!volume || json_add_string(json, "path", volume->path));
	if (ok && level[0])
		ok = json_add_string(json, "level", level);
	return ok && json_add(json, "parameters", json_object_get(p->parameters));
}

struct json_object *pending_json(const struct pending *p)
{
	struct json_object *json = json_object_new_object();
	bool approval = pending_needs_approval(p), destroys = p->operation == PENDING_DESTROY;
	const char *state = approval ? "needs approval" : destroys ? "waits" : "approved";

	bool ok = json_add_string(json, "type", type_of(p)) && json_add_string(json, "id", p->id) &&
		  add_subject(json, p) && json_add_string(json, "state", state) &&
		  json_add(json, "requester", certificate_person(p->requester.uid)) &&
		  json_add_time(json, "requested_at", p->requested_at);
	if (ok && p->terms.approved)
		ok = json_add(json, "approved_by", certificate_person(p->terms.approver)) &&
		     json_add_time(json, "approved_at", p->terms.approved_at);
	if (ok)
		ok = json_add_time(json, approval || !destroys ? "expires_at" : "takes_effect_at",
			pending_until(p));
	if (ok && approval && destroys)
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
