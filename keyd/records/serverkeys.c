/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "serverkeys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "jsonhelp.h"
#include "keystore_private.h"
#include "log.h"
#include "secret.h"

#define AUDIT_KEY_FILE   "audit.key"
#define SIGNING_KEY_FILE "signing.key"

/* The keys of this folder have one length. */
enum { KEY_BYTES = WRAP_KEY_BYTES };
_Static_assert((int)KEY_BYTES == (int)MAC_KEY_BYTES, "one length");
_Static_assert((int)KEY_BYTES == (int)SIGNATURE_KEY_BYTES, "one length");

static int read_key(const struct keystore *ks, const char *name, enum record_kind kind,
	struct record *rec, uint8_t *key)
{
	int dir_fd = durable_open_dir(ks->dir_fd, KEYS_DIR);
	if (dir_fd < 0)
		return dir_fd;
	int rc = store_read_record(dir_fd, name, kind, ks->root, "", "", rec, key, KEY_BYTES);
	(void)close(dir_fd);
	return rc;
}

/* body, taken over, may be NULL. */
static int write_key(const struct keystore *ks, const char *name, enum record_kind kind,
	struct json_object *body, const uint8_t *key)
{
	int64_t now = clock_wall_seconds();
	struct record rec = {
		.kind = kind, .state = RECORD_ACTIVE, .created_at = now, .changed_at = now};
	uint8_t *file = NULL;
	size_t file_bytes;

	const char *text = body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN) : "";
	rec.body = strdup(text ? text : "");
	json_object_put(body);
	int rc = text && rec.body ? 0 : -ENOMEM;
	if (!rc)
		rc = wrap_fingerprint(key, KEY_BYTES, rec.fingerprint);
	if (!rc)
		rc = durable_mkdir(ks->dir_fd, KEYS_DIR);
	int dir_fd = rc ? rc : durable_open_dir(ks->dir_fd, KEYS_DIR);
	rc = dir_fd < 0 ? dir_fd : record_seal(&rec, ks->root, key, KEY_BYTES, &file, &file_bytes);
	if (!rc)
		rc = durable_write(dir_fd, name, file, file_bytes);
	if (dir_fd >= 0)
		(void)close(dir_fd);
	free(file);
	record_clear(&rec);
	return rc;
}

/* A key that is not there or does not open is lost; anything else may pass. */
static bool is_lost(int rc)
{
	return rc == -ENOENT || rc == -EBADMSG || rc == -ENOTDIR || rc == -ELOOP;
}

/* first_keyed and replaces_lost, as write_audit_key() wrote them; authenticated by the record. */
static int read_body(const struct record *rec, struct audit_key *key)
{
	struct json_object *member, *body = rec->body ? json_tokener_parse(rec->body) : NULL;

	if (!body)
		return -EBADMSG;
	key->first_keyed = json_number(body, "first_keyed");
	key->replaces_lost = json_object_object_get_ex(body, "replaces_lost", &member) &&
			     json_object_get_boolean(member);
	json_object_put(body);
	memcpy(key->id, rec->fingerprint, sizeof(key->id));
	return key->first_keyed ? 0 : -EBADMSG;
}

static int load_audit_key(const struct keystore *ks, struct audit_key *key)
{
	struct record rec = {0};

	*key = (struct audit_key){.bytes = secret_alloc(KEY_BYTES)};
	if (!key->bytes)
		return -errno;
	int rc = read_key(ks, AUDIT_KEY_FILE, RECORD_AUDIT_KEY, &rec, key->bytes);
	if (!rc)
		rc = read_body(&rec, key);
	record_clear(&rec);
	if (rc) {
		secret_free(key->bytes);
		*key = (struct audit_key){0};
	}
	return rc;
}

int serverkeys_audit_key(const struct keystore *ks, struct audit_key *key)
{
	*key = (struct audit_key){0};
	if (!ks->root)
		return 0;
	int rc = load_audit_key(ks, key);
	return is_lost(rc) ? 0 : rc; /* serverkeys_begin() makes a new one */
}

static int write_audit_key(const struct keyd *keyd)
{
	const struct audit_key *key = &keyd->audit.key;
	struct json_object *body = json_object_new_object();

	if (json_add_number(body, "first_keyed", key->first_keyed) &&
		json_add_bool(body, "replaces_lost", key->replaces_lost))
		return write_key(&keyd->store, AUDIT_KEY_FILE, RECORD_AUDIT_KEY, body, key->bytes);
	json_object_put(body);
	return -ENOMEM;
}

static int record_new_key(struct keyd *keyd, const char *event, const char *id, bool lost)
{
	char detail[128];

	if (lost)
		log_error("the key in " KEYS_DIR "/ was missing or damaged (%s): "
			  "there is a new one",
			event);
	(void)snprintf(detail, sizeof(detail), "new key %s%s", id,
		lost ? "; the one before is missing or damaged" : "");
	return audit_append(&keyd->audit,
		&(struct audit_event){
			.event = event, .detail = detail, .result = lost ? "failed" : "ok"});
}

