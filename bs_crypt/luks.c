/* SPDX-License-Identifier: GPL-2.0-or-later WITH tgt-crypt-openssl-exception */
#include "luks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libcryptsetup.h>

struct luks {
	struct crypt_device *device;
	struct luks_segment segment;
};

/* The library's words go nowhere: every failure is told by the caller, in one line. */
static void drop_log(int level, const char *message, void *data)
{
	(void)level;
	(void)message;
	(void)data;
}

static int read_segment(struct crypt_device *device, struct luks_segment *segment)
{
	struct crypt_params_integrity integrity = {0};
	const char *uuid = crypt_get_uuid(device);
	const char *cipher = crypt_get_cipher(device);
	const char *mode = crypt_get_cipher_mode(device);

	if (!uuid || !cipher || !mode)
		return -EINVAL;
	if (!crypt_get_integrity_info(device, &integrity) && integrity.integrity)
		return -EINVAL;
	if (crypt_get_iv_offset(device))
		return -EINVAL;

	int n = snprintf(segment->cipher, sizeof(segment->cipher), "%s-%s", cipher, mode);
	if (n < 0 || (size_t)n >= sizeof(segment->cipher))
		return -EINVAL;
	if (strlen(uuid) >= sizeof(segment->uuid))
		return -EINVAL;
	memcpy(segment->uuid, uuid, strlen(uuid) + 1);
	segment->sector_bytes = (uint32_t)crypt_get_sector_size(device);
	segment->data_offset_bytes = crypt_get_data_offset(device) * 512;
	return 0;
}

int luks_read(int fd, struct luks **luks)
{
	char path[32];
	struct luks *l = calloc(1, sizeof(*l));
	int rc = l ? 0 : -ENOMEM;

	/* The volume is ours alone by store.h's lock; waiting for another's flock has no bound. */
	(void)crypt_metadata_locking(NULL, 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!rc)
		rc = crypt_init(&l->device, path);
	if (!rc) {
		crypt_set_log_callback(l->device, drop_log, NULL);
		rc = crypt_load(l->device, CRYPT_LUKS2, NULL);
	}
	if (!rc)
		rc = read_segment(l->device, &l->segment);
	if (rc) {
		luks_free(l);
		return rc;
	}
	*luks = l;
	return 0;
}

const struct luks_segment *luks_segment(const struct luks *luks)
{
	return &luks->segment;
}

int luks_verify_key(struct luks *luks, const uint8_t *key, size_t key_bytes)
{
	int rc = crypt_volume_key_verify(luks->device, (const char *)key, key_bytes);

	return rc < 0 ? rc : 0;
}

void luks_free(struct luks *luks)
{
	if (!luks)
		return;
	if (luks->device)
		crypt_free(luks->device);
	free(luks);
}
