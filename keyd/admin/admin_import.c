/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The admin request that brings levels back from an export. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "admin_requests.h"
#include "consumer.h"
#include "envelope.h"
#include "export_kind.h"
#include "inventory.h"
#include "jsonhelp.h"
#include "keystore_backup.h"
#include "ledger.h"
#include "secret.h"
#include "text.h"

/* An export on its way in. */
struct incoming {
	struct package_head head;
	struct package_reader reader; /* after the head */
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint8_t *opened;          /* owned, secret memory; NULL: the upload was open already */
	struct json_object *done; /* owned: the levels that are in; NULL: no memory to tell */
	size_t done_count;
};

static void answer_unreadable(struct request *r, int rc)
{
	switch (rc) {
	case -EKEYREJECTED:
		keyd_audit_refusal(r->keyd, &(struct audit_event){.event = "import",
						    .by = &r->admin->session.peer,
						    .result = "denied"});
		request_answer(r, PROTO_DENIED, NULL,
			"nothing was imported: this is not the passphrase of the export");
		break;
	case -EBADMSG:
		request_answer(r, PROTO_DAMAGED, NULL,
			"nothing was imported: the export is cut or was changed: get another copy "
			"of it");
		break;
	case -EPROTONOSUPPORT:
		request_answer(r, PROTO_INVALID, NULL,
			"nothing was imported: the export was made by a later keyd: install that");
		break;
	case -EINVAL:
		request_answer(r, PROTO_INVALID, NULL,
			"nothing was imported: that is no export, or needs its passphrase");
		break;
	case -ENOMEM:
		request_answer(r, PROTO_FAILED, NULL,
			"nothing was imported: keyd has no memory for it, or may not lock it: "
			"raise LimitMEMLOCK");
		break;
	default:
		request_answer(r, PROTO_FAILED, NULL, "nothing was imported: %s", strerror(-rc));
	}
}

/* Opens what was uploaded, and checks all of it before any of it is used. */
static int open_package(const struct request *r, struct incoming *in)
{
	const struct upload *upload = &r->admin->upload;
	const uint8_t *plain = upload->bytes;
	size_t plain_bytes = upload->total_bytes;

	if (upload_complete(upload))
		return -EINVAL;
	enum export_kind kind = export_kind_of(plain, plain_bytes);
	if (kind != (r->passphrase->len_bytes ? EXPORT_SEALED : EXPORT_OPEN))
		return -EINVAL;
	if (kind == EXPORT_SEALED) {
		int rc =
			envelope_open(plain, plain_bytes, r->passphrase, &in->opened, &plain_bytes);
		if (rc)
			return rc;
		plain = in->opened;
	}
	int rc = package_check(plain, plain_bytes);
	if (!rc && !SHA256(plain, plain_bytes, in->digest))
		rc = -EIO;
	return rc ? rc : package_open(&in->reader, plain, plain_bytes, &in->head);
}

static bool is_wanted(const struct request *r, const struct package_level *level)
{
	const char *name = r->msg.import.level;

	return !name[0] || !strcmp(name, level->name);
}

/* A process that still holds a key of the level that was destroyed here. */
static const struct peer *holder_of(const struct keyd *keyd, const char *name)
{
	const struct scope scope = {.level = keystore_level(&keyd->store, name)};

	for (size_t i = 0; scope.level && i < keyd->session_count; i++) {
		const struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (consumer && consumer_holds(consumer, &scope))
			return &consumer->session.peer;
	}
	return NULL;
}

static const char *so_far(const struct incoming *in)
{
	return in->done_count ? "not all was imported" : "nothing was imported";
}

