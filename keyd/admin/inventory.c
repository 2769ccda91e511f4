/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "inventory.h"

#include <json-c/printbuf.h>
#include <stdlib.h>
#include <string.h>

#include "consumer.h"
#include "erasure.h"
#include "jsonhelp.h"
#include "ledger.h"
#include "pending.h"
#include "reserve.h"
#include "text.h"

enum { PIECE_BYTES = 16 * 1024 }; /* of a long list, plus one row */

/* json when everything was added, else nothing. */
static struct json_object *whole(bool ok, struct json_object *json)
{
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

static bool add_certificate(
	struct json_object *json, const struct keyd *keyd, const struct scope *scope)
{
	char *text = NULL;

	struct json_object *certificate = NULL;
	if (!erasure_read_certificate(&keyd->store, scope, &text))
		certificate = json_tokener_parse(text);
	free(text);
	/* null when it is not there or no JSON: the tombstone counts, not this paper. */
	return json_add_or_null(json, "certificate", certificate);
}

static struct json_object *level_counts(const struct keyd *keyd)
{
	static const enum key_state states[] = {
		KEY_ACTIVE, KEY_SUSPENDED, KEY_DESTROYING, KEY_DESTROYED, KEY_DAMAGED};
	struct json_object *json = json_object_new_object();
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof(states) / sizeof(states[0]); i++) {
		uint64_t count = 0;
		for (size_t k = 0; k < keyd->store.level_count; k++)
			count += keyd->store.levels[k]->state == states[i];
		ok = json_add_number(json, keystore_state_name(states[i]), count);
	}
	return whole(ok, json);
}

static struct json_object *consumer_json(const struct consumer *consumer)
{
	const struct session *session = &consumer->session;
	struct json_object *volumes = json_object_new_array();
	struct json_object *json = json_object_new_object();

	bool ok = json_add_number(json, "pid", (uint64_t)session->peer.pid) &&
		  json_add_number(json, "uid", session->peer.uid) &&
		  json_add_string(json, "program", consumer->program) &&
		  json_add_bool(json, "connected", session->fd >= 0) &&
		  json_add_time(json, "connected_at", consumer->connected_at);
	for (size_t i = 0; ok && i < consumer->held_count; i++)
		ok = json_append(volumes, json_object_new_string(consumer->held[i].volume->uuid));
	if (!ok)
		json_object_put(volumes);
	return whole(ok && json_add(json, "volumes", volumes), json);
}

static struct json_object *consumers_json(const struct keyd *keyd)
{
	struct json_object *array = json_object_new_array();
	bool ok = array != NULL;

	for (size_t i = 0; ok && i < keyd->session_count; i++) {
		const struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (consumer && (consumer->greeted || consumer->held_count))
			ok = json_append(array, consumer_json(consumer));
	}
	return whole(ok, array);
}

static uint64_t volume_count(const struct keyd *keyd)
{
	uint64_t count = 0;

	for (size_t i = 0; i < keyd->store.level_count; i++)
		count += keyd->store.levels[i]->volume_count;
	return count;
}

/* null while the store is locked: not known, which is not the same as none. */
static bool add_counts(struct json_object *json, const struct keyd *keyd)
{
	if (keystore_is_locked(&keyd->store))
		return json_add_or_null(json, "levels", NULL) &&
		       json_add_or_null(json, "volumes", NULL);
	return json_add(json, "levels", level_counts(keyd)) &&
	       json_add_number(json, "volumes", volume_count(keyd));
}

/* null while the store is not open. */
static struct json_object *signer_json(const struct signature_public *signer)
{
	struct json_object *json = json_object_new_object();

	bool ok = signer->pem[0] && json_add_string(json, "algorithm", SIGNATURE_ALGORITHM) &&
		  json_add_string(json, "key_id", signer->id) &&
		  json_add_string(json, "pem", signer->pem);
	return whole(ok, json);
}

struct json_object *inventory_status(const struct keyd *keyd)
{
	const struct keystore *ks = &keyd->store;
	struct json_object *json = json_object_new_object();

	bool ok =
		json_add_bool(json, "initialized", ks->custody != NULL) &&
		json_add_bool(json, "locked", keystore_is_locked(ks)) &&
		json_add_time(json, "zeroized_at", ks->zeroized_at) &&
		json_add_string(json, "custody", ks->custody ? ks->custody->name : "") &&
		json_add_string(json, "erase_class", ks->custody ? ks->custody->erase_class : "") &&
		json_add_string(json, "state_dir", ks->dir) && add_counts(json, keyd) &&
		json_add_number(json, "destroy_requests", pending_count(keyd)) &&
		json_add(json, "consumers", consumers_json(keyd)) &&
		json_add_string(json, "audit_head", keyd->audit.head) &&
		json_add_number(json, "audit_seq", keyd->audit.next_seq - 1) &&
		json_add_string(json, "reserve", reserve_is_whole() ? "whole" : "not whole") &&
		json_add_or_null(json, "certificate_key", signer_json(&keyd->signer)) &&
		json_add_number(json, "loop_longest_ms", (uint64_t)keyd->loop_longest_ms) &&
		json_add_string(json, "version", KEYD_VERSION);
	return whole(ok, json);
}

