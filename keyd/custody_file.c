/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "custody.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "durable.h"
#include "secret.h"

static const char file_name[] = "root.key";
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

static bool file_present(int state_fd)
{
	struct stat st;

	return !fstatat(state_fd, file_name, &st, AT_SYMLINK_NOFOLLOW);
}

static int file_create(
	int state_fd, const struct proto_passphrase *passphrase, uint8_t root[ROOT_KEY_BYTES])
{
	(void)passphrase;
	struct root_file *f = secret_alloc(sizeof(*f));
	if (!f)
		return -errno;
	memcpy(f->magic, magic, sizeof(magic));
	int rc = wrap_new_key(f->root, sizeof(f->root));
	if (!rc)
		rc = digest_of(f, f->digest);
	if (!rc)
		rc = durable_write(state_fd, file_name, f, sizeof(*f));
	if (!rc)
		memcpy(root, f->root, sizeof(f->root));
	secret_free(f);
	return rc;
}

/* Straight into secret memory: durable_read() would leave the key on the heap. */
static int read_whole(int state_fd, struct root_file *f)
{
	uint8_t more;
	int fd = openat(state_fd, file_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, f, sizeof(*f));
	int rc = n < 0 ? -errno : n != sizeof(*f) ? -EBADMSG : 0;
	if (!rc && read(fd, &more, 1) != 0)
		rc = -EBADMSG;
	(void)close(fd);
	return rc;
}

static int file_load(
	int state_fd, const struct proto_passphrase *passphrase, uint8_t root[ROOT_KEY_BYTES])
{
	(void)passphrase;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct root_file *f = secret_alloc(sizeof(*f));
	if (!f)
		return -errno;
	int rc = read_whole(state_fd, f);
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

const struct custody custody_file = {
	.name = "file",
	.erase_class = "clear",
	.erase_class_reason =
		"the root key is a file beside the wrapped keys: copies of both that flash, "
		"journals or snapshots kept can still be opened together",
	.present = file_present,
	.create = file_create,
	.load = file_load,
};