static void answer_obstacle(struct request *r, const struct incoming *in,
	enum import_obstacle obstacle, const struct package_level *from,
	const struct volume *volume)
{
	const struct level *here = keystore_level(&r->keyd->store, from->name);
	char when[TEXT_TIME_BYTES];

	switch (obstacle) {
	case IMPORT_LEVEL_EXISTS:
		request_answer(r, PROTO_EXISTS, NULL, "%s: level %s is here, and %s", so_far(in),
			from->name, keystore_state_name(here->state));
		break;
	case IMPORT_LEVEL_DESTROYED:
		text_time(when, here->destroyed_at);
		request_answer(r, PROTO_DESTROYED, NULL,
			"%s: level %s was destroyed here on %s; --force brings it back all the "
			"same, on the record",
			so_far(in), from->name, when);
		break;
	case IMPORT_OTHER_KEY:
		request_answer(r, PROTO_MISMATCH, NULL,
			"%s: the level %s that was destroyed here had another key: this one is not "
			"it",
			so_far(in), from->name);
		break;
	case IMPORT_UUID_TAKEN:
		request_answer(r, PROTO_EXISTS, NULL,
			"%s: volume %s of level %s has the same UUID as one of %s", so_far(in),
			volume->uuid, volume->level->name, from->name);
		break;
	case IMPORT_NAME_IS_UUID:
		request_answer(r, PROTO_INVALID, NULL,
			"%s: the name of level %s has the form of a UUID and would be taken for a "
			"volume; --force imports it all the same",
			so_far(in), from->name);
		break;
	case IMPORT_TOO_MANY:
		request_answer(r, PROTO_FAILED, NULL, "%s: the key store has no place for so much",
			so_far(in));
		break;
	case IMPORT_FREE:
		break;
	}
}

/* False: it has been answered. */
static bool check_level(struct request *r, const struct incoming *in,
	const struct package_level *from, const struct package_reader *reader)
{
	const struct scope here = {.level = keystore_level(&r->keyd->store, from->name)};
	const struct volume *volume;

	if (here.level && request_is_in_the_way(r, OPERATION_IMPORT, &here))
		return false;
	enum import_obstacle obstacle = keystore_import_obstacle(
		&r->keyd->store, from, *reader, r->msg.import.force, &volume);
	if (obstacle != IMPORT_FREE) {
		answer_obstacle(r, in, obstacle, from, volume);
		return false;
	}
	const struct peer *holder = holder_of(r->keyd, from->name);
	if (holder)
		request_answer(r, PROTO_BUSY, NULL,
			"%s: pid %d never confirmed that it wiped the keys of level %s: end it "
			"first",
			so_far(in), (int)holder->pid, from->name);
	return !holder;
}

/* All that are wanted are looked at before the first is imported. */
static bool check_levels(struct request *r, const struct incoming *in)
{
	struct package_reader reader = in->reader;
	struct package_level from;
	size_t wanted = 0;

	while (!package_next_level(&reader, &from)) {
		if (!is_wanted(r, &from))
			continue;
		wanted++;
		if (!check_level(r, in, &from, &reader))
			return false;
	}
	if (!wanted)
		request_answer(r, PROTO_NOT_FOUND, NULL,
			"nothing was imported: export %s has no such level", in->head.id);
	return wanted > 0;
}

/* The copy that this level comes from goes on existing: certificates of this store name it as well. */
static int record(struct request *r, const struct incoming *in, const struct package_level *from)
{
	const struct ledger_entry entry = {
		.id = in->head.id,
		.kind = "import",
		.by = &r->admin->session.peer,
		.level = from->name,
		.fingerprint = from->fingerprint,
		.host = in->head.host,
	};

	return ledger_append(r->keyd->store.dir_fd, &entry);
}

/* False: it has been answered. */
static bool import_level(struct request *r, struct incoming *in, const struct package_level *from,
	struct package_reader *reader)
{
	bool forced = keystore_level(&r->keyd->store, from->name) != NULL;
	const char *event = forced ? "import-forced" : "import";
	struct level *level = NULL;
	char detail[PROTO_MESSAGE_BYTES];

	(void)snprintf(detail, sizeof(detail), "%s made on %s", in->head.id, in->head.host);
	/* The ledger first: what the audit log has and the ledger lacks was taken away. */
	int rc = record(r, in, from);
	if (!rc && !request_audit_before(r, event, from->name, NULL, detail))
		return false;
	if (!rc)
		rc = keystore_import_level(&r->keyd->store, from, reader, &level);
	if (!rc) {
		in->done_count++;
		if (!json_append(in->done, inventory_level(r->keyd, level, true))) {
			json_object_put(in->done);
			in->done = NULL;
		}
		return true;
	}
	request_audit_failure(r, event, from->name, NULL, rc);
	request_answer(r, PROTO_FAILED, NULL,
		"level %s was not imported: %s; %zu before it were: see keyadm level list",
		from->name,
		rc == -EINVAL ? "the file system of the key store cannot exchange directories"
			      : strerror(-rc),
		in->done_count);
	return false;
}

