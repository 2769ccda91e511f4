/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "erasure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "keystore_private.h"
#include "log.h"
#include "rewrap.h"
#include "secret.h"
#include "text.h"

enum { CERTIFICATE_BYTES_MAX = RECORD_BODY_BYTES_MAX };

/* One row for each file that speaks of a scope. */
struct scope_file {
	const char *of_level;
	const char *volume_suffix;
};

static const struct scope_file intent_file = {LEVEL_INTENT_FILE, VOLUME_INTENT_SUFFIX};
static const struct scope_file request_file = {LEVEL_REQUEST_FILE, VOLUME_REQUEST_SUFFIX};
static const struct scope_file sanitize_file = {"", VOLUME_SANITIZE_SUFFIX};
static const struct scope_file tombstone_file = {LEVEL_TOMBSTONE_FILE, VOLUME_TOMBSTONE_SUFFIX};
static const struct scope_file certificate_file = {
	LEVEL_CERTIFICATE_FILE, VOLUME_CERTIFICATE_SUFFIX};

/* The directory where the scope's files lie, for the caller to close, and the file's name there. */
static int open_scope(const struct keystore *ks, const struct scope *scope,
	const struct scope_file *file, char name[STORE_NAME_BYTES])
{
	if (scope->volume) {
		store_volume_file(name, scope->volume->uuid, file->volume_suffix);
		return store_open_volumes_dir(ks, scope->level->name);
	}
	int rc = text_copy(name, STORE_NAME_BYTES, file->of_level);
	return rc ? rc : store_open_level_dir(ks, scope->level->name);
}

static int write_statement(const struct keystore *ks, const struct scope *scope,
	const struct scope_file *file, struct record *rec)
{
	const struct volume *volume = scope->volume;
	char name[STORE_NAME_BYTES];

	rec->created_at = volume ? volume->created_at : scope->level->created_at;
	memcpy(rec->fingerprint, volume ? volume->fingerprint : scope->level->fingerprint,
		sizeof(rec->fingerprint));
	int rc = text_copy(rec->level, sizeof(rec->level), scope->level->name);
	if (!rc)
		rc = text_copy(rec->uuid, sizeof(rec->uuid), volume ? volume->uuid : "");
	if (rc)
		return rc;
	int dir_fd = open_scope(ks, scope, file, name);
	if (dir_fd < 0)
		return dir_fd;
	rc = store_write_statement(ks, dir_fd, name, rec);
	(void)close(dir_fd);
	return rc;
}

struct erase_class erasure_class(const struct keystore *ks, const struct scope *scope)
{
	const struct custody *custody = ks->custody;

	if (scope->level->leaky) /* it was there first: so were the keys */
		custody = scope->level->leaky;
	else if (scope->volume && strcmp(custody->erase_class, "clear") != 0)
		return (struct erase_class){"clear",
			"its level lives on: copies of the wrapped volume key that flash, journals "
			"or "
			"snapshots kept can still be opened with the level's key"};
	return (struct erase_class){custody->erase_class, custody->erase_class_reason};
}

int erasure_renew_root(struct keystore *ks, const struct scope *scope)
{
	if (scope->volume || !ks->custody->renew)
		return 0;
	return rewrap_store(ks, &(struct rewrap){.to = ks->custody, .renew = true});
}

int erasure_destroy_in_device(struct keystore *ks, const struct scope *scope)
{
	const struct custody_levels *levels = ks->custody->levels;

	return !scope->volume && levels ? levels->destroy(ks->keeper, scope->level->name) : 0;
}

int erasure_write_intent(const struct keystore *ks, const struct scope *scope,
	enum record_state state, const char *body)
{
	char *borrowed = (char *)(uintptr_t)body; /* only read by record_seal() */
	struct record rec = {
		.kind = RECORD_INTENT,
		.state = state,
		.changed_at = clock_wall_seconds(),
		.body = borrowed,
	};

	return write_statement(ks, scope, &intent_file, &rec);
}

static int read_statement(const struct keystore *ks, const struct scope *scope,
	const struct scope_file *file, enum record_kind kind, struct record *rec)
{
	char name[STORE_NAME_BYTES];

	*rec = (struct record){0};
	int dir_fd = open_scope(ks, scope, file, name);
	if (dir_fd < 0)
		return dir_fd;
	int rc = store_read_record(dir_fd, name, kind, ks->root, scope->level->name,
		scope->volume ? scope->volume->uuid : "", rec, NULL, 0);
	(void)close(dir_fd);
	return rc;
}

