/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "certificate.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "jsonhelp.h"
#include "text.h"

enum { FORMAT_VERSION = 1 };

static const char type_name[] = "tgt-crypt certificate of destruction";

static const char *const answer_keys[] = {
	[CERTIFICATE_ACKNOWLEDGED] = "acknowledged",
	[CERTIFICATE_UNACKNOWLEDGED] = "unacknowledged",
	[CERTIFICATE_EXITED] = "exited",
};

static struct json_object *volume_json(const struct volume *volume)
{
	struct json_object *json = json_object_new_object();

	if (json_add_string(json, "uuid", volume->uuid) &&
		json_add_string(json, "path", volume->path) &&
		json_add_number(json, "size_bytes", volume->size_bytes) &&
		json_add_string(json, "fingerprint", volume->fingerprint))
		return json;
	json_object_put(json);
	return NULL;
}

/* The volumes that the scope destroys: not those that were destroyed before. */
static struct json_object *volumes_json(const struct scope *scope)
{
	struct json_object *array = json_object_new_array();
	bool ok = array != NULL;

	if (scope->volume)
		ok = ok && json_append(array, volume_json(scope->volume));
	for (size_t i = 0; ok && !scope->volume && i < scope->level->volume_count; i++) {
		const struct volume *volume = scope->level->volumes[i];
		if (volume->state != KEY_DESTROYED)
			ok = json_append(array, volume_json(volume));
	}
	if (ok)
		return array;
	json_object_put(array);
	return NULL;
}

static struct json_object *requester_json(const struct peer *peer)
{
	const struct passwd *pw = getpwuid(peer->uid);
	struct json_object *json = json_object_new_object();
	char user[64];

	text_sanitize(user, sizeof(user), pw ? pw->pw_name : "");
	if (json_add_number(json, "uid", peer->uid) && json_add_string(json, "user", user))
		return json;
	json_object_put(json);
	return NULL;
}

struct json_object *certificate_draft(
	const struct scope *scope, const struct peer *requester, int64_t requested_at)
{
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "type", type_name) &&
		  json_add_number(json, "version", FORMAT_VERSION) &&
		  json_add_string(json, "scope", scope->volume ? "volume" : "level") &&
		  json_add_string(json, "level", scope->level->name) &&
		  json_add_string(json, "level_fingerprint", scope->level->fingerprint) &&
		  json_add(json, "volumes", volumes_json(scope)) &&
		  json_add(json, "requester", requester_json(requester)) &&
		  json_add_time(json, "requested_at", requested_at) &&
		  json_object_object_add(json, "completed_at", NULL) == 0;
	for (size_t i = 0; ok && i < sizeof(answer_keys) / sizeof(answer_keys[0]); i++)
		ok = json_add(json, answer_keys[i], json_object_new_array());
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

struct json_object *certificate_parse(const struct scope *scope, const char *text)
{
	struct json_object *json = text ? json_tokener_parse(text) : NULL;
	struct json_object *array;

	bool ok = !strcmp(json_string(json, "type"), type_name) &&
		  !strcmp(json_string(json, "level"), scope->level->name) &&
		  !strcmp(json_string(json, "scope"), scope->volume ? "volume" : "level");
	for (size_t i = 0; ok && i < sizeof(answer_keys) / sizeof(answer_keys[0]); i++)
		ok = json_object_object_get_ex(json, answer_keys[i], &array) &&
		     json_object_is_type(array, json_type_array);
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

int certificate_add_answer(struct json_object *certificate, enum certificate_answer answer,
	const struct peer *consumer, uint32_t wiped)
{
	struct json_object *array, *entry = json_object_new_object();

	bool ok = json_add_number(entry, "pid", (uint64_t)consumer->pid) &&
		  json_add_number(entry, "uid", consumer->uid);
	if (ok && answer == CERTIFICATE_ACKNOWLEDGED)
		ok = json_add_number(entry, "wiped", wiped);
	if (ok && json_object_object_get_ex(certificate, answer_keys[answer], &array) &&
		json_append(array, entry))
		return 0;
	if (!ok)
		json_object_put(entry);
	return -ENOMEM;
}

size_t certificate_missing(struct json_object *certificate, char *text, size_t cap)
{
	struct json_object *array;
	size_t used = 0;

	text[0] = '\0';
	if (!json_object_object_get_ex(
		    certificate, answer_keys[CERTIFICATE_UNACKNOWLEDGED], &array))
		return 0;
	size_t missing = json_object_array_length(array);
	for (size_t i = 0; i < missing; i++) {
		struct json_object *entry = json_object_array_get_idx(array, i);
		int n = snprintf(text + used, cap - used, "%stgtd pid %d uid %u", i ? ", " : "",
			(int)json_number(entry, "pid"), (unsigned)json_number(entry, "uid"));
		if (n < 0 || (size_t)n >= cap - used) {
			text[used] = '\0'; /* whole names only; the count tells the rest */
			break;
		}
		used += (size_t)n;
	}
	return missing;
}

bool certificate_is_verified(struct json_object *certificate)
{
	struct json_object *verification;

	return json_object_object_get_ex(certificate, "verification", &verification) &&
	       !strcmp(json_string(verification, "result"), "passed");
}

/* What was looked at after erasing, and what was found. */
static struct json_object *verification_json(const struct certificate_end *end, bool passed)
{
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "result", passed ? "passed" : "failed") &&
		  json_add_string(json, "checked",
			  "the key files were overwritten, read back and unlinked, none is left in "
			  "the store, and the key cannot be unwrapped") &&
		  json_add_bool(json, "erased_without_error", !end->erase_error) &&
		  json_add_number(json, "key_files_left", end->findings.files_left) &&
		  json_add_bool(json, "key_can_be_unwrapped", end->findings.key_opens);
	if (ok && end->erase_error)
		ok = json_add_string(json, "erase_error", strerror(-end->erase_error));
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

int certificate_complete(struct json_object *certificate, const struct certificate_end *end)
{
	bool passed = !end->erase_error && !end->findings.files_left && !end->findings.key_opens;

	bool ok = json_add_time(certificate, "completed_at", end->completed_at) &&
		  json_add_string(certificate, "erase_class", end->erase_class) &&
		  json_add_string(certificate, "erase_class_reason", end->erase_class_reason) &&
		  json_add(certificate, "verification", verification_json(end, passed));
	if (!end->exports) /* null: not known, which is not the same as none */
		(void)json_object_object_add(certificate, "outstanding_exports", NULL);
	else
		ok = json_add(certificate, "outstanding_exports", end->exports) && ok;
	if (end->vouched)
		ok = json_add(certificate, "vouched_exports", end->vouched) && ok;
	if (end->damaged_exports)
		ok = json_add_number(certificate, "unreadable_exports", end->damaged_exports) && ok;
	ok = json_add_string(certificate, "audit_head", end->audit_head) && ok;
	return ok ? 0 : -ENOMEM;
}

const char *certificate_text(struct json_object *certificate)
{
	return json_object_to_json_string_ext(
		certificate, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}
