/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A volume with another size or path, or one that is served now: its key is sealed anew together with that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "keystore_private.h"
#include "log.h"
#include "secret.h"

static int write_volume(const struct keystore *ks, const struct volume *volume,
	const uint8_t *level_key, const uint8_t *key)
{
	char name[STORE_NAME_BYTES];
	uint8_t *file;
	size_t file_bytes;

	int rc =
		store_seal_volume(volume, clock_wall_seconds(), level_key, key, &file, &file_bytes);
	if (rc)
		return rc;
	int dir_fd = store_open_volumes_dir(ks, volume->level->name);
	store_volume_file(name, volume->uuid, VOLUME_KEY_SUFFIX);
	rc = dir_fd < 0 ? dir_fd : durable_write(dir_fd, name, file, file_bytes);
	if (dir_fd >= 0)
		(void)close(dir_fd);
	free(file);
	return rc;
}

/* What is to change in a record. */
struct change {
	uint64_t size_bytes, served_bytes;
	char *path;
};

/* The new into the index, the old into change. */
static void exchange(struct volume *volume, struct change *change)
{
	const struct change old = {volume->size_bytes, volume->served_bytes, volume->path};

	volume->size_bytes = change->size_bytes;
	volume->served_bytes = change->served_bytes < change->size_bytes ? change->served_bytes : 0;
	volume->path = change->path; /* the volume owns it, and change the old one */
	*change = old;
}

/* After a write that failed the file may say either; the index follows it, or the key would count as exchanged. */
static void follow_file(const struct keystore *ks, struct volume *volume, struct change *old,
	const uint8_t *level_key, uint8_t *key)
{
	if (store_volume_key(ks, volume, level_key, key))
		exchange(volume, old);
	else
		log_warning("volume %s: the new record is stored, but perhaps not durably",
			volume->uuid);
}

static int seal_anew(const struct keystore *ks, struct volume *volume, struct change *change,
	const uint8_t *level_key, uint8_t *key)
{
	int rc = store_volume_key(ks, volume, level_key, key);
	if (rc)
		return rc;
	exchange(volume, change);
	rc = write_volume(ks, volume, level_key, key);
	if (rc)
		follow_file(ks, volume, change, level_key, key);
	return rc == -EBADMSG ? -EIO : rc;
}

static int change_record(struct keystore *ks, struct volume *volume, struct change *change)
{
	struct record level_rec = {0};
	int rc = -ENOMEM;

	uint8_t *level_key = secret_alloc(WRAP_KEY_BYTES);
	uint8_t *key = level_key ? secret_alloc(CIPHER_KEY_MAX) : NULL;
	if (key)
		rc = store_level_key(ks, volume->level->name, &level_rec, level_key);
	if (key && !rc)
		rc = seal_anew(ks, volume, change, level_key, key);
	if (rc == -EBADMSG || rc == -ENOENT) {
		volume->state = KEY_DAMAGED;
		rc = -EBADMSG;
	}
	record_clear(&level_rec);
	secret_free(key);
	secret_free(level_key);
	return rc;
}

int keystore_volume_resize(struct keystore *ks, struct volume *volume, uint64_t size_bytes)
{
	uint64_t served_bytes = volume->served_bytes ? volume->served_bytes : volume->size_bytes;
	struct change change = {size_bytes, served_bytes, volume->path};

	return change_record(ks, volume, &change);
}

int keystore_volume_note_served(struct keystore *ks, struct volume *volume, uint64_t served_bytes)
{
	struct change change = {volume->size_bytes, served_bytes, volume->path};

	if (!volume->served_bytes || served_bytes <= volume->served_bytes)
		return 0;
	return change_record(ks, volume, &change);
}

int keystore_volume_relocate(struct keystore *ks, struct volume *volume, const char *path)
{
	struct change change = {volume->size_bytes, volume->served_bytes, strdup(path)};

	int rc = change.path ? change_record(ks, volume, &change) : -ENOMEM;
	free(change.path); /* whichever is not the volume's */
	return rc;
}
