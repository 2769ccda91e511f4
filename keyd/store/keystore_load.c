/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Reading the store once, when keyd starts. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable.h"
#include "jsonhelp.h"
#include "keystore_private.h"
#include "log.h"
#include "secret.h"
#include "text.h"

int store_each_name(int dir_fd, int (*visit)(void *arg, int dir_fd, const char *name), void *arg)
{
	const char *name;
	DIR *names;

	int rc = durable_open_names(dir_fd, &names);
	if (rc)
		return rc;
	while (!(rc = durable_next_name(names, &name)) && name && !(rc = visit(arg, dir_fd, name)))
		;
	(void)closedir(names);
	return rc;
}

/* Out of memory, descriptors or a token says nothing about a key: it must not be called damaged. */
static bool is_fatal(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EAGAIN || rc == -EREMOTEIO;
}

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return !fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW);
}

static int erase_temporary(void *unused, int dir_fd, const char *name)
{
	(void)unused;
	if (durable_is_temporary(name) && durable_erase(dir_fd, name, true))
		log_warning("cannot erase %s, left over from a crash", name);
	return 0;
}

static int settle_import(void *unused, int levels_fd, const char *name)
{
	(void)unused;
	if (durable_is_temporary(name) && text_is_level_name(durable_name_of_temporary(name)))
		store_settle_import(levels_fd, name);
	return 0;
}

static int add_listed_volume(
	struct level *level, struct json_object *item, const struct record *rec)
{
	const char *uuid = json_string(item, "uuid");
	struct json_object *size;

	if (!text_is_uuid(uuid) || store_find_volume(level, uuid))
		return 0;
	struct volume *volume = store_add_volume(level, uuid);
	char *path = volume ? strdup(json_string(item, "path")) : NULL;
	if (!path)
		return -ENOMEM;
	free(volume->path);
	volume->path = path; /* the volume owns it */
	if (text_copy(volume->fingerprint, sizeof(volume->fingerprint),
		    json_string(item, "fingerprint")))
		log_warning("level %s: odd fingerprint of volume %s", level->name, uuid);
	if (json_object_object_get_ex(item, "size_bytes", &size))
		volume->size_bytes = json_object_get_uint64(size);
	volume->destroyed_at = rec->changed_at;
	volume->state = KEY_DESTROYED;
	return 0;
}

/* The volumes that an intent or tombstone speaks of; its text is authenticated and keyd's own. */
static int add_listed_volumes(struct level *level, const struct record *rec)
{
	struct json_object *volumes;
	int rc = 0;

	struct json_object *body = rec->body ? json_tokener_parse(rec->body) : NULL;
	if (json_object_object_get_ex(body, "volumes", &volumes) &&
		json_object_is_type(volumes, json_type_array)) {
		for (size_t i = 0; !rc && i < json_object_array_length(volumes); i++)
			rc = add_listed_volume(level, json_object_array_get_idx(volumes, i), rec);
	}
	json_object_put(body);
	return rc;
}

static int fill_volume(struct volume *volume, const struct record *rec)
{
	char *path = strdup(rec->body ? rec->body : "");
	if (!path)
		return -ENOMEM;
	free(volume->path);
	volume->path = path; /* the volume owns it */
	store_split_body(path, &volume->served_bytes);
	volume->created_at = rec->created_at;
	volume->sector_bytes = rec->sector_bytes;
	volume->data_offset_bytes = rec->data_offset_bytes;
	volume->size_bytes = rec->size_bytes;
	volume->cipher = cipher_find(rec->cipher);
	return text_copy(volume->fingerprint, sizeof(volume->fingerprint), rec->fingerprint);
}

/* A volume of the name's directory being loaded. */
struct volumes_load {
	struct keystore *ks;
	struct level *level;
	const uint8_t *level_key; /* NULL: the level's key is not to be had */
};

/* Tombstone or intent of one volume. What cannot be authenticated still keeps the key in. */
static int load_statement(const struct volumes_load *load, int dir_fd, const char *name,
	struct volume *volume, enum record_kind kind)
{
	struct record rec = {0};

