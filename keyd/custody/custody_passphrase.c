/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The root key wrapped under a key that Argon2id (RFC 9106) makes from a passphrase. */
#include "custody.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "secret.h"
#include "stretch.h"

/* The version is part of it. Earlier keyds sealed the root key with wrap_open_old()'s form. */
static const char magic[CUSTODY_MAGIC_BYTES] = "TGTKEYD pass v2";
static const char old_magic[CUSTODY_MAGIC_BYTES] = "TGTKEYD pass v1";

/* As on the medium, little-endian. */
struct root_file {
	char magic[16];
	uint32_t passes;
	uint32_t memory_kib;
	uint8_t salt[STRETCH_SALT_BYTES];
	uint8_t sealed[ROOT_KEY_BYTES + WRAP_OVERHEAD_BYTES]; /* all before is associated data */
	/* Of all bytes before: tells damage from a wrong word. Behind a shorter sealed[] in an old file. */
	uint8_t digest[CUSTODY_DIGEST_BYTES];
};
_Static_assert(sizeof(struct root_file) == 152, "the file format has no padding");
enum { OLD_FILE_BYTES = sizeof(struct root_file) - WRAP_OVERHEAD_BYTES + WRAP_OLD_OVERHEAD_BYTES };

/* Also tells whether a file may ask for so much. */
static bool cost_of(const struct root_file *f, struct stretch *cost)
{
	*cost = (struct stretch){
		.passes = le32toh(f->passes),
		.memory_kib = le32toh(f->memory_kib),
	};
	memcpy(cost->salt, f->salt, sizeof(cost->salt));
	return stretch_is_plausible(cost);
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
	struct root_file f = {0};
	struct stretch cost;

	*keeper = NULL;
	if (!passphrase || passphrase->len_bytes < STRETCH_PASSPHRASE_BYTES_MIN)
		return -EKEYREJECTED;
	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	if (!key)
		return -errno;
	memcpy(f.magic, magic, sizeof(magic)); /* associated data already */
	int rc = stretch_calibrate(&cost, passphrase, key);
	if (!rc)
		rc = stretch_key(&cost, passphrase, key);
	f.passes = htole32(cost.passes);
	f.memory_kib = htole32(cost.memory_kib);
	memcpy(f.salt, cost.salt, sizeof(f.salt));
	if (!rc)
		rc = wrap_new_key(root, ROOT_KEY_BYTES);
	if (!rc)
		rc = wrap_seal(key, &f, offsetof(struct root_file, sealed), root, ROOT_KEY_BYTES,
			f.sealed);
	if (!rc)
		rc = custody_write_file(&custody_passphrase, place, magic, &f, sizeof(f));
	secret_free(key);
	return rc;
}

static int read_file(const struct custody_place *place, struct root_file *f, struct stretch *cost)
{
	int rc = custody_read_file(&custody_passphrase, place, magic, f, sizeof(*f));
	if (rc == -EBADMSG)
		rc = custody_read_file(&custody_passphrase, place, old_magic, f, OLD_FILE_BYTES);
	return rc ? rc : cost_of(f, cost) ? 0 : -EBADMSG;
}

static int open_file(const struct root_file *f, const uint8_t *key, uint8_t root[ROOT_KEY_BYTES])
{
	size_t aad_bytes = offsetof(struct root_file, sealed);

	if (!memcmp(f->magic, magic, sizeof(magic)))
		return wrap_open(key, f, aad_bytes, f->sealed, sizeof(f->sealed), root);
	return wrap_open_old(
		key, f, aad_bytes, f->sealed, ROOT_KEY_BYTES + WRAP_OLD_OVERHEAD_BYTES, root);
}

static int passphrase_load(const struct custody_place *place,
	const struct proto_passphrase *passphrase, uint8_t root[ROOT_KEY_BYTES],
	struct custody_keeper **keeper)
{
	struct root_file f;
	struct stretch cost;

	*keeper = NULL;
	int rc = read_file(place, &f, &cost);
	if (rc)
		return rc;
	if (!passphrase || !passphrase->len_bytes)
		return -EKEYREJECTED;
	uint8_t *key = secret_alloc(WRAP_KEY_BYTES);
	if (!key)
		return -errno;
	rc = stretch_key(&cost, passphrase, key);
	if (!rc)
		rc = open_file(&f, key, root);
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
