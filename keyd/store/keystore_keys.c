/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Making, storing and unwrapping keys. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "keystore_private.h"
#include "log.h"
#include "luks_format.h"
#include "secret.h"
#include "text.h"

static int open_below(int dir_fd, const char *name)
{
	if (dir_fd < 0)
		return dir_fd;
	int fd = durable_open_dir(dir_fd, name);
	(void)close(dir_fd);
	return fd;
}

int store_open_level_dir(const struct keystore *ks, const char *level)
{
	return open_below(durable_open_dir(ks->dir_fd, LEVELS_DIR), level);
}

int store_open_volumes_dir(const struct keystore *ks, const char *level)
{
	return open_below(store_open_level_dir(ks, level), VOLUMES_DIR);
}

void store_volume_file(char name[STORE_NAME_BYTES], const char *uuid, const char *suffix)
{
	(void)snprintf(name, STORE_NAME_BYTES, "%s%s", uuid, suffix);
}

int store_read_record(int dir_fd, const char *name, enum record_kind kind,
	const uint8_t wrapping_key[WRAP_KEY_BYTES], const char *level, const char *uuid,
	struct record *rec, uint8_t *key, size_t key_bytes)
{
	uint8_t *file;
	size_t file_bytes;

	int rc = durable_read(dir_fd, name, record_file_bytes_max(), &file, &file_bytes);
	if (rc)
		return rc == -EFBIG ? -EBADMSG : rc;
	rc = record_open(file, file_bytes, kind, wrapping_key, rec, key, key_bytes);
	free(file);
	if (rc == -EPROTONOSUPPORT) {
		log_error(
			"%s of level %s has a format of a later keyd, or is damaged", name, level);
		rc = -EBADMSG;
	}
	if (!rc && (strcmp(rec->level, level) || strcmp(rec->uuid, uuid))) {
		secret_wipe(key, key_bytes); /* another's file under this name */
		record_clear(rec);
		rc = -EBADMSG;
	}
	return rc;
}

int store_peek_kind(int dir_fd, const char *name, enum record_kind *kind)
{
	uint8_t start[RECORD_PEEK_BYTES];

	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) /* a symbolic link, a socket */
		return errno == ELOOP || errno == ENXIO ? -EBADMSG : -errno;
	ssize_t n = read(fd, start, sizeof(start));
	int rc = n < 0 && errno != EISDIR ? -errno : 0;
	(void)close(fd);
	if (rc)
		return rc;
	return n == sizeof(start) ? record_peek_kind(start, kind) : -EBADMSG;
}

int store_write_statement(
	const struct keystore *ks, int dir_fd, const char *name, const struct record *rec)
{
	uint8_t *file;
	size_t file_bytes;

	int rc = record_seal(rec, ks->root, NULL, 0, &file, &file_bytes);
	if (rc)
		return rc;
	rc = durable_write(dir_fd, name, file, file_bytes);
	free(file);
	return rc;
}

_Static_assert((int)CUSTODY_SEALED_LEVEL_BYTES <= (int)CIPHER_KEY_MAX, "it fits into a record");

size_t store_level_key_bytes(const struct custody *custody)
{
	return custody->levels ? CUSTODY_SEALED_LEVEL_BYTES : WRAP_KEY_BYTES;
}

/* What is kept of the level's key, into kept: secret memory of CIPHER_KEY_MAX bytes. */
static int read_level_record(
	const struct keystore *ks, const char *level, struct record *rec, uint8_t *kept)
{
	int dir_fd = store_open_level_dir(ks, level);
	if (dir_fd < 0)
		return dir_fd;
	int rc = store_read_record(dir_fd, LEVEL_KEY_FILE, RECORD_LEVEL_KEY, ks->root, level, "",
		rec, kept, store_level_key_bytes(ks->custody));
	(void)close(dir_fd);
	return rc;
}

int store_level_key(const struct keystore *ks, const char *level, struct record *rec, uint8_t *key)
{
	const struct custody_levels *levels = ks->custody->levels;

	uint8_t *kept = secret_alloc(CIPHER_KEY_MAX);
	if (!kept)
		return -errno;
	int rc = read_level_record(ks, level, rec, kept);
	if (!rc && levels)
		rc = levels->open(ks->keeper, level, kept, key);
	else if (!rc)
		memcpy(key, kept, WRAP_KEY_BYTES);
	if (rc)
		record_clear(rec);
	secret_free(kept);
	return rc;
}