	int rc = store_read_record(
		dir_fd, name, kind, load->ks->root, load->level->name, volume->uuid, &rec, NULL, 0);
	if (is_fatal(rc))
		return rc;
	bool tombstone = kind == RECORD_TOMBSTONE;
	volume->state = tombstone ? KEY_DESTROYED : rc ? KEY_DAMAGED : KEY_DESTROYING;
	if (rc) {
		log_error("level %s: %s is damaged", load->level->name, name);
		return 0;
	}
	char *path = NULL;
	struct level listed = {0}; /* reads the one volume out of the body */
	rc = add_listed_volumes(&listed, &rec);
	if (!rc && listed.volume_count == 1) {
		path = listed.volumes[0]->path;
		listed.volumes[0]->path = volume->path;
		volume->path = path; /* swapped */
		volume->size_bytes = listed.volumes[0]->size_bytes;
	}
	for (size_t i = 0; i < listed.volume_count; i++)
		store_free_volume(listed.volumes[i]);
	free(listed.volumes);
	memcpy(volume->fingerprint, rec.fingerprint, sizeof(volume->fingerprint));
	volume->created_at = rec.created_at;
	volume->destroyed_at = tombstone ? rec.changed_at : 0;
	record_clear(&rec);
	return rc;
}

static int load_volume_key(
	const struct volumes_load *load, int dir_fd, const char *name, struct volume *volume)
{
	struct record rec = {0};
	int rc = -EBADMSG;

	uint8_t *key = secret_alloc(CIPHER_KEY_MAX);
	if (!key)
		return -errno;
	/* The length is part of what is authenticated: try those that the table has. */
	for (size_t i = 0; load->level_key && rc == -EBADMSG && cipher_at(i); i++)
		rc = store_read_record(dir_fd, name, RECORD_VOLUME_KEY, load->level_key,
			load->level->name, volume->uuid, &rec, key, cipher_at(i)->key_bytes);
	secret_free(key);
	if (is_fatal(rc))
		return rc;
	if (!rc) {
		rc = fill_volume(volume, &rec);
		record_clear(&rec);
		if (rc == -ENOMEM)
			return rc;
		volume->state = !rc && volume->cipher ? KEY_ACTIVE : KEY_DAMAGED;
	}
	if (volume->state == KEY_DAMAGED)
		log_error("level %s: volume %s is damaged", load->level->name, volume->uuid);
	return 0;
}

/* What the statement of a sanitization says about the volume. */
static int fill_sanitized(struct volume *volume, const struct record *rec)
{
	struct json_object *volumes;
	struct record told = *rec; /* borrows */

	struct json_object *body = rec->body ? json_tokener_parse(rec->body) : NULL;
	const char *path = "";
	if (json_object_object_get_ex(body, "volumes", &volumes) &&
		json_object_is_type(volumes, json_type_array))
		path = json_string(json_object_array_get_idx(volumes, 0), "path");
	told.body = (char *)(uintptr_t)path; /* only read */
	int rc = fill_volume(volume, &told);
	volume->sanitized = (uint32_t)json_number(body, "sanitization");
	json_object_put(body);
	return rc == -ENOMEM ? rc : volume->cipher ? 0 : -EBADMSG;
}

/*
 * A volume whose key is being replaced, or was. Only the key that took the place counts from then on: an
 * older file that is put back is damaged.
 */
static int load_sanitized(
	const struct volumes_load *load, int dir_fd, const char *name, struct volume *volume)
{
	char key_file[STORE_NAME_BYTES];
	struct record rec = {0};

	int rc = store_read_record(dir_fd, name, RECORD_SANITIZE, load->ks->root, load->level->name,
		volume->uuid, &rec, NULL, 0);
	if (!rc)
		rc = fill_sanitized(volume, &rec);
	if (rc == 0 && (rec.state == RECORD_REVOKING || rec.state == RECORD_ERASING)) {
		volume->state = KEY_SANITIZING;
	} else if (!rc) {
		store_volume_file(key_file, volume->uuid, VOLUME_KEY_SUFFIX);
		rc = load_volume_key(load, dir_fd, key_file, volume);
		volume->header_due = rec.state == RECORD_HEADER_DUE;
	}
	if (!rc && volume->state == KEY_ACTIVE && strcmp(volume->fingerprint, rec.fingerprint)) {
		log_error("level %s: volume %s has a key again that was replaced: it is not used; "
			  "put the last one back",
			load->level->name, volume->uuid);
		volume->state = KEY_DAMAGED;
	}
	record_clear(&rec);
	if (!rc || is_fatal(rc))
		return rc;
	log_error("level %s: %s is damaged", load->level->name, name);
	volume->state = KEY_DAMAGED;
	return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	return !strcmp(name + PROTO_UUID_BYTES - 4, suffix);
}

