/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "zeroize_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "durable.h"
#include "jsonhelp.h"
#include "keystore_private.h"
#include "ledger.h"
#include "text.h"
#include "zeroize_medium.h"

enum { FORMAT_VERSION = 1, FILE_BYTES_MAX = 64 * 1024 * 1024 };

static const char type_name[] = "tgt-crypt certificate of destruction";
static const char scope_name[] = "store";

static const char *const answer_keys[] = {"acknowledged", "unacknowledged", "exited", "killed"};

static struct json_object *whole(bool ok, struct json_object *json)
{
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

static struct json_object *level_json(const struct keystore *ks, const char *name)
{
	const struct level *level = keystore_level(ks, name);
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "name", name);
	if (ok && level)
		ok = json_add_string(json, "fingerprint", level->fingerprint) &&
		     json_add_string(json, "state", keystore_state_name(level->state)) &&
		     json_add_number(json, "volumes", level->volume_count);
	return whole(ok, json);
}

/* By directory, not by index: of a locked or damaged store there is none. */
static struct json_object *levels_json(const struct keystore *ks)
{
	struct json_object *array = json_object_new_array();
	const char *name = NULL;
	bool ok = array != NULL;
	DIR *names;

	int fd = durable_open_dir(ks->dir_fd, LEVELS_DIR);
	int rc = fd < 0 ? fd : durable_open_names(fd, &names);
	if (fd >= 0)
		(void)close(fd);
	if (rc)
		return whole(ok, array);
	while (ok && !durable_next_name(names, &name) && name) {
		if (text_is_level_name(name))
			ok = json_append(array, level_json(ks, name));
	}
	(void)closedir(names);
	return whole(ok, array);
}

static bool add_requester(struct json_object *json, const struct peer *requester)
{
	if (requester)
		return json_add(json, "requester", certificate_person(requester->uid));
	return json_add_or_null(json, "requester", NULL);
}

/* Settled now: later nobody can tell any more. */
static struct erase_class class_of(const struct keystore *ks, const struct custody *custody)
{
	if (!custody)
		return (struct erase_class){"clear", "nobody knows where the root key was kept"};
	if (!strcmp(custody->erase_class, "clear"))
		return (struct erase_class){custody->erase_class, custody->erase_class_reason};
	if (!ks->root)
		return (struct erase_class){"clear", "the key store was closed: whether its keys "
						     "were in another custody before, "
						     "where copies were kept, nobody could tell"};
	for (size_t i = 0; i < ks->level_count; i++) {
		if (ks->levels[i]->leaky && ks->levels[i]->state != KEY_DESTROYED)
			return (struct erase_class){
				"clear", ks->levels[i]->leaky->erase_class_reason};
	}
	return (struct erase_class){custody->erase_class,
		"the root key was overwritten and removed in its custody: copies of the wrapped "
		"keys that "
		"flash, journals or snapshots kept cannot be opened any more"};
}

struct json_object *zeroize_draft(
	const struct keystore *ks, const struct peer *requester, int64_t requested_at)
{
	const struct custody *custody = NULL;
	bool known = !custody_of_store(ks->dir_fd, &custody);
	const struct erase_class class = class_of(ks, known ? custody : NULL);
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "type", type_name) &&
		  json_add_number(json, "version", FORMAT_VERSION) &&
		  json_add_string(json, "scope", scope_name) &&
		  json_add_string(json, "custody", known && custody ? custody->name : "") &&
		  json_add_string(json, "erase_class", class.name) &&
		  json_add_string(json, "erase_class_reason", class.reason) &&
		  json_add(json, "levels", levels_json(ks)) && add_requester(json, requester) &&
		  json_add_time(json, "requested_at", requested_at) &&
		  json_add_or_null(json, "completed_at", NULL);
	for (size_t i = 0; ok && i < sizeof(answer_keys) / sizeof(answer_keys[0]); i++)
		ok = json_add(json, answer_keys[i], json_object_new_array());
	return whole(ok, json);
}

int zeroize_read(int state_fd, struct json_object **json)
{
	uint8_t *text;
	size_t len_bytes;

	int rc = durable_read(state_fd, ZEROIZED_FILE, FILE_BYTES_MAX, &text, &len_bytes);
	if (rc)
		return rc;
	*json = json_tokener_parse((const char *)text);
	free(text);
	if (!strcmp(json_string(*json, "type"), type_name) &&
		!strcmp(json_string(*json, "scope"), scope_name))
		return 0;
	json_object_put(*json);
	*json = NULL;
	return -EBADMSG;
}

int zeroize_write(int state_fd, struct json_object *json)
{
	const char *text = certificate_text(json);

	return text ? durable_write(state_fd, ZEROIZED_FILE, text, strlen(text)) : -ENOMEM;
}

bool zeroize_is_complete(struct json_object *json)
{
	return json_string(json, "completed_at")[0] != '\0';
}

int zeroize_complete(struct json_object *json, int state_fd, int erase_error, int64_t completed_at,
	const struct audit *audit)
{
	const struct custody *custody;
	struct certificate_end end = {
		.completed_at = completed_at,
		.erase_class = json_string(json, "erase_class"),
		.erase_class_reason = json_string(json, "erase_class_reason"),
		.erase_error = erase_error,
		.audit_head = audit->head,
		.audit_seq = audit->next_seq ? audit->next_seq - 1 : 0,
		.custody = json_string(json, "custody"),
	};

	int rc = zeroize_medium_left(state_fd, &end.findings.files_left);
	if (rc && !end.erase_error)
		end.erase_error = rc;
	end.findings.key_opens = custody_of_store(state_fd, &custody) || custody;
	if (end.erase_error) {
		end.erase_class = "clear";
		end.erase_class_reason = "not everything could be erased: see the verification";
	}
	end.exports = ledger_outstanding(state_fd, NULL, NULL, &end.damaged_exports);
	end.exports_doubt = ledger_doubt(state_fd, audit);
	end.vouched = ledger_vouched(state_fd, NULL, NULL);
	return certificate_complete(json, &end);
}

enum proto_status zeroize_outcome(struct json_object *json, char *text, size_t cap)
{
	char names[PROTO_MESSAGE_BYTES - 192];
	const char *when = json_string(json, "completed_at");
	size_t missing = certificate_missing(json, names, sizeof(names));

	if (!certificate_is_verified(json))
		(void)snprintf(text, cap,
			"the key store is zeroized for keyd, but not every key file could be "
			"erased: see \"verification\" in " ZEROIZED_FILE
			", and destroy the medium");
	else if (missing)
		(void)snprintf(text, cap,
			"the key store is zeroized, but %zu did not acknowledge: %s; end them",
			missing, names);
	else
		(void)snprintf(text, cap, "the key store was zeroized at %s", when);
	return certificate_is_verified(json) && !missing ? PROTO_OK : PROTO_UNPROVEN;
}