/* levels/NAME and levels/NAME/volumes, durable and without a key: not a level yet. */
static int make_level_dirs(const struct keystore *ks, const char *name)
{
	int levels_fd = durable_open_dir(ks->dir_fd, LEVELS_DIR);
	if (levels_fd < 0)
		return levels_fd;
	int rc = durable_mkdir(levels_fd, name);
	int dir_fd = rc ? rc : durable_open_dir(levels_fd, name);
	(void)close(levels_fd);
	if (dir_fd < 0)
		return dir_fd;
	rc = durable_mkdir(dir_fd, VOLUMES_DIR);
	(void)close(dir_fd);
	return rc;
}

static int seal_level(
	const struct keystore *ks, int dir_fd, const struct record *rec, const uint8_t *kept)
{
	uint8_t *file = NULL;
	size_t file_bytes;

	int rc = record_seal(
		rec, ks->root, kept, store_level_key_bytes(ks->custody), &file, &file_bytes);
	if (!rc)
		rc = durable_write(dir_fd, LEVEL_KEY_FILE, file, file_bytes);
	free(file);
	return rc;
}

static int write_level_record(
	const struct keystore *ks, const char *level, const struct record *rec, const uint8_t *kept)
{
	int dir_fd = store_open_level_dir(ks, level);
	if (dir_fd < 0)
		return dir_fd;
	int rc = seal_level(ks, dir_fd, rec, kept);
	(void)close(dir_fd);
	return rc;
}

int store_write_level_key(
	const struct keystore *ks, int dir_fd, const struct record *rec, const uint8_t *key)
{
	const struct custody_levels *levels = ks->custody->levels;
	uint8_t sealed[CUSTODY_SEALED_LEVEL_BYTES]; /* no secret */

	int rc = levels ? levels->seal(ks->keeper, rec->level, key, sealed) : 0;
	return rc ? rc : seal_level(ks, dir_fd, rec, levels ? sealed : key);
}

static int write_level_key(
	const struct keystore *ks, const char *level, const struct record *rec, const uint8_t *key)
{
	int dir_fd = store_open_level_dir(ks, level);
	if (dir_fd < 0)
		return dir_fd;
	int rc = store_write_level_key(ks, dir_fd, rec, key);
	(void)close(dir_fd);
	return rc;
}

/* The file may be there although its directory could not be synced: nobody was told of it. */
static void forget_level_key(const struct keystore *ks, const char *level)
{
	int dir_fd = store_open_level_dir(ks, level);
	if (dir_fd < 0)
		return;
	if (durable_erase(dir_fd, LEVEL_KEY_FILE, true))
		log_error("level %s was not created, but its key file may have stayed", level);
	(void)close(dir_fd);
}

static int new_level_key(const struct keystore *ks, struct record *rec)
{
	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	if (!key)
		return -errno;
	int rc = wrap_new_key(key, WRAP_KEY_BYTES);
	if (!rc)
		rc = wrap_fingerprint(key, WRAP_KEY_BYTES, rec->fingerprint);
	if (!rc)
		rc = make_level_dirs(ks, rec->level);
	if (!rc) {
		rc = write_level_key(ks, rec->level, rec, key);
		if (rc)
			forget_level_key(ks, rec->level);
	}
	secret_free(key);
	return rc;
}

int keystore_level_create(struct keystore *ks, const char *name, struct level **level)
{
	int64_t now = clock_wall_seconds();
	struct record rec = {
		.kind = RECORD_LEVEL_KEY,
		.state = RECORD_ACTIVE,
		.created_at = now,
		.changed_at = now,
	};

	if (keystore_level(ks, name))
		return -EEXIST;
	if (ks->level_count >= KEYSTORE_LEVELS_MAX)
		return -ENOSPC;
	int rc = text_copy(rec.level, sizeof(rec.level), name);
	if (!rc)
		rc = new_level_key(ks, &rec);
	if (rc)
		return rc;
	struct level *added = store_add_level(ks, name);
	if (!added) {
		forget_level_key(ks, name);
		return -ENOMEM;
	}
	memcpy(added->fingerprint, rec.fingerprint, sizeof(added->fingerprint));
	added->created_at = now;
	added->state = KEY_ACTIVE;
	*level = added; /* the store owns it */
	return 0;
}

/* The key is carried over as it is kept: suspending must not depend on a token that may be away. */
int keystore_level_set_state(struct keystore *ks, struct level *level, enum key_state state)
{
	struct record rec = {0};

	uint8_t *kept = secret_alloc(CIPHER_KEY_MAX);
	if (!kept)
		return -errno;
	int rc = read_level_record(ks, level->name, &rec, kept);
	if (rc == -EBADMSG || rc == -ENOENT) {
		level->state = KEY_DAMAGED;
		rc = -EBADMSG;
	}
	if (!rc) {
		rec.state = state == KEY_ACTIVE ? RECORD_ACTIVE : RECORD_SUSPENDED;
		rec.changed_at = clock_wall_seconds();
		rc = write_level_record(ks, level->name, &rec, kept);
	}
	if (!rc)
		level->state = state;
	record_clear(&rec);
	secret_free(kept);
	return rc;
}