/* Keys that left the machine: what a destroy would not reach. Left out when the ledger is unreadable. */
static bool add_exports(
	struct json_object *json, const struct keyd *keyd, const char *level, const char *uuid)
{
	uint64_t damaged = 0;
	struct json_object *exports = ledger_outstanding(keyd->store.dir_fd, level, uuid, &damaged);
	const char *doubt = ledger_doubt(keyd->store.dir_fd, &keyd->audit);

	if (!doubt)
		return !exports || json_add(json, "outstanding_exports", exports);
	return json_add_string(json, "outstanding_exports", "unknown") &&
	       json_add_string(json, "outstanding_exports_reason", doubt) &&
	       (!exports || json_add(json, "known_exports", exports));
}

/* What a certificate would say, told before. */
static bool add_erase_class(
	struct json_object *json, const struct keyd *keyd, const struct scope *scope)
{
	const struct erase_class class = erasure_class(&keyd->store, scope);

	return json_add_string(json, "erase_class", class.name) &&
	       json_add_string(json, "erase_class_reason", class.reason);
}

struct json_object *inventory_level(
	const struct keyd *keyd, const struct level *level, bool details)
{
	const struct scope scope = {.level = keystore_level(&keyd->store, level->name)};
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "name", level->name) &&
		  json_add_string(json, "state", keystore_state_name(level->state)) &&
		  json_add_time(json, "created_at", level->created_at) &&
		  json_add_time(json, "destroyed_at", level->destroyed_at) &&
		  json_add_string(json, "fingerprint", level->fingerprint) &&
		  json_add_number(json, "volumes", level->volume_count);
	if (ok && details && level->state != KEY_DESTROYED)
		ok = add_erase_class(json, keyd, &scope);
	if (ok && details)
		ok = level->state == KEY_DESTROYED ? add_certificate(json, keyd, &scope)
						   : add_exports(json, keyd, level->name, NULL);
	return whole(ok, json);
}

struct json_object *inventory_levels(const struct keyd *keyd)
{
	struct json_object *array = json_object_new_array();
	bool ok = array != NULL;

	for (size_t i = 0; ok && i < keyd->store.level_count; i++)
		ok = json_append(array, inventory_level(keyd, keyd->store.levels[i], false));
	return whole(ok, array);
}

/* The processes that hold the volume's key, or may. */
static struct json_object *attached_json(const struct keyd *keyd, const struct volume *volume)
{
	struct json_object *array = json_object_new_array();
	bool ok = array != NULL;

	for (size_t i = 0; ok && i < keyd->session_count; i++) {
		const struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (!consumer || !consumer_holds_volume(consumer, volume))
			continue;
		const struct peer *peer = &consumer->session.peer;
		struct json_object *entry = json_object_new_object();
		ok = json_add_number(entry, "pid", (uint64_t)peer->pid) &&
		     json_add_number(entry, "uid", peer->uid);
		ok = json_append(array, whole(ok, entry));
	}
	return whole(ok, array);
}

struct json_object *inventory_volume(
	const struct keyd *keyd, const struct volume *volume, bool details)
{
	enum key_state state = keystore_volume_state(volume);
	struct json_object *json = json_object_new_object();
	struct json_object *attached = attached_json(keyd, volume);
	bool resident = attached && json_object_array_length(attached) > 0;

	bool ok = json_add(json, "attached", attached) &&
		  json_add_string(json, "uuid", volume->uuid) &&
		  json_add_string(json, "level", volume->level->name) &&
		  json_add_string(json, "state", keystore_state_name(state)) &&
		  json_add_string(json, "path", volume->path) &&
		  json_add_number(json, "size_bytes", volume->size_bytes) &&
		  json_add_number(json, "sector_size", volume->sector_bytes) &&
		  json_add_string(json, "cipher", volume->cipher ? volume->cipher->name : "") &&
		  json_add_number(json, "data_offset_bytes", volume->data_offset_bytes) &&
		  json_add_time(json, "created_at", volume->created_at) &&
		  json_add_time(json, "destroyed_at", volume->destroyed_at) &&
		  json_add_string(json, "fingerprint", volume->fingerprint) &&
		  json_add_number(json, "sanitized", volume->sanitized) &&
		  json_add_bool(json, "header_due", volume->header_due) &&
		  json_add_bool(json, "resident", resident);
	if (ok && volume->served_bytes)
		ok = json_add_number(json, "served_bytes", volume->served_bytes);
	const struct scope scope = {
		.level = volume->level,
		.volume = keystore_volume(&keyd->store, volume->uuid),
	};
	if (ok && details && state != KEY_DESTROYED)
		ok = add_erase_class(json, keyd, &scope) &&
		     add_exports(json, keyd, volume->level->name, volume->uuid);
	if (ok && details && volume->state == KEY_DESTROYED &&
		volume->level->state != KEY_DESTROYED) {
		ok = add_certificate(json, keyd, &scope);
	}
	return whole(ok, json);
}

