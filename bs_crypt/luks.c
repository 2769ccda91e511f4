/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "luks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libcryptsetup.h>

enum {
	DIGEST_ITERATIONS_MAX = 10000,
	CHUNK_BYTES = 1024 * 1024,
	ALIGN_BYTES = 4096, /* as direct I/O may demand */
};

static const uint64_t copy_bytes =
	UINT64_C(16) * 1024; /* of the header; the second follows the first */

struct luks {
	struct crypt_device *device;
	struct luks_segment segment;
	uint32_t flags; /* CRYPT_ACTIVATE_…, kept in the header */
};

/* The library's words go nowhere: every failure is told by the caller, in one line. */
static void drop_log(int level, const char *message, void *data)
{
	(void)level;
	(void)message;
	(void)data;
}

static bool says(struct json_object *object, const char *member, const char *expected)
{
	struct json_object *value;

	return json_object_object_get_ex(object, member, &value) &&
	       json_object_is_type(value, json_type_string) &&
	       !strcmp(json_object_get_string(value), expected);
}

/* One plain crypt segment to the end of the store, and nothing that the library would not tell. */
static bool one_plain_segment(struct json_object *header)
{
	struct json_object *segments, *segment, *integrity;

	return json_object_object_get_ex(header, "segments", &segments) &&
	       json_object_object_length(segments) == 1 &&
	       json_object_object_get_ex(segments, "0", &segment) &&
	       says(segment, "type", "crypt") && says(segment, "size", "dynamic") &&
	       says(segment, "iv_tweak", "0") &&
	       !json_object_object_get_ex(segment, "integrity", &integrity);
}

/* keyd makes digests of 1000 iterations. More would only hold up who checks a key. */
static bool one_quick_digest(struct json_object *header)
{
	struct json_object *digests, *digest, *iterations;

	return json_object_object_get_ex(header, "digests", &digests) &&
	       json_object_object_length(digests) == 1 &&
	       json_object_object_get_ex(digests, "0", &digest) && says(digest, "type", "pbkdf2") &&
	       json_object_object_get_ex(digest, "iterations", &iterations) &&
	       json_object_get_int64(iterations) <= DIGEST_ITERATIONS_MAX;
}

static int check_shape(struct crypt_device *device)
{
	const char *text;
	int rc = crypt_dump_json(device, &text, 0);
	struct json_object *header = rc ? NULL : json_tokener_parse(text);

	if (!rc && (!one_plain_segment(header) || !one_quick_digest(header)))
		rc = -EKEYREJECTED;
	json_object_put(header);
	return rc;
}

static int read_segment(struct crypt_device *device, struct luks_segment *segment)
{
	const char *uuid = crypt_get_uuid(device);
	const char *cipher = crypt_get_cipher(device);
	const char *mode = crypt_get_cipher_mode(device);

	if (!uuid || !cipher || !mode)
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
		rc = check_shape(l->device);
	if (!rc)
		rc = read_segment(l->device, &l->segment);
	if (!rc)
		rc = crypt_persistent_flags_get(l->device, CRYPT_FLAGS_ACTIVATION, &l->flags);
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

bool luks_discards(const struct luks *luks)
{
	return luks->flags & CRYPT_ACTIVATE_ALLOW_DISCARDS;
}

int luks_set_discards(struct luks *luks)
{
	uint32_t flags = luks->flags | CRYPT_ACTIVATE_ALLOW_DISCARDS;
	int rc = crypt_persistent_flags_set(luks->device, CRYPT_FLAGS_ACTIVATION, flags);

	if (!rc)
		luks->flags = flags;
	return rc;
}

/* Bytes from to end of header_fd, to the same place of the store. */
static int copy_part(struct store *store, int header_fd, uint64_t from, uint64_t end, void *chunk)
{
	int rc = 0;

	for (size_t n; from < end && !rc; from += n) {
		n = end - from < CHUNK_BYTES ? (size_t)(end - from) : CHUNK_BYTES;
		ssize_t got = pread(header_fd, chunk, n, (off_t)from);
		rc = got == (ssize_t)n ? store_write(store, chunk, n, from, false)
		     : got < 0         ? -errno
				       : -ENODATA;
	}
	return rc ? rc : store_flush(store);
}

int luks_write(struct store *store, int header_fd, uint64_t header_bytes)
{
	void *chunk;

	if (header_bytes < 2 * copy_bytes)
		return -EINVAL;
	if (posix_memalign(&chunk, ALIGN_BYTES, CHUNK_BYTES))
		return -ENOMEM;
	int rc = copy_part(store, header_fd, copy_bytes, 2 * copy_bytes, chunk);
	if (!rc)
		rc = copy_part(store, header_fd, 0, copy_bytes, chunk);
	if (!rc)
		rc = copy_part(store, header_fd, 2 * copy_bytes, header_bytes, chunk);
	free(chunk);
	return rc;
}

void luks_free(struct luks *luks)
{
	if (!luks)
		return;
	if (luks->device)
		crypt_free(luks->device);
	free(luks);
}