int store_note_leaky(struct keystore *ks, struct level *level, const struct custody *custody)
{
	struct record rec = {0};

	if (level->leaky || (level->state != KEY_ACTIVE && level->state != KEY_SUSPENDED))
		return 0;
	uint8_t *kept = secret_alloc(CIPHER_KEY_MAX);
	if (!kept)
		return -errno;
	int rc = read_level_record(ks, level->name, &rec, kept);
	if (!rc) {
		free(rec.body);
		rec.body = strdup(custody->name); /* the record owns it */
		rc = rec.body ? write_level_record(ks, level->name, &rec, kept) : -ENOMEM;
	}
	if (!rc)
		level->leaky = custody;
	record_clear(&rec);
	secret_free(kept);
	return rc == -EBADMSG ? 0 : rc; /* a damaged one is of unknown custody anyway */
}

char *store_volume_body(const struct volume *volume)
{
	char *body = NULL;
	int len = volume->served_bytes
			  ? asprintf(&body, "%s\n%" PRIu64, volume->path, volume->served_bytes)
			  : asprintf(&body, "%s", volume->path);

	return len < 0 ? NULL : body;
}

void store_split_body(char *body, uint64_t *served_bytes)
{
	char *line = strchr(body, '\n'); /* no path has one */

	*served_bytes = line ? strtoull(line + 1, NULL, 10) : 0;
	if (line)
		*line = '\0';
}

static bool same_body(const struct volume *volume, const char *body)
{
	char *expected = store_volume_body(volume);
	bool same = expected && body && !strcmp(body, expected);

	free(expected);
	return same;
}

/* Whether the file still says what the index says: it may have been exchanged under us. */
static bool same_volume(const struct volume *volume, const struct record *rec)
{
	return volume->cipher && same_body(volume, rec->body) &&
	       !strcmp(rec->cipher, volume->cipher->name) &&
	       !strcmp(rec->fingerprint, volume->fingerprint) &&
	       rec->sector_bytes == volume->sector_bytes && rec->size_bytes == volume->size_bytes &&
	       rec->data_offset_bytes == volume->data_offset_bytes;
}

int store_volume_key(const struct keystore *ks, const struct volume *volume,
	const uint8_t *level_key, uint8_t *key)
{
	char name[STORE_NAME_BYTES], fingerprint[FINGERPRINT_BYTES];
	struct record rec = {0};

	if (!volume->cipher)
		return -EBADMSG;
	int dir_fd = store_open_volumes_dir(ks, volume->level->name);
	if (dir_fd < 0)
		return dir_fd;
	store_volume_file(name, volume->uuid, VOLUME_KEY_SUFFIX);
	int rc = store_read_record(dir_fd, name, RECORD_VOLUME_KEY, level_key, volume->level->name,
		volume->uuid, &rec, key, volume->cipher->key_bytes);
	if (!rc)
		rc = wrap_fingerprint(key, volume->cipher->key_bytes, fingerprint);
	if (!rc && (!same_volume(volume, &rec) || strcmp(fingerprint, rec.fingerprint)))
		rc = -EBADMSG;
	record_clear(&rec);
	(void)close(dir_fd);
	return rc;
}

int keystore_volume_key(struct keystore *ks, struct volume *volume, uint8_t *key)
{
	struct record level_rec = {0};

	uint8_t *level_key = secret_alloc(WRAP_KEY_BYTES);
	if (!level_key)
		return -errno;
	int rc = store_level_key(ks, volume->level->name, &level_rec, level_key);
	if (!rc)
		rc = store_volume_key(ks, volume, level_key, key);
	if (rc == -EBADMSG || rc == -ENOENT) {
		volume->state = KEY_DAMAGED;
		rc = -EBADMSG;
	}
	if (rc)
		secret_wipe(key, CIPHER_KEY_MAX);
	record_clear(&level_rec);
	secret_free(level_key);
	return rc;
}

/* A volume that belongs to no index yet. */
static struct volume *new_volume(struct level *level, const struct volume_spec *spec)
{
	struct volume *volume = calloc(1, sizeof(*volume));
	if (!volume)
		return NULL;
	*volume = (struct volume){
		.level = level,
		.state = KEY_ACTIVE,
		.path = strdup(spec->path),
		.cipher = spec->cipher,
		.sector_bytes = spec->sector_bytes,
		.size_bytes = spec->size_bytes,
		.created_at = clock_wall_seconds(),
	};
	if (!volume->path || text_new_uuid(volume->uuid)) {
		store_free_volume(volume);
		return NULL;
	}
	return volume;
}

