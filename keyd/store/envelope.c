/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "envelope.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "export_kind.h"
#include "package.h"
#include "secret.h"
#include "stretch.h"
#include "wrap.h"

/* Earlier keyds sealed the package with wrap_open_old()'s form. */
static const char magic[EXPORT_MAGIC_BYTES] = EXPORT_MAGIC_SEALED "2";
static const char old_magic[EXPORT_MAGIC_BYTES] = EXPORT_MAGIC_SEALED "1";

enum {
	/* What a file may ask for: keyd does nothing else meanwhile. */
	PASSES_MAX = 8,
	MEMORY_KIB_MAX = 256 * 1024,
};

/* As in the file, little-endian; then the sealed package and the digest of all before. */
struct head {
	char magic[EXPORT_MAGIC_BYTES];
	uint32_t passes;
	uint32_t memory_kib;
	uint8_t salt[STRETCH_SALT_BYTES];
	char id[LEDGER_ID_BYTES];
};
_Static_assert(sizeof(struct head) == 64, "the file format has no padding");
_Static_assert(offsetof(struct head, id) == EXPORT_SEALED_ID_AT, "as keyadm reads it");

enum { HEAD_AND_DIGEST_BYTES = sizeof(struct head) + SHA256_DIGEST_LENGTH };

static bool is_old(const struct head *h)
{
	return !memcmp(h->magic, old_magic, sizeof(old_magic));
}

static size_t around_bytes(const struct head *h)
{
	return HEAD_AND_DIGEST_BYTES + (is_old(h) ? WRAP_OLD_OVERHEAD_BYTES : WRAP_OVERHEAD_BYTES);
}

/* Checks all that can be checked without the passphrase. */
static int read_head(const uint8_t *file, size_t file_bytes, struct head *h, struct stretch *cost)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (export_kind_of(file, file_bytes) != EXPORT_SEALED)
		return -EBADMSG;
	if (file_bytes < HEAD_AND_DIGEST_BYTES)
		return -EBADMSG;
	memcpy(h, file, sizeof(*h));
	if (!is_old(h) && memcmp(h->magic, magic, sizeof(magic)))
		return -EPROTONOSUPPORT;
	if (file_bytes <= around_bytes(h) || file_bytes - around_bytes(h) > PACKAGE_BYTES_MAX)
		return -EBADMSG;
	if (!SHA256(file, file_bytes - sizeof(digest), digest))
		return -EIO;
	if (memcmp(digest, file + file_bytes - sizeof(digest), sizeof(digest)))
		return -EBADMSG;
	*cost = (struct stretch){
		.passes = le32toh(h->passes),
		.memory_kib = le32toh(h->memory_kib),
	};
	memcpy(cost->salt, h->salt, sizeof(cost->salt));
	if (!stretch_is_plausible(cost) || cost->passes > PASSES_MAX ||
		cost->memory_kib > MEMORY_KIB_MAX || !memchr(h->id, '\0', sizeof(h->id)))
		return -EBADMSG;
	return 0;
}

static int seal(const struct proto_passphrase *passphrase, const struct stretch *cost,
	const uint8_t *plain, size_t plain_bytes, uint8_t *file)
{
	uint8_t *sealed = file + sizeof(struct head);
	uint8_t *digest = sealed + plain_bytes + WRAP_OVERHEAD_BYTES;

	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	if (!key)
		return -errno;
	int rc = stretch_key(cost, passphrase, key);
	if (!rc)
		rc = wrap_seal(key, file, sizeof(struct head), plain, plain_bytes, sealed);
	secret_free(key);
	if (!rc && !SHA256(file, (size_t)(digest - file), digest))
		rc = -EIO;
	return rc;
}

int envelope_seal(const uint8_t *plain, size_t plain_bytes, const char id[LEDGER_ID_BYTES],
	const struct proto_passphrase *passphrase, uint8_t **file, size_t *file_bytes)
{
	struct stretch cost;
	struct head h = {.id = ""};

	if (passphrase->len_bytes < STRETCH_PASSPHRASE_BYTES_MIN)
		return -EKEYREJECTED;
	if (!plain_bytes || plain_bytes > PACKAGE_BYTES_MAX)
		return -EFBIG;
	int rc = stretch_fixed(&cost);
	if (rc)
		return rc;
	memcpy(h.magic, magic, sizeof(magic));
	h.passes = htole32(cost.passes);
	h.memory_kib = htole32(cost.memory_kib);
	memcpy(h.salt, cost.salt, sizeof(h.salt));
	memcpy(h.id, id, strnlen(id, sizeof(h.id) - 1));
	uint8_t *made = malloc(plain_bytes + around_bytes(&h));
	if (!made)
		return -ENOMEM;
	memcpy(made, &h, sizeof(h));
	rc = seal(passphrase, &cost, plain, plain_bytes, made);
	if (rc) {
		free(made);
		return rc;
	}
	*file = made; /* caller owns it */
	*file_bytes = plain_bytes + around_bytes(&h);
	return 0;
}

int envelope_open(const uint8_t *file, size_t file_bytes, const struct proto_passphrase *passphrase,
	uint8_t **plain, size_t *plain_bytes)
{
	struct stretch cost;
	struct head h;

	int rc = read_head(file, file_bytes, &h, &cost);
	if (rc)
		return rc;
	size_t len_bytes = file_bytes - around_bytes(&h);
	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	uint8_t *opened = key ? secret_alloc(len_bytes) : NULL;
	if (!opened) {
		rc = -ENOMEM;
		goto out;
	}
	rc = stretch_key(&cost, passphrase, key);
	if (!rc)
		rc = (is_old(&h) ? wrap_open_old : wrap_open)(key, file, sizeof(h),
			file + sizeof(h), file_bytes - HEAD_AND_DIGEST_BYTES, opened);
	if (rc)
		goto out;
	*plain = opened;
	*plain_bytes = len_bytes;
	opened = NULL; /* caller owns it */
out:
	secret_free(opened);
	secret_free(key);
	return rc == -EBADMSG ? -EKEYREJECTED : rc;
}