int erasure_read_intent(const struct keystore *ks, const struct scope *scope, struct record *rec)
{
	return read_statement(ks, scope, &intent_file, RECORD_INTENT, rec);
}

int erasure_write_request(const struct keystore *ks, const struct scope *scope, const char *body)
{
	char *borrowed = (char *)(uintptr_t)body; /* only read by record_seal() */
	struct record rec = {
		.kind = RECORD_REQUEST,
		.state = RECORD_ACTIVE,
		.changed_at = clock_wall_seconds(),
		.body = borrowed,
	};

	return write_statement(ks, scope, &request_file, &rec);
}

int erasure_read_request(const struct keystore *ks, const struct scope *scope, struct record *rec)
{
	return read_statement(ks, scope, &request_file, RECORD_REQUEST, rec);
}

/* The name that a file is to get which a crash left half-way, or the name itself. */
static const char *final_name(const char *name)
{
	const char *prepared = durable_prepared_for(name);

	if (durable_is_temporary(name))
		return durable_name_of_temporary(name);
	return prepared ? prepared : name;
}

/* True for the files that erasing the scope removes from the directory of a level. */
static bool is_level_remnant(const struct scope *scope, const char *name)
{
	return !scope->volume && !strcmp(final_name(name), LEVEL_KEY_FILE);
}

/* The same for the directory of its volumes. */
static bool is_volume_remnant(const struct scope *scope, const char *name)
{
	char key[STORE_NAME_BYTES];
	size_t len = strlen(name);

	if (scope->volume) {
		store_volume_file(key, scope->volume->uuid, VOLUME_KEY_SUFFIX);
		return !strcmp(final_name(name), key);
	}
	if (durable_is_temporary(name))
		return true;
	/* Another's unfinished intent, or request, would have nothing left to do. */
	static const char *const suffixes[] = {VOLUME_KEY_SUFFIX, VOLUME_INTENT_SUFFIX,
		VOLUME_REQUEST_SUFFIX, VOLUME_SANITIZE_SUFFIX};
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t suffix_len = strlen(suffixes[i]);
		if (len > suffix_len && !strcmp(name + len - suffix_len, suffixes[i]))
			return true;
	}
	return false;
}

static void note_error(struct erasure_progress *progress, int rc)
{
	if (rc && !progress->first_error)
		progress->first_error = rc;
}

/* The caller syncs the directory after the last one. */
static void erase_one(int dir_fd, const char *name, struct erasure_progress *progress)
{
	int rc = durable_erase_unsynced(dir_fd, name, progress->last_attempt);

	note_error(progress, rc);
	if (!rc)
		progress->erased++;
}

/* ---- Every directory where files of the scope may lie --------------------------------------------- */

/*
 * These are the level's own, the one below it of the destroyed level that it was before (import), that one's, and so on; and
 * the same in what a failed import left beside it.
 */
struct erasure_walk {
	const struct scope *scope;
	struct erasure_progress *progress; /* NULL: they are counted */
	uint64_t end;                      /* of progress->erased, in this walk */
	uint64_t left;                     /* counted */
	int first_error;                   /* of looking: what was not seen may be there */
};

static void note_unseen(struct erasure_walk *walk, int rc)
{
	if (rc && !walk->first_error)
		walk->first_error = rc;
}

/* Files that resist do not use up the budget, or they would hide the others. */
static bool has_budget(const struct erasure_walk *walk)
{
	return !walk->progress || walk->progress->erased < walk->end;
}

static void visit_dir(struct erasure_walk *walk, int dir_fd,
	bool (*is_remnant)(const struct scope *scope, const char *name))
{
	const char *name = NULL;
	DIR *names;

	int rc = durable_open_names(dir_fd, &names);
	if (rc) {
		note_unseen(walk, rc);
		return;
	}
	while (has_budget(walk) && !(rc = durable_next_name(names, &name)) && name) {
		if (!is_remnant(walk->scope, name))
			continue;
		if (walk->progress)
			erase_one(dir_fd, name, walk->progress);
		else
			walk->left++;
	}
	note_unseen(walk, rc);
	if (walk->progress)
		note_error(walk->progress, durable_sync_dir(dir_fd));
	(void)closedir(names);
}

static void visit_level_keys(struct erasure_walk *walk, int level_fd)
{
	visit_dir(walk, level_fd, is_level_remnant);
}