int store_seal_volume(const struct volume *volume, int64_t changed_at, const uint8_t *level_key,
	const uint8_t *key, uint8_t **file, size_t *file_bytes)
{
	struct record rec = {
		.kind = RECORD_VOLUME_KEY,
		.state = RECORD_ACTIVE,
		.created_at = volume->created_at,
		.changed_at = changed_at,
		.sector_bytes = volume->sector_bytes,
		.data_offset_bytes = volume->data_offset_bytes,
		.size_bytes = volume->size_bytes,
		.body = store_volume_body(volume),
	};

	if (!rec.body)
		return -ENOMEM;
	memcpy(rec.fingerprint, volume->fingerprint, sizeof(rec.fingerprint));
	int rc = text_copy(rec.level, sizeof(rec.level), volume->level->name);
	if (!rc)
		rc = text_copy(rec.uuid, sizeof(rec.uuid), volume->uuid);
	if (!rc)
		rc = text_copy(rec.cipher, sizeof(rec.cipher), volume->cipher->name);
	if (!rc)
		rc = record_seal(&rec, level_key, key, volume->cipher->key_bytes, file, file_bytes);
	record_clear(&rec);
	return rc;
}

/* Makes key and header, and seals the key: after this no plaintext key is left. */
static int make_volume(
	struct volume_draft *draft, const uint8_t *level_key, uint8_t key[CIPHER_KEY_MAX])
{
	struct volume *volume = draft->volume;
	const struct luks_format fmt = {
		.uuid = volume->uuid,
		.level = volume->level->name,
		.cipher = volume->cipher,
		.sector_bytes = volume->sector_bytes,
	};

	int rc = wrap_new_key(key, volume->cipher->key_bytes);
	if (!rc)
		rc = wrap_fingerprint(key, volume->cipher->key_bytes, volume->fingerprint);
	if (!rc)
		rc = luks_format(&fmt, key, &draft->header_fd, &volume->data_offset_bytes);
	if (!rc)
		rc = store_seal_volume(volume, volume->created_at, level_key, key, &draft->sealed,
			&draft->sealed_bytes);
	return rc;
}

int keystore_volume_prepare(struct keystore *ks, struct level *level,
	const struct volume_spec *spec, struct volume_draft *draft)
{
	struct record level_rec = {0};
	uint8_t *level_key = NULL, *key = NULL;
	int rc = -ENOMEM;

	*draft = (struct volume_draft){.header_fd = -1};
	draft->volume = new_volume(level, spec);
	if (!draft->volume)
		goto out;
	level_key = secret_alloc(WRAP_KEY_BYTES);
	key = level_key ? secret_alloc(CIPHER_KEY_MAX) : NULL;
	if (!key) {
		rc = -errno;
		goto out;
	}
	rc = store_level_key(ks, level->name, &level_rec, level_key);
	if (rc == -EBADMSG || rc == -ENOENT) {
		level->state = KEY_DAMAGED;
		rc = -EBADMSG;
	}
	if (!rc)
		rc = make_volume(draft, level_key, key);
out:
	record_clear(&level_rec);
	secret_free(key);
	secret_free(level_key);
	if (rc)
		keystore_volume_discard(draft);
	return rc;
}

static int write_volume(const struct keystore *ks, const struct volume_draft *draft)
{
	char name[STORE_NAME_BYTES];

	int dir_fd = store_open_volumes_dir(ks, draft->volume->level->name);
	if (dir_fd < 0)
		return dir_fd;
	store_volume_file(name, draft->volume->uuid, VOLUME_KEY_SUFFIX);
	int rc = durable_write(dir_fd, name, draft->sealed, draft->sealed_bytes);
	if (rc && durable_erase(dir_fd, name, true))
		log_error("volume %s was not created, but its key file may have stayed",
			draft->volume->uuid);
	(void)close(dir_fd);
	return rc;
}

int keystore_volume_commit(struct keystore *ks, struct volume_draft *draft, struct volume **volume)
{
	struct level *level = draft->volume->level;

	if (level->state != KEY_ACTIVE)
		return -EACCES;
	struct volume *added = store_add_volume(level, draft->volume->uuid);
	if (!added)
		return -ENOMEM;
	int rc = write_volume(ks, draft);
	if (rc) {
		level->volume_count--; /* it was the last */
		store_free_volume(added);
		return rc;
	}
	free(added->path);
	*added = *draft->volume;
	draft->volume->path = NULL; /* the store's volume owns it */
	*volume = added;
	keystore_volume_discard(draft);
	return 0;
}

void keystore_volume_discard(struct volume_draft *draft)
{
	store_free_volume(draft->volume);
	free(draft->sealed);
	if (draft->header_fd >= 0)
		(void)close(draft->header_fd);
	*draft = (struct volume_draft){.header_fd = -1};
}