static bool import_levels(struct request *r, struct incoming *in)
{
	struct package_reader reader = in->reader;
	struct package_level from;

	in->done = json_object_new_array();
	while (!package_next_level(&reader, &from)) {
		struct package_reader volumes = reader;
		/* Once more: two levels of the export may be in each other's way. */
		if (is_wanted(r, &from) && (!check_level(r, in, &from, &reader) ||
						   !import_level(r, in, &from, &volumes)))
			return false;
	}
	return true;
}

static void answer_done(struct request *r, struct incoming *in)
{
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "id", in->head.id) &&
		  json_add_string(json, "host", in->head.host) &&
		  json_add_time(json, "made_at", in->head.made_at) &&
		  json_add(json, "levels", json_object_get(in->done));
	if (!ok) {
		json_object_put(json);
		json = NULL;
	}
	request_answer(r, PROTO_OK, json, "%zu level%s imported from %s", in->done_count,
		in->done_count == 1 ? " is" : "s are", in->head.id);
}

/* The names of the wanted levels that come back from a destruction and need approval for that; NULL: out of memory. */
static struct json_object *levels_to_approve(struct request *r, const struct incoming *in)
{
	const struct keyd *keyd = r->keyd;
	struct json_object *names = json_object_new_array();
	struct package_reader reader = in->reader;
	struct package_level from;
	bool ok = names != NULL;

	while (ok && !package_next_level(&reader, &from)) {
		if (is_wanted(r, &from) && keystore_level(&keyd->store, from.name) &&
			(policy_destroy_rules(&keyd->config.policy, from.name).approval &
				APPROVAL_IMPORT_FORCE))
			ok = json_append(names, json_object_new_string(from.name));
	}
	if (ok)
		return names;
	json_object_put(names);
	return NULL;
}

/* Bound to every byte of the levels' keys, whoever sealed them for the way. */
static bool import_is_approved(struct request *r, const struct incoming *in)
{
	struct json_object *names = levels_to_approve(r, in), *json = json_object_new_object();
	size_t count = names ? json_object_array_length(names) : 1;
	char level[PROTO_LEVEL_BYTES] = "", sha256[2 * SHA256_DIGEST_LENGTH + 1];

	if (names && count == 1 &&
		text_copy(level, sizeof(level),
			json_object_get_string(json_object_array_get_idx(names, 0))))
		level[0] = '\0';
	if (!count) {
		json_object_put(names);
		json_object_put(json);
		return true;
	}
	text_hex(in->digest, sizeof(in->digest), sha256);
	bool ok = names && json_add_string(json, "export", in->head.id) &&
		  json_add_string(json, "host", in->head.host) &&
		  json_add_string(json, "only_level", r->msg.import.level) &&
		  json_add_string(json, "package_sha256", sha256);
	ok = json_add(json, "levels", names) && ok;
	const struct approval_needed needed = {
		PENDING_IMPORT_FORCE, level[0] ? level : NULL, ok ? json : NULL};
	if (!ok)
		json_object_put(json);
	return request_is_approved(r, &needed, "bring back %s%s, destroyed here, from export %s",
		level[0] ? "level " : "several levels", level, in->head.id);
}

void request_import(struct request *r)
{
	struct incoming in = {.done = NULL};

	if (request_store_is_open(r)) {
		int rc = open_package(r, &in);
		if (rc)
			answer_unreadable(r, rc);
		else if (check_levels(r, &in) && import_is_approved(r, &in) &&
			 import_levels(r, &in))
			answer_done(r, &in);
	}
	json_object_put(in.done);
	secret_free(in.opened);
	upload_clear(&r->admin->upload);
}