static void visit_volumes(struct erasure_walk *walk, int level_fd)
{
	int dir_fd = durable_open_dir(level_fd, VOLUMES_DIR);

	if (dir_fd >= 0) {
		visit_dir(walk, dir_fd, is_volume_remnant);
		(void)close(dir_fd);
	} else if (dir_fd != -ENOENT) {
		note_unseen(walk, dir_fd);
	}
}

/* name: of a level's directory. One that is not there has nothing in it. */
static void visit_level(struct erasure_walk *walk, const struct keystore *ks, const char *name,
	void (*visit)(struct erasure_walk *walk, int level_fd))
{
	int levels_fd = durable_open_dir(ks->dir_fd, LEVELS_DIR);
	int fd = levels_fd < 0 ? levels_fd : durable_open_dir(levels_fd, name);

	if (levels_fd >= 0)
		(void)close(levels_fd);
	while (fd >= 0) {
		visit(walk, fd);
		int former_fd = durable_open_dir(fd, LEVEL_FORMER_DIR);
		(void)close(fd);
		fd = former_fd;
	}
	if (fd != -ENOENT)
		note_unseen(walk, fd);
}

/* The levels' keys first: without them the others are lost already. */
static void visit_all(struct erasure_walk *walk, const struct keystore *ks)
{
	char import[STORE_NAME_BYTES];
	const char *level = walk->scope->level->name;

	note_unseen(walk, durable_temporary_name(level, import, sizeof(import)));
	visit_level(walk, ks, level, visit_level_keys);
	visit_level(walk, ks, import, visit_level_keys);
	visit_level(walk, ks, level, visit_volumes);
	visit_level(walk, ks, import, visit_volumes);
}

int erasure_step(const struct keystore *ks, const struct scope *scope, unsigned budget,
	struct erasure_progress *progress)
{
	uint64_t before = progress->erased;
	struct erasure_walk walk = {.scope = scope, .progress = progress, .end = before + budget};

	visit_all(&walk, ks);
	note_error(progress, walk.first_error);
	return progress->erased > before;
}

bool erasure_try_again(struct erasure_progress *progress)
{
	enum { ATTEMPTS = 3 };

	if (!progress->first_error || progress->attempts + 1 == ATTEMPTS)
		return false;
	log_warning(
		"cannot erase every key file: %s: trying again", strerror(-progress->first_error));
	*progress = (struct erasure_progress){
		.attempts = progress->attempts + 1,
		.last_attempt = progress->attempts + 2 == ATTEMPTS,
	};
	return true;
}

/* 0 when the key opens, else why not. */
static int try_key(const struct keystore *ks, const struct scope *scope)
{
	struct record rec = {0};
	int rc;

	uint8_t *level_key = secret_alloc(WRAP_KEY_BYTES);
	uint8_t *key = secret_alloc(CIPHER_KEY_MAX);
	if (!level_key || !key) {
		rc = -ENOMEM;
		goto out;
	}
	rc = store_level_key(ks, scope->level->name, &rec, level_key);
	record_clear(&rec);
	if (rc || !scope->volume)
		goto out;
	char name[STORE_NAME_BYTES];
	store_volume_file(name, scope->volume->uuid, VOLUME_KEY_SUFFIX);
	int dir_fd = store_open_volumes_dir(ks, scope->level->name);
	rc = dir_fd;
	if (dir_fd < 0)
		goto out;
	size_t key_bytes = scope->volume->cipher ? scope->volume->cipher->key_bytes
						 : cipher_default()->key_bytes;
	rc = store_read_record(dir_fd, name, RECORD_VOLUME_KEY, level_key, scope->level->name,
		scope->volume->uuid, &rec, key, key_bytes);
	record_clear(&rec);
	(void)close(dir_fd);
out:
	secret_free(key);
	secret_free(level_key);
	return rc;
}

int erasure_verify(
	const struct keystore *ks, const struct scope *scope, struct erasure_findings *findings)
{
	struct erasure_walk walk = {.scope = scope};

	visit_all(&walk, ks);
	*findings = (struct erasure_findings){.files_left = walk.left};
	if (walk.first_error)
		return walk.first_error;
	int rc = try_key(ks, scope);
	findings->key_opens = !rc;
	return rc == -ENOMEM ? rc : 0;
}

int erasure_write_tombstone(const struct keystore *ks, const struct scope *scope,
	int64_t destroyed_at, const char *body)
{
	char *borrowed = (char *)(uintptr_t)body; /* only read by record_seal() */
	struct record rec = {
		.kind = RECORD_TOMBSTONE,
		.state = RECORD_DESTROYED,
		.changed_at = destroyed_at,
		.body = borrowed,
	};

	return write_statement(ks, scope, &tombstone_file, &rec);
}