/* The volume at the place, or behind it; NULL: none. */
static const struct volume *volume_at(const struct keyd *keyd, struct answer_pieces *p)
{
	const struct keystore *ks = &keyd->store;

	for (; p->level_at < ks->level_count; p->level_at++, p->volume_at = 0) {
		const struct level *level = ks->levels[p->level_at];
		if ((!p->level[0] || !strcmp(p->level, level->name)) &&
			p->volume_at < level->volume_count)
			return level->volumes[p->volume_at];
	}
	return NULL;
}

/* Appends one row behind separator. False: no memory. */
static bool add_row(struct printbuf *text, const char *separator, struct json_object *row)
{
	size_t len = 0;
	const char *row_text =
		row ? json_object_to_json_string_length(
			      row, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len)
		    : NULL;
	bool ok = row_text && printbuf_memappend(text, separator, (int)strlen(separator)) >= 0 &&
		  printbuf_memappend(text, row_text, (int)len) >= 0;

	json_object_put(row);
	return ok;
}

/* Rows up to PIECE_BYTES, and the end of the array behind the last one. False: no memory. */
static bool add_rows(const struct keyd *keyd, struct answer_pieces *p, struct printbuf *text)
{
	const struct volume *volume;

	while (printbuf_length(text) < PIECE_BYTES && (volume = volume_at(keyd, p))) {
		if (!add_row(text, p->begun ? "," : "[", inventory_volume(keyd, volume, false)))
			return false;
		p->begun = true;
		p->volume_at++;
	}
	if (volume_at(keyd, p))
		return true;
	p->ended = true;
	return printbuf_memappend(text, p->begun ? "]" : "[]", p->begun ? 1 : 2) >= 0;
}

char *inventory_next_volumes(const struct keyd *keyd, struct answer_pieces *pieces, bool *failed)
{
	char *piece = NULL;

	if (pieces->ended)
		return NULL;
	struct printbuf *text = printbuf_new();
	if (text && add_rows(keyd, pieces, text))
		piece = strdup(text->buf);
	if (text)
		printbuf_free(text);
	*failed = !piece;
	return piece;
}

enum { VOLUMES_AT_MAX = 64 };

struct json_object *inventory_volumes_at(const struct keyd *keyd, const char *path)
{
	struct json_object *array = json_object_new_array();
	const struct volume *volume;
	bool ok = array != NULL;

	for (size_t i = 0;
		ok && i < VOLUMES_AT_MAX && (volume = keystore_volume_at(&keyd->store, path, i));
		i++)
		ok = json_append(array, inventory_volume(keyd, volume, false));
	return whole(ok, array);
}

/* What the key adds; nothing while it is not at hand. */
static bool add_keyed(
	struct json_object *json, const struct audit *audit, const struct audit_verdict *verdict)
{
	return !audit->key.bytes ||
	       (json_add_string(json, "key_id", audit->key.id) &&
		       json_add_number(json, "first_keyed", audit->key.first_keyed) &&
		       json_add_number(json, "last_keyed", verdict->last_keyed) &&
		       json_add_number(json, "without_code", verdict->without_code));
}

struct json_object *inventory_audit(const struct audit *audit, const struct audit_verdict *verdict)
{
	struct json_object *json = json_object_new_object();
	bool passed = !verdict->first_bad_line && !verdict->torn;

	bool ok = json_add_string(json, "result", passed ? "passed" : "failed") &&
		  json_add_number(json, "records", verdict->records) &&
		  json_add_string(json, "head", verdict->head) &&
		  json_add_number(json, "seq", verdict->last_seq) &&
		  json_add_bool(json, "keyed", audit->key.bytes != NULL) &&
		  add_keyed(json, audit, verdict);
	if (ok && verdict->first_bad_line)
		ok = json_add_number(json, "first_bad_line", verdict->first_bad_line) &&
		     json_add_string(json, "reason", verdict->reason);
	else if (ok && verdict->torn)
		ok = json_add_number(json, "first_bad_line", verdict->records + 1) &&
		     json_add_string(json, "reason", "the last line is not whole");
	return whole(ok, json);
}