/* Loads the volume that name speaks of, unless another of its files led here before. */
static int visit_volume_file(void *arg, int dir_fd, const char *name)
{
	const struct volumes_load *load = arg;
	char uuid[PROTO_UUID_BYTES] = "", file[STORE_NAME_BYTES];
	bool level_gone =
		load->level->state == KEY_DESTROYED || load->level->state == KEY_DESTROYING;

	if (strlen(name) < PROTO_UUID_BYTES - 4)
		return 0;
	memcpy(uuid, name, PROTO_UUID_BYTES - 4); /* 36 characters */
	bool tells = has_suffix(name, VOLUME_KEY_SUFFIX) ||
		     has_suffix(name, VOLUME_INTENT_SUFFIX) ||
		     has_suffix(name, VOLUME_SANITIZE_SUFFIX) ||
		     has_suffix(name, VOLUME_TOMBSTONE_SUFFIX);
	if (!text_is_uuid(uuid) || !tells || store_find_volume(load->level, uuid))
		return 0;
	bool only_key =
		has_suffix(name, VOLUME_KEY_SUFFIX) || has_suffix(name, VOLUME_SANITIZE_SUFFIX);
	store_volume_file(file, uuid, VOLUME_TOMBSTONE_SUFFIX);
	bool tombstone = exists(dir_fd, file);
	if (level_gone && only_key && !tombstone)
		return 0; /* a remnant: the level's own statement lists its volumes */
	struct volume *volume = store_add_volume(load->level, uuid);
	if (!volume)
		return -ENOMEM;
	if (tombstone)
		return load_statement(load, dir_fd, file, volume, RECORD_TOMBSTONE);
	store_volume_file(file, uuid, VOLUME_INTENT_SUFFIX);
	if (exists(dir_fd, file))
		return load_statement(load, dir_fd, file, volume, RECORD_INTENT);
	store_volume_file(file, uuid, VOLUME_SANITIZE_SUFFIX);
	if (exists(dir_fd, file))
		return load_sanitized(load, dir_fd, file, volume);
	return load_volume_key(load, dir_fd, name, volume);
}

static int load_volumes(struct keystore *ks, struct level *level, const uint8_t *level_key)
{
	struct volumes_load load = {.ks = ks, .level = level, .level_key = level_key};

	int dir_fd = store_open_volumes_dir(ks, level->name);
	if (dir_fd < 0)
		return dir_fd == -ENOENT ? 0 : dir_fd;
	int rc = store_each_name(dir_fd, erase_temporary, NULL);
	if (!rc)
		rc = store_each_name(dir_fd, visit_volume_file, &load);
	(void)close(dir_fd);
	return rc;
}

static void note_format(struct keystore *ks, const struct record *rec)
{
	ks->keyed = ks->keyed || rec->format >= RECORD_FORMAT_KEYED;
}

/* As the draft of the certificate tells, which was made while the key's record could be read. */
static const struct custody *former_custody(const struct record *rec)
{
	struct json_object *body = rec->body ? json_tokener_parse(rec->body) : NULL;
	struct json_object *former;

	const struct custody *custody =
		!json_object_object_get_ex(body, "former_custody", &former) ? &custody_unknown
		: former ? custody_find_former(json_string(body, "former_custody"))
			 : NULL;
	json_object_put(body);
	return custody;
}

/* A tombstone or an intent decides alone, whatever key files are there. */
static int load_level_statement(struct keystore *ks, int dir_fd, struct level *level,
	const char *name, enum record_kind kind)
{
	struct record rec = {0};

	int rc = store_read_record(dir_fd, name, kind, ks->root, level->name, "", &rec, NULL, 0);
	if (is_fatal(rc))
		return rc;
	bool tombstone = kind == RECORD_TOMBSTONE;
	level->state = tombstone ? KEY_DESTROYED : rc ? KEY_DAMAGED : KEY_DESTROYING;
	level->leaky = rc ? &custody_unknown : former_custody(&rec);
	if (rc) {
		log_error("level %s: %s is damaged; no key of the level will be given out",
			level->name, name);
	} else {
		note_format(ks, &rec);
		memcpy(level->fingerprint, rec.fingerprint, sizeof(level->fingerprint));
		level->created_at = rec.created_at;
		level->destroyed_at = tombstone ? rec.changed_at : 0;
		rc = add_listed_volumes(level, &rec);
		record_clear(&rec);
		if (rc)
			return rc;
	}
	if (tombstone && exists(dir_fd, LEVEL_KEY_FILE) && !exists(dir_fd, LEVEL_INTENT_FILE))
		log_warning("level %s was destroyed, but its " LEVEL_KEY_FILE
			    " has been put back: it is ignored; delete it",
			level->name);
	return load_volumes(ks, level, NULL);
}