static int make_audit_key(struct keyd *keyd, bool lost)
{
	struct audit_key key = {.bytes = secret_alloc(KEY_BYTES), .replaces_lost = lost};
	if (!key.bytes)
		return -errno;
	int rc = wrap_new_key(key.bytes, KEY_BYTES);
	if (!rc)
		rc = wrap_fingerprint(key.bytes, KEY_BYTES, key.id);
	if (rc) {
		secret_free(key.bytes);
		return rc;
	}
	rc = audit_adopt_key(&keyd->audit, &key);
	if (!rc)
		rc = write_audit_key(keyd);
	if (rc) {
		keyd->audit.unusable = true; /* its codes could not be checked later */
		return rc;
	}
	return record_new_key(keyd, "audit-key", keyd->audit.key.id, lost);
}

static int begin_audit(struct keyd *keyd)
{
	struct audit_key key;

	if (keyd->audit.key.bytes)
		return 0;
	int rc = load_audit_key(&keyd->store, &key);
	if (!rc)
		return audit_use_key(&keyd->audit, &key);
	if (!is_lost(rc))
		return rc;
	return make_audit_key(keyd, keyd->store.keyed || rc == -EBADMSG);
}

static int make_signing_key(const struct keystore *ks, uint8_t *key)
{
	int rc = wrap_new_key(key, KEY_BYTES);
	return rc ? rc : write_key(ks, SIGNING_KEY_FILE, RECORD_SIGNING_KEY, NULL, key);
}

static int begin_signing(struct keyd *keyd)
{
	struct record rec = {0};
	bool made = false;

	uint8_t *key = secret_alloc(KEY_BYTES);
	if (!key)
		return -errno;
	int rc = read_key(&keyd->store, SIGNING_KEY_FILE, RECORD_SIGNING_KEY, &rec, key);
	record_clear(&rec);
	bool lost = rc == -EBADMSG || (is_lost(rc) && keyd->store.keyed);
	if (is_lost(rc)) {
		made = true;
		rc = make_signing_key(&keyd->store, key);
	}
	if (!rc)
		rc = signature_public(key, &keyd->signer);
	secret_free(key);
	if (!rc && made)
		rc = record_new_key(keyd, "signing-key", keyd->signer.id, lost);
	return rc;
}

/* Seals levels of an earlier keyd again, in the format of this one: an earlier one refuses them (record.h). */
static int mark_levels(struct keyd *keyd)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < keyd->store.level_count; i++) {
		struct level *level = keyd->store.levels[i];
		bool whole = level->state == KEY_ACTIVE || level->state == KEY_SUSPENDED;
		if (!level->old_format || !whole)
			continue;
		rc = keystore_level_set_state(&keyd->store, level, level->state);
		level->old_format = rc != 0;
		if (rc == -EBADMSG) /* damaged meanwhile, and marked as that */
			rc = 0;
	}
	return rc;
}

int serverkeys_begin(struct keyd *keyd)
{
	if (!keyd->audit.key.bytes)
		audit_tell_repeats(
			&keyd->audit); /* of a locked store: without a code, as what they count */
	int rc = begin_audit(keyd);
	if (!rc)
		rc = begin_signing(keyd);
	if (!rc)
		rc = mark_levels(keyd);
	if (rc)
		log_error("cannot open or make the keys in " KEYS_DIR "/: %s", strerror(-rc));
	return rc;
}

void serverkeys_end(struct keyd *keyd)
{
	audit_tell_repeats(&keyd->audit); /* as long as they can have a code */
	audit_drop_key(&keyd->audit);
	keyd->signer = (struct signature_public){0};
}

int serverkeys_copy(const struct keyd *keyd, uint8_t **key)
{
	struct record rec = {0};

	*key = secret_alloc(KEY_BYTES);
	if (!*key)
		return -errno;
	int rc = read_key(&keyd->store, SIGNING_KEY_FILE, RECORD_SIGNING_KEY, &rec, *key);
	record_clear(&rec);
	if (rc) {
		secret_free(*key);
		*key = NULL;
	}
	return rc;
}

int serverkeys_sign_with(const uint8_t *key, const char *id, struct json_object *document)
{
	char value[SIGNATURE_TEXT_BYTES];

	const char *text = json_object_to_json_string_ext(
		document, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	int rc = text ? signature_make(key, text, strlen(text), value) : -ENOMEM;
	if (rc)
		return rc;
	struct json_object *signature = json_object_new_object();
	if (json_add_string(signature, "algorithm", SIGNATURE_ALGORITHM) &&
		json_add_string(signature, "key_id", id) &&
		json_add_string(signature, "value", value))
		return json_add(document, "signature", signature) ? 0 : -ENOMEM;
	json_object_put(signature);
	return -ENOMEM;
}

int serverkeys_sign(const struct keyd *keyd, struct json_object *document)
{
	uint8_t *key;

	int rc = serverkeys_copy(keyd, &key);
	if (rc)
		return rc;
	rc = serverkeys_sign_with(key, keyd->signer.id, document);
	secret_free(key);
	return rc;
}
