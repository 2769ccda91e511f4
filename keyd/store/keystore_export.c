/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Keys out of the store, into the secret memory of a package. */
#include <errno.h>
#include <string.h>

#include "keystore_backup.h"
#include "keystore_private.h"
#include "secret.h"
#include "text.h"

static bool is_exported(const struct volume *volume)
{
	return volume->state != KEY_DESTROYED && volume->state != KEY_DESTROYING &&
	       volume->state != KEY_SANITIZING;
}

size_t keystore_export_volumes(const struct level *level, size_t *path_bytes)
{
	size_t count = 0;

	*path_bytes = 0;
	for (size_t i = 0; i < level->volume_count; i++) {
		if (!is_exported(level->volumes[i]))
			continue;
		*path_bytes += strlen(level->volumes[i]->path);
		count++;
	}
	return count;
}

static int add_volume(struct keystore *ks, struct volume *volume, const uint8_t *level_key,
	uint8_t *key, struct package_writer *w)
{
	struct package_volume p = {
		.cipher = volume->cipher,
		.sector_bytes = volume->sector_bytes,
		.data_offset_bytes = volume->data_offset_bytes,
		/* What nobody serves yet may be more than there is, and could not be taken back there. */
		.size_bytes = volume->served_bytes ? volume->served_bytes : volume->size_bytes,
		.created_at = volume->created_at,
		.key = key,
	};

	memcpy(p.uuid, volume->uuid, sizeof(p.uuid));
	memcpy(p.fingerprint, volume->fingerprint, sizeof(p.fingerprint));
	int rc = text_copy(p.path, sizeof(p.path), volume->path);
	if (!rc)
		rc = store_volume_key(ks, volume, level_key, key);
	if (rc == -EBADMSG || rc == -ENOENT) {
		volume->state = KEY_DAMAGED;
		rc = -EBADMSG;
	}
	return rc ? rc : package_add_volume(w, &p);
}

static int add_volumes(struct keystore *ks, struct level *level, const uint8_t *level_key,
	struct package_writer *w, const struct volume **bad)
{
	int rc = 0;

	uint8_t *key = secret_alloc(CIPHER_KEY_MAX);
	if (!key)
		return -errno;
	for (size_t i = 0; !rc && i < level->volume_count; i++) {
		struct volume *volume = level->volumes[i];
		if (!is_exported(volume))
			continue;
		rc = add_volume(ks, volume, level_key, key, w);
		if (rc == -EBADMSG)
			*bad = volume;
	}
	secret_free(key);
	return rc;
}

int keystore_export_level(struct keystore *ks, struct level *level, struct package_writer *w,
	const struct volume **bad)
{
	struct package_level p = {
		.state = level->state == KEY_SUSPENDED ? RECORD_SUSPENDED : RECORD_ACTIVE,
		.created_at = level->created_at,
	};
	struct record rec = {0};
	size_t path_bytes;

	*bad = NULL;
	uint8_t *level_key = secret_alloc(WRAP_KEY_BYTES);
	if (!level_key)
		return -errno;
	memcpy(p.name, level->name, sizeof(p.name));
	p.volumes = (uint32_t)keystore_export_volumes(level, &path_bytes);
	p.key = level_key;
	int rc = store_level_key(ks, level->name, &rec, level_key);
	if (!rc) /* of the key itself: whoever reads the package compares it */
		rc = wrap_fingerprint(level_key, WRAP_KEY_BYTES, p.fingerprint);
	if (rc == -ENOENT || (!rc && strcmp(p.fingerprint, level->fingerprint)))
		rc = -EBADMSG;
	if (rc == -EBADMSG)
		level->state = KEY_DAMAGED;
	if (!rc)
		rc = package_add_level(w, &p);
	if (!rc)
		rc = add_volumes(ks, level, level_key, w, bad);
	record_clear(&rec);
	secret_free(level_key);
	return rc;
}