static int write_certificate(const struct keystore *ks, const struct scope *scope,
	const struct scope_file *file, const char *json)
{
	char name[STORE_NAME_BYTES];

	int dir_fd = open_scope(ks, scope, file, name);
	if (dir_fd < 0)
		return dir_fd;
	int rc = durable_write(dir_fd, name, json, strlen(json));
	(void)close(dir_fd);
	return rc;
}

static int read_certificate(const struct keystore *ks, const struct scope *scope,
	const struct scope_file *file, char **json)
{
	char name[STORE_NAME_BYTES];
	uint8_t *data;
	size_t len_bytes;

	int dir_fd = open_scope(ks, scope, file, name);
	if (dir_fd < 0)
		return dir_fd;
	int rc = durable_read(dir_fd, name, CERTIFICATE_BYTES_MAX, &data, &len_bytes);
	if (!rc)
		*json = (char *)data; /* caller owns it; durable_read() terminates it */
	(void)close(dir_fd);
	return rc;
}

int erasure_write_certificate(
	const struct keystore *ks, const struct scope *scope, const char *json)
{
	return write_certificate(ks, scope, &certificate_file, json);
}

int erasure_read_certificate(const struct keystore *ks, const struct scope *scope, char **json)
{
	return read_certificate(ks, scope, &certificate_file, json);
}

/* Each sanitization has its own. */
static void number_suffix(char suffix[STORE_NAME_BYTES / 2], uint32_t number)
{
	(void)snprintf(suffix, STORE_NAME_BYTES / 2, VOLUME_SANITIZE_SUFFIX "-%u%s",
		(unsigned)number, VOLUME_CERTIFICATE_SUFFIX);
}

int erasure_write_sanitize_certificate(
	const struct keystore *ks, const struct volume *volume, uint32_t number, const char *json)
{
	const struct scope scope = {
		.level = volume->level, .volume = (struct volume *)(uintptr_t)volume};
	char suffix[STORE_NAME_BYTES / 2];
	const struct scope_file file = {"", suffix};

	number_suffix(suffix, number);
	return write_certificate(ks, &scope, &file, json);
}

int erasure_read_sanitize_certificate(
	const struct keystore *ks, const struct volume *volume, uint32_t number, char **json)
{
	const struct scope scope = {
		.level = volume->level, .volume = (struct volume *)(uintptr_t)volume};
	char suffix[STORE_NAME_BYTES / 2];
	const struct scope_file file = {"", suffix};

	number_suffix(suffix, number);
	return read_certificate(ks, &scope, &file, json);
}

int erasure_write_sanitize(const struct keystore *ks, const struct scope *scope,
	enum record_state state, const char *body)
{
	const struct volume *volume = scope->volume;
	char *borrowed = (char *)(uintptr_t)body; /* only read by record_seal() */
	struct record rec = {
		.kind = RECORD_SANITIZE,
		.state = state,
		.changed_at = clock_wall_seconds(),
		.sector_bytes = volume->sector_bytes,
		.data_offset_bytes = volume->data_offset_bytes,
		.size_bytes = volume->size_bytes,
		.body = borrowed,
	};

	int rc = text_copy(rec.cipher, sizeof(rec.cipher), volume->cipher->name);
	return rc ? rc : write_statement(ks, scope, &sanitize_file, &rec);
}

int erasure_read_sanitize(const struct keystore *ks, const struct scope *scope, struct record *rec)
{
	return read_statement(ks, scope, &sanitize_file, RECORD_SANITIZE, rec);
}

static int remove_statement(
	const struct keystore *ks, const struct scope *scope, const struct scope_file *file)
{
	char name[STORE_NAME_BYTES];

	int dir_fd = open_scope(ks, scope, file, name);
	if (dir_fd < 0)
		return dir_fd;
	int rc = unlinkat(dir_fd, name, 0) && errno != ENOENT ? -errno : 0;
	if (!rc && fsync(dir_fd))
		rc = -errno;
	(void)close(dir_fd);
	return rc;
}

int erasure_remove_intent(const struct keystore *ks, const struct scope *scope)
{
	int rc = scope->volume ? remove_statement(ks, scope, &sanitize_file) : 0;

	return rc ? rc : remove_statement(ks, scope, &intent_file);
}

int erasure_remove_request(const struct keystore *ks, const struct scope *scope)
{
	return remove_statement(ks, scope, &request_file);
}