static int load_live_level(struct keystore *ks, struct level *level)
{
	struct record rec = {0};

	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	if (!key)
		return -errno;
	int rc = store_level_key(ks, level->name, &rec, key);
	if (is_fatal(rc))
		goto out;
	if (rc) {
		level->leaky = &custody_unknown;
		log_error("level %s is damaged: %s", level->name,
			rc == -ENOENT ? "its key file is missing"
				      : "its key file cannot be opened");
	} else {
		note_format(ks, &rec);
		level->old_format = rec.format < RECORD_FORMAT_SALTED;
		memcpy(level->fingerprint, rec.fingerprint, sizeof(level->fingerprint));
		level->created_at = rec.created_at;
		level->leaky = rec.body ? custody_find_former(rec.body) : NULL;
		level->state = rec.state == RECORD_ACTIVE      ? KEY_ACTIVE
			       : rec.state == RECORD_SUSPENDED ? KEY_SUSPENDED
							       : KEY_DAMAGED;
	}
	rc = load_volumes(ks, level, rc ? NULL : key);
out:
	record_clear(&rec);
	secret_free(key);
	return rc;
}

/* True for what a crash in keystore_level_create() leaves: directories without a file. */
static int visit_any(void *found, int dir_fd, const char *name)
{
	(void)dir_fd;
	if (strcmp(name, VOLUMES_DIR))
		*(bool *)found = true;
	return 0;
}

static int is_empty_level(const struct keystore *ks, int dir_fd, const char *name, bool *empty)
{
	bool found = false;

	int rc = store_each_name(dir_fd, visit_any, &found);
	int volumes_fd = store_open_volumes_dir(ks, name);
	if (volumes_fd >= 0) {
		if (!rc)
			rc = store_each_name(volumes_fd, visit_any, &found);
		(void)close(volumes_fd);
	}
	*empty = !found;
	return rc;
}

static int visit_level(void *arg, int levels_fd, const char *name)
{
	struct keystore *ks = arg;
	bool empty;

	if (!text_is_level_name(name))
		return 0;
	int dir_fd = durable_open_dir(levels_fd, name);
	if (dir_fd < 0)
		return is_fatal(dir_fd) ? dir_fd : 0;
	int rc = store_each_name(dir_fd, erase_temporary, NULL);
	if (!rc)
		rc = is_empty_level(ks, dir_fd, name, &empty);
	if (rc || empty)
		goto out;
	struct level *level = store_add_level(ks, name);
	rc = -ENOMEM;
	if (!level)
		goto out;
	if (exists(dir_fd, LEVEL_TOMBSTONE_FILE))
		rc = load_level_statement(
			ks, dir_fd, level, LEVEL_TOMBSTONE_FILE, RECORD_TOMBSTONE);
	else if (exists(dir_fd, LEVEL_INTENT_FILE))
		rc = load_level_statement(ks, dir_fd, level, LEVEL_INTENT_FILE, RECORD_INTENT);
	else
		rc = load_live_level(ks, level);
out:
	(void)close(dir_fd);
	return rc;
}

static int clean_dir(const struct keystore *ks, const char *name)
{
	int dir_fd = durable_open_dir(ks->dir_fd, name);
	if (dir_fd < 0)
		return is_fatal(dir_fd) ? dir_fd : 0;
	int rc = store_each_name(dir_fd, erase_temporary, NULL);
	(void)close(dir_fd);
	return rc;
}

int store_load(struct keystore *ks)
{
	int levels_fd = durable_open_dir(ks->dir_fd, LEVELS_DIR);
	if (levels_fd == -ENOENT) /* a crash in keystore_init() */
		return durable_mkdir(ks->dir_fd, LEVELS_DIR);
	if (levels_fd < 0)
		return levels_fd;
	int rc = store_each_name(ks->dir_fd, erase_temporary, NULL);
	if (!rc)
		rc = clean_dir(ks, KEYS_DIR);
	if (!rc)
		rc = clean_dir(ks, REQUESTS_DIR);
	if (!rc)
		rc = store_each_name(levels_fd, settle_import, NULL);
	if (!rc)
		rc = store_each_name(levels_fd, visit_level, ks);
	(void)close(levels_fd);
	return rc;
}
