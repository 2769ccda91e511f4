/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Another key for a volume that is there, and the LUKS2 header that belongs to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "keystore_private.h"
#include "luks_format.h"
#include "secret.h"

static void free_header(struct volume_header *header)
{
	if (!header)
		return;
	(void)close(header->fd);
	free(header);
}

/* -EBADMSG: the data does not start where this header ends, and it would be written over it. */
static int make_header(
	const struct volume *volume, const uint8_t *key, struct volume_header **header)
{
	const struct luks_format fmt = {
		.uuid = volume->uuid,
		.level = volume->level->name,
		.cipher = volume->cipher,
		.sector_bytes = volume->sector_bytes,
	};
	uint64_t data_offset_bytes;

	struct volume_header *made = malloc(sizeof(*made));
	if (!made)
		return -ENOMEM;
	int rc = luks_format(&fmt, key, &made->fd, &data_offset_bytes);
	if (rc) {
		free(made);
		return rc;
	}
	if (data_offset_bytes != volume->data_offset_bytes) {
		free_header(made);
		return -EBADMSG;
	}
	*header = made; /* caller owns it */
	return 0;
}

/* Makes key and header, and seals the key: after this no plaintext key is left. */
static int make_renewal(const struct volume *volume, const uint8_t *level_key,
	uint8_t key[CIPHER_KEY_MAX], struct volume_renewal *renewal)
{
	struct volume renewed = *volume; /* borrows what volume owns */

	int rc = wrap_new_key(key, volume->cipher->key_bytes);
	if (!rc)
		rc = wrap_fingerprint(key, volume->cipher->key_bytes, renewed.fingerprint);
	if (!rc)
		rc = make_header(volume, key, &renewal->header);
	if (!rc)
		rc = store_seal_volume(&renewed, clock_wall_seconds(), level_key, key,
			&renewal->sealed, &renewal->sealed_bytes);
	if (!rc)
		memcpy(renewal->fingerprint, renewed.fingerprint, sizeof(renewal->fingerprint));
	return rc;
}

int keystore_renewal_prepare(
	struct keystore *ks, struct volume *volume, struct volume_renewal *renewal)
{
	struct record level_rec = {0};

	*renewal = (struct volume_renewal){0};
	if (!volume->cipher)
		return -EBADMSG;
	uint8_t *level_key = secret_alloc(WRAP_KEY_BYTES);
	uint8_t *key = level_key ? secret_alloc(CIPHER_KEY_MAX) : NULL;
	int rc = key ? 0 : -errno;
	if (!rc)
		rc = store_level_key(ks, volume->level->name, &level_rec, level_key);
	if (rc == -ENOENT)
		rc = -EBADMSG;
	if (!rc)
		rc = make_renewal(volume, level_key, key, renewal);
	record_clear(&level_rec);
	secret_free(key);
	secret_free(level_key);
	if (rc)
		keystore_renewal_discard(renewal);
	return rc;
}

int keystore_renewal_commit(
	const struct keystore *ks, struct volume *volume, struct volume_renewal *renewal)
{
	char name[STORE_NAME_BYTES];

	int dir_fd = store_open_volumes_dir(ks, volume->level->name);
	if (dir_fd < 0)
		return dir_fd;
	store_volume_file(name, volume->uuid, VOLUME_KEY_SUFFIX);
	int rc = durable_write(dir_fd, name, renewal->sealed, renewal->sealed_bytes);
	(void)close(dir_fd);
	if (rc)
		return rc;
	memcpy(volume->fingerprint, renewal->fingerprint, sizeof(volume->fingerprint));
	keystore_forget_header(volume);
	volume->header = renewal->header;
	renewal->header = NULL; /* the volume owns it */
	volume->header_due = true;
	return 0;
}

void keystore_renewal_discard(struct volume_renewal *renewal)
{
	free_header(renewal->header);
	free(renewal->sealed);
	*renewal = (struct volume_renewal){0};
}

int keystore_volume_header(struct volume *volume, const uint8_t *key, int *fd)
{
	int rc = volume->header ? 0 : make_header(volume, key, &volume->header);

	if (!rc)
		*fd = volume->header->fd;
	return rc;
}

void keystore_forget_header(struct volume *volume)
{
	free_header(volume->header);
	volume->header = NULL;
	volume->header_due = false;
}
