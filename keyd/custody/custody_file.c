/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "custody.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "durable.h"
#include "secret.h"

static const char magic[16] = "TGTKEYD root v1"; /* the version is part of it */

/* As on the medium. The digest tells a damaged file from a good one; it protects nothing. */
struct root_file {
	char magic[16];
	uint8_t root[ROOT_KEY_BYTES];
	uint8_t digest[SHA256_DIGEST_LENGTH]; /* of all bytes before */
};
_Static_assert(sizeof(struct root_file) == 80, "the file format has no padding");

static int digest_of(const struct root_file *f, uint8_t digest[SHA256_DIGEST_LENGTH])
{
	const uint8_t *bytes = (const uint8_t *)f;
	return SHA256(bytes, offsetof(struct root_file, digest), digest) ? 0 : -EIO;
}

static bool file_needs_passphrase(const struct custody_place *place)
{
	(void)place;
	return false;
}

static int file_create(const struct custody_place *place, const struct proto_passphrase *passphrase,
	uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper)
{
	char name[CUSTODY_FILE_NAME_BYTES];

	(void)passphrase;
	*keeper = NULL;
	custody_file_name(&custody_file, place, name);
	struct root_file *f = secret_alloc(sizeof(*f));
	if (!f)
		return -errno;
	memcpy(f->magic, magic, sizeof(magic));
	int rc = wrap_new_key(f->root, sizeof(f->root));
	if (!rc)
		rc = digest_of(f, f->digest);
	if (!rc)
		rc = durable_write(place->dir_fd, name, f, sizeof(*f));
	if (!rc)
		memcpy(root, f->root, sizeof(f->root));
	secret_free(f);
	return rc;
}

/* Straight into secret memory: durable_read() would leave the key on the heap. */
static int read_whole(const struct custody_place *place, struct root_file *f)
{
	char name[CUSTODY_FILE_NAME_BYTES];
	uint8_t more;

	custody_file_name(&custody_file, place, name);
	int fd = openat(place->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, f, sizeof(*f));
	int rc = n < 0 ? -errno : n != sizeof(*f) ? -EBADMSG : 0;
	if (!rc && read(fd, &more, 1) != 0)
		rc = -EBADMSG;
	(void)close(fd);
	return rc;
}

static int file_load(const struct custody_place *place, const struct proto_passphrase *passphrase,
	uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper)
{
	(void)passphrase;
	*keeper = NULL;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct root_file *f = secret_alloc(sizeof(*f));
	if (!f)
		return -errno;
	int rc = read_whole(place, f);
	if (!rc)
		rc = digest_of(f, digest);
	if (!rc && (memcmp(f->magic, magic, sizeof(magic)) ||
			   memcmp(f->digest, digest, sizeof(digest))))
		rc = -EBADMSG;
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
