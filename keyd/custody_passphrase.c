/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The root key wrapped under a key that Argon2id (RFC 9106) makes from a passphrase. */
#include "custody.h"

#include <argon2.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "clock.h"
#include "durable.h"
#include "secret.h"

static const char magic[16] = "TGTKEYD pass v1"; /* the version is part of it */

enum {
	SALT_BYTES = 16,
	PASSPHRASE_BYTES_MIN = 8,

	/* What a new store gets: so much memory, and passes that together take about a second. */
	MEMORY_KIB = 256 * 1024,
	TARGET_MS = 1000,
	PASSES_MIN = 3,
	LANES = 1, /* keyd has one thread */

	/* What a file may ask for. */
	PASSES_MAX = 64,
	MEMORY_KIB_MIN = 8 * 1024,
	MEMORY_KIB_MAX = 4 * 1024 * 1024,
};

/* As on the medium, little-endian. */
struct root_file {
	char magic[16];
	uint32_t passes;
	uint32_t memory_kib;
	uint8_t salt[SALT_BYTES];
	uint8_t sealed[ROOT_KEY_BYTES + WRAP_OVERHEAD_BYTES]; /* all before is associated data */
	uint8_t digest
		[SHA256_DIGEST_LENGTH]; /* of all bytes before: tells damage from a wrong word */
};
_Static_assert(sizeof(struct root_file) == 132, "the file format has no padding");

static int digest_of(const struct root_file *f, uint8_t digest[SHA256_DIGEST_LENGTH])
{
	const uint8_t *bytes = (const uint8_t *)f;
	return SHA256(bytes, offsetof(struct root_file, digest), digest) ? 0 : -EIO;
}

/* Argon2's memory ends in what the key is made of: locked and wiped as a key is. */
static int lock_memory(uint8_t **memory, size_t bytes)
{
	*memory = secret_alloc(bytes);
	return *memory ? ARGON2_OK : ARGON2_MEMORY_ALLOCATION_ERROR;
}

static void free_memory(uint8_t *memory, size_t bytes)
{
	(void)bytes;
	secret_free(memory);
}

