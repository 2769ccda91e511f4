/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A volume with another size, or one that is served now: its key is sealed anew together with that. */
#include <errno.h>
#include <stdlib.h>
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

/* Of a volume's record. */
struct sizes {
	uint64_t size_bytes, served_bytes;
};

static void set_sizes(struct volume *volume, const struct sizes *sizes)
{
	volume->size_bytes = sizes->size_bytes;
	volume->served_bytes = sizes->served_bytes < sizes->size_bytes ? sizes->served_bytes : 0;
}

/* After a write that failed the file may say either; the index follows it, or the key would count as exchanged. */
static void follow_file(const struct keystore *ks, struct volume *volume, const struct sizes *old,
	const uint8_t *level_key, uint8_t *key)
{
	if (store_volume_key(ks, volume, level_key, key))
		set_sizes(volume, old);
	else
		log_warning(
			"volume %s: the new size is stored, but perhaps not durably", volume->uuid);
}

static int seal_anew(const struct keystore *ks, struct volume *volume, const struct sizes *sizes,
	const uint8_t *level_key, uint8_t *key)
{
	const struct sizes old = {volume->size_bytes, volume->served_bytes};

	int rc = store_volume_key(ks, volume, level_key, key);
	if (rc)
		return rc;
	set_sizes(volume, sizes);
	rc = write_volume(ks, volume, level_key, key);
	if (rc)
		follow_file(ks, volume, &old, level_key, key);
	return rc == -EBADMSG ? -EIO : rc;
}

static int record_sizes(struct keystore *ks, struct volume *volume, const struct sizes *sizes)
{
	struct record level_rec = {0};
	int rc = -ENOMEM;

	uint8_t *level_key = secret_alloc(WRAP_KEY_BYTES);
	uint8_t *key = level_key ? secret_alloc(CIPHER_KEY_MAX) : NULL;
	if (key)
		rc = store_level_key(ks, volume->level->name, &level_rec, level_key);
	if (key && !rc)
		rc = seal_anew(ks, volume, sizes, level_key, key);
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
	const struct sizes sizes = {
		.size_bytes = size_bytes,
		.served_bytes = volume->served_bytes ? volume->served_bytes : volume->size_bytes,
	};

	return record_sizes(ks, volume, &sizes);
}

int keystore_volume_note_served(struct keystore *ks, struct volume *volume, uint64_t served_bytes)
{
	const struct sizes sizes = {volume->size_bytes, served_bytes};

	if (!volume->served_bytes || served_bytes <= volume->served_bytes)
		return 0;
	return record_sizes(ks, volume, &sizes);
}
