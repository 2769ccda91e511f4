/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "certificate.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>
#include <systemd/sd-id128.h>

#include "jsonhelp.h"
#include "text.h"
#include "version.h"

enum { FORMAT_VERSION = 1, HOST_BYTES = 256 };

static const char type_name[] = "tgt-crypt certificate of destruction";

static const char *const answer_keys[] = {
	[CERTIFICATE_ACKNOWLEDGED] = "acknowledged",
	[CERTIFICATE_UNACKNOWLEDGED] = "unacknowledged",
	[CERTIFICATE_EXITED] = "exited",
	[CERTIFICATE_KILLED] = "killed",
};

static struct json_object *volume_json(const struct volume *volume)
{
	struct json_object *json = json_object_new_object();

	if (json_add_string(json, "uuid", volume->uuid) &&
		json_add_string(json, "path", volume->path) &&
		json_add_number(json, "size_bytes", volume->size_bytes) &&
		json_add_string(json, "cipher", volume->cipher ? volume->cipher->name : "") &&
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

struct json_object *certificate_person(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);
	struct json_object *json = json_object_new_object();
	char user[64];

	text_sanitize(user, sizeof(user), pw ? pw->pw_name : "");
	if (json_add_number(json, "uid", uid) && json_add_string(json, "user", user))
		return json;
	json_object_put(json);
	return NULL;
}

/* null: its key was always in this one. A start in the middle of a destroy cannot read it elsewhere. */
static bool add_former_custody(struct json_object *json, const struct level *level)
{
	if (level->leaky)
		return json_add_string(json, "former_custody", level->leaky->name);
	return json_add_or_null(json, "former_custody", NULL);
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
		  add_former_custody(json, scope->level) &&
		  json_add(json, "volumes", volumes_json(scope)) &&
		  json_add(json, "requester", certificate_person(requester->uid)) &&
		  json_add_time(json, "requested_at", requested_at) &&
		  json_add_or_null(json, "completed_at", NULL);
	for (size_t i = 0; ok && i < sizeof(answer_keys) / sizeof(answer_keys[0]); i++)
		ok = json_add(json, answer_keys[i], json_object_new_array());
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

int certificate_add_terms(struct json_object *draft, const struct certificate_terms *terms)
{
	bool ok = json_add_bool(draft, "emergency", terms->emergency);

	if (ok && terms->approved)
		ok = json_add(draft, "approved_by", certificate_person(terms->approver)) &&
		     json_add_time(draft, "approved_at", terms->approved_at);
	return ok ? 0 : -ENOMEM;
}

int certificate_add_sanitize(struct json_object *draft, uint32_t number, const char *initiator)
{
	bool ok = json_add_string(draft, "command", "SANITIZE, CRYPTOGRAPHIC ERASE") &&
		  json_add_number(draft, "sanitization", number) &&
		  json_add_string(draft, "initiator", initiator);

	return ok ? 0 : -ENOMEM;
}

int certificate_digest(struct json_object *certificate, char *text, size_t cap)
{
	const char *document = certificate_text(certificate);
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[2 * SHA256_DIGEST_LENGTH + 1];

	if (!document || !SHA256((const uint8_t *)document, strlen(document), digest))
		return -ENOMEM;
	text_hex(digest, sizeof(digest), hex);
	(void)snprintf(text, cap, "certificate sha256 %s", hex);
	return 0;
}

struct json_object *certificate_parse(const struct scope *scope, const char *text)
{
	struct json_object *json = text ? json_tokener_parse(text) : NULL;
	struct json_object *array;

	bool ok = !strcmp(json_string(json, "type"), type_name) &&
		  !strcmp(json_string(json, "level"), scope->level->name) &&
		  !strcmp(json_string(json, "scope"), scope->volume ? "volume" : "level");
	/* Drafts of an earlier keyd know nothing of the last. */
	if (ok && !json_object_object_get_ex(json, answer_keys[CERTIFICATE_KILLED], NULL))
		ok = json_add(json, answer_keys[CERTIFICATE_KILLED], json_object_new_array());
	for (size_t i = 0; ok && i < sizeof(answer_keys) / sizeof(answer_keys[0]); i++)
		ok = json_object_object_get_ex(json, answer_keys[i], &array) &&
		     json_object_is_type(array, json_type_array);
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

int certificate_add_answer(struct json_object *certificate, enum certificate_answer answer,
	const struct peer *consumer, uint32_t wiped, bool scrubs)
{
	struct json_object *array, *entry = json_object_new_object();

	bool ok = json_add_number(entry, "pid", (uint64_t)consumer->pid) &&
		  json_add_number(entry, "uid", consumer->uid);
	if (ok && answer == CERTIFICATE_ACKNOWLEDGED)
		ok = json_add_number(entry, "wiped", wiped) &&
		     json_add(entry, "scrub", json_object_new_boolean(scrubs));
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
	if (ok && end->device_checked)
		ok = json_add_string(json, "checked_in_token", end->device_checked);
	if (ok && end->erase_error)
		ok = json_add_string(json, "erase_error", strerror(-end->erase_error));
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

/* How, and with what. */
static bool add_method(struct json_object *certificate, const char *custody)
{
	struct json_object *method = json_object_new_object(), *tool = json_object_new_object();

	bool ok = json_add_string(method, "name", "cryptographic erase") &&
		  json_add_string(method, "standard", "NIST SP 800-88 Rev. 1") &&
		  json_add_string(method, "key_wrapping", "AES-256-GCM") &&
		  json_add_string(method, "custody_of_root_key", custody) &&
		  json_add_string(tool, "name", "keyd of tgt-crypt") &&
		  json_add_string(tool, "version", KEYD_VERSION);
	if (!ok) {
		json_object_put(method);
		json_object_put(tool);
		return false;
	}
	ok = json_add(certificate, "method", method);
	return json_add(certificate, "tool", tool) && ok;
}

/*
 * Where: the host's name, and an ID of the machine that is of no use elsewhere, as machine-id(5) wants
 * it; null when the machine has none.
 */
static bool add_location(struct json_object *certificate)
{
	static const sd_id128_t application =
		SD_ID128_MAKE(8e, 1f, 0c, 5b, 64, 2d, 4c, 1a, 9a, 77, 3e, 50, d2, 9b, 46, f8);
	struct json_object *json = json_object_new_object();
	char host[HOST_BYTES] = "", name[HOST_BYTES], text[SD_ID128_STRING_MAX];
	sd_id128_t id;

	if (gethostname(host, sizeof(host) - 1))
		host[0] = '\0';
	text_sanitize(name, sizeof(name), host);
	bool known = !sd_id128_get_machine_app_specific(application, &id);
	struct json_object *machine =
		known ? json_object_new_string(sd_id128_to_string(id, text)) : NULL;
	bool ok = json_add_string(json, "host", name);
	ok = json_add_or_null(json, "machine", machine) && ok;
	if (ok)
		return json_add(certificate, "location", json);
	json_object_put(json);
	return false;
}

/* "unknown" is not the same as none. */
static bool add_exports(struct json_object *certificate, const struct certificate_end *end)
{
	if (!end->exports_doubt && end->exports) {
		bool ok = json_add(certificate, "outstanding_exports", end->exports);
		return (!end->vouched || json_add(certificate, "vouched_exports", end->vouched)) &&
		       ok;
	}
	json_object_put(end->vouched); /* anybody may have written it */
	bool ok = json_add_string(certificate, "outstanding_exports", "unknown") &&
		  json_add_string(certificate, "outstanding_exports_reason",
			  end->exports_doubt ? end->exports_doubt : "the ledger cannot be read");
	return (!end->exports || json_add(certificate, "known_exports", end->exports)) && ok;
}

int certificate_complete(struct json_object *certificate, const struct certificate_end *end)
{
	bool passed = !end->erase_error && !end->findings.files_left && !end->findings.key_opens;

	bool ok = json_add_time(certificate, "completed_at", end->completed_at) &&
		  add_method(certificate, end->custody) && add_location(certificate) &&
		  json_add_string(certificate, "erase_class", end->erase_class) &&
		  json_add_string(certificate, "erase_class_reason", end->erase_class_reason) &&
		  json_add(certificate, "verification", verification_json(end, passed));
	ok = add_exports(certificate, end) && ok;
	if (end->damaged_exports)
		ok = json_add_number(certificate, "unreadable_exports", end->damaged_exports) && ok;
	ok = json_add_string(certificate, "audit_head", end->audit_head) && ok;
	ok = json_add_number(certificate, "audit_seq", end->audit_seq) && ok;
	return ok ? 0 : -ENOMEM;
}

const char *certificate_text(struct json_object *certificate)
{
	return json_object_to_json_string_ext(
		certificate, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}