static int stretch(const struct proto_passphrase *passphrase, const uint8_t salt[SALT_BYTES],
	uint32_t passes, uint32_t memory_kib, uint8_t key[WRAP_KEY_BYTES])
{
	argon2_context ctx = {
		.out = key,
		.outlen = WRAP_KEY_BYTES,
		.pwd = (uint8_t *)(uintptr_t)passphrase->bytes, /* read only: no CLEAR flag */
		.pwdlen = passphrase->len_bytes,
		.salt = (uint8_t *)(uintptr_t)salt,
		.saltlen = SALT_BYTES,
		.t_cost = passes,
		.m_cost = memory_kib,
		.lanes = LANES,
		.threads = LANES,
		.version = ARGON2_VERSION_13,
		.allocate_cbk = lock_memory,
		.free_cbk = free_memory,
		.flags = ARGON2_DEFAULT_FLAGS,
	};

	switch (argon2id_ctx(&ctx)) {
	case ARGON2_OK:
		return 0;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* How many passes take TARGET_MS on this machine. key is overwritten. */
static int calibrate(const struct proto_passphrase *passphrase, struct root_file *f, uint8_t *key)
{
	int64_t began_ms = clock_now_ms();
	int rc = stretch(passphrase, f->salt, PASSES_MIN, MEMORY_KIB, key);
	int64_t took_ms = clock_now_ms() - began_ms;

	int64_t passes = took_ms > 0 ? PASSES_MIN * (int64_t)TARGET_MS / took_ms : PASSES_MAX;
	if (passes < PASSES_MIN)
		passes = PASSES_MIN;
	if (passes > PASSES_MAX)
		passes = PASSES_MAX;
	f->passes = htole32((uint32_t)passes);
	f->memory_kib = htole32(MEMORY_KIB);
	return rc;
}

static bool plausible(const struct root_file *f)
{
	uint32_t passes = le32toh(f->passes), memory_kib = le32toh(f->memory_kib);

	return !memcmp(f->magic, magic, sizeof(magic)) && passes && passes <= PASSES_MAX &&
	       memory_kib >= MEMORY_KIB_MIN && memory_kib <= MEMORY_KIB_MAX;
}

static int stretch_for(
	const struct proto_passphrase *passphrase, const struct root_file *f, uint8_t *key)
{
	return stretch(passphrase, f->salt, le32toh(f->passes), le32toh(f->memory_kib), key);
}

static bool passphrase_needs_passphrase(const struct custody_place *place)
{
	(void)place;
	return true;
}

static int passphrase_create(const struct custody_place *place,
	const struct proto_passphrase *passphrase, uint8_t root[ROOT_KEY_BYTES],
	struct custody_keeper **keeper)
{
	char name[CUSTODY_FILE_NAME_BYTES];
	struct root_file f = {0};

	*keeper = NULL;
	if (!passphrase || passphrase->len_bytes < PASSPHRASE_BYTES_MIN)
		return -EKEYREJECTED;
	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	if (!key)
		return -errno;
	custody_file_name(&custody_passphrase, place, name);
	memcpy(f.magic, magic, sizeof(magic));
	int rc = wrap_new_key(f.salt, sizeof(f.salt));
	if (!rc)
		rc = calibrate(passphrase, &f, key);
	if (!rc)
		rc = stretch_for(passphrase, &f, key);
	if (!rc)
		rc = wrap_new_key(root, ROOT_KEY_BYTES);
	if (!rc)
		rc = wrap_seal(key, &f, offsetof(struct root_file, sealed), root, ROOT_KEY_BYTES,
			f.sealed);
	if (!rc)
		rc = digest_of(&f, f.digest);
	if (!rc)
		rc = durable_write(place->dir_fd, name, &f, sizeof(f));
	secret_free(key);
	return rc;
}

static int read_file(const struct custody_place *place, struct root_file *f)
{
	char name[CUSTODY_FILE_NAME_BYTES];
	uint8_t digest[SHA256_DIGEST_LENGTH], *data;
	size_t len_bytes;

	custody_file_name(&custody_passphrase, place, name);
	int rc = durable_read(place->dir_fd, name, sizeof(*f), &data, &len_bytes);
	if (rc)
		return rc == -EFBIG ? -EBADMSG : rc;
	if (len_bytes == sizeof(*f))
		memcpy(f, data, sizeof(*f));
	else
		rc = -EBADMSG;
	free(data);
	if (!rc)
		rc = digest_of(f, digest);
	if (!rc && (memcmp(f->digest, digest, sizeof(digest)) || !plausible(f)))
		rc = -EBADMSG;
	return rc;
}

static int passphrase_load(const struct custody_place *place,
	const struct proto_passphrase *passphrase, uint8_t root[ROOT_KEY_BYTES],
	struct custody_keeper **keeper)
{
	struct root_file f;

	*keeper = NULL;
	int rc = read_file(place, &f);
	if (rc)
		return rc;
	if (!passphrase || !passphrase->len_bytes)
		return -EKEYREJECTED;
	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	if (!key)
		return -errno;
	rc = stretch_for(passphrase, &f, key);
	if (!rc)
		rc = wrap_open(key, &f, offsetof(struct root_file, sealed), f.sealed,
			sizeof(f.sealed), root);
	secret_free(key);
	return rc == -EBADMSG ? -EKEYREJECTED : rc;
}

static int passphrase_erase(const struct custody_place *place)
{
	return custody_erase_file(&custody_passphrase, place);
}

const struct custody custody_passphrase = {
	.name = "passphrase",
	.file = "root.passphrase",
	.erase_class = "clear",
	.erase_class_reason =
		"copies of the wrapped keys that flash, journals or snapshots kept can still be "
		"opened by who knows the passphrase",
	.needs_passphrase = passphrase_needs_passphrase,
	.create = passphrase_create,
	.load = passphrase_load,
	.erase = passphrase_erase,
};
