/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "custody.h"

#include <errno.h>
#include <string.h>

#include "secret.h"

static const char magic[CUSTODY_MAGIC_BYTES] = "TGTKEYD root v1"; /* the version is part of it */

/* As on the medium. */
struct root_file {
	char magic[16];
	uint8_t root[ROOT_KEY_BYTES];
	uint8_t digest[CUSTODY_DIGEST_BYTES]; /* of all bytes before */
};
_Static_assert(sizeof(struct root_file) == 80, "the file format has no padding");

static bool file_needs_passphrase(const struct custody_place *place)
{
	(void)place;
	return false;
}

static int file_create(const struct custody_place *place, const struct proto_passphrase *passphrase,
	uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper)
{
	(void)passphrase;
	*keeper = NULL;
	struct root_file *f = secret_alloc(sizeof(*f));
	if (!f)
		return -errno;
	int rc = wrap_new_key(f->root, sizeof(f->root));
	if (!rc)
		rc = custody_write_file(&custody_file, place, magic, f, sizeof(*f));
	if (!rc)
		memcpy(root, f->root, sizeof(f->root));
	secret_free(f);
	return rc;
}

static int file_load(const struct custody_place *place, const struct proto_passphrase *passphrase,
	uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper)
{
	(void)passphrase;
	*keeper = NULL;
	struct root_file *f = secret_alloc(sizeof(*f));
	if (!f)
		return -errno;
	int rc = custody_read_file(&custody_file, place, magic, f, sizeof(*f));
	if (!rc)
		memcpy(root, f->root, sizeof(f->root));
	secret_free(f);
	return rc;
}

static int file_erase(const struct custody_place *place)
{
	return custody_erase_file(&custody_file, place);
}

const struct custody custody_file = {
	.name = "file",
	.file = "root.key",
	.erase_class = "clear",
	.erase_class_reason =
		"the root key is a file beside the wrapped keys: copies of both that flash, "
		"journals or snapshots kept can still be opened together",
	.needs_passphrase = file_needs_passphrase,
	.create = file_create,
	.load = file_load,
	.erase = file_erase,
};
