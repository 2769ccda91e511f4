/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "custody.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "durable.h"
#include "reading.h"
#include "token.h"

static const struct custody *const custodies[] = {
	&custody_file,
	&custody_passphrase,
	&custody_tpm2,
	&custody_pkcs11,
};

const struct custody *custody_at(size_t i)
{
	return i < sizeof(custodies) / sizeof(custodies[0]) ? custodies[i] : NULL;
}

const struct custody *custody_find(const char *name)
{
	for (size_t i = 0; custody_at(i); i++) {
		if (!strcmp(name, custodies[i]->name))
			return custodies[i];
	}
	return NULL;
}

const struct custody custody_elsewhere = {
	.name = "elsewhere",
	.erase_class = "clear",
	.erase_class_reason =
		"the level was imported: what another key store and the export have of its keys is "
		"not reached",
};

const struct custody custody_unknown = {
	.name = "unknown",
	.erase_class = "clear",
	.erase_class_reason =
		"the level's key file could not be read: in what custodies its key was "
		"before, nobody can tell",
};

const struct custody *custody_find_former(const char *name)
{
	const struct custody *custody = custody_find(name);

	if (!custody && !strcmp(name, custody_elsewhere.name))
		custody = &custody_elsewhere;
	return custody ? custody : &custody_unknown;
}

int custody_of_store(int dir_fd, const struct custody **custody)
{
	struct stat st;

	*custody = NULL;
	for (size_t i = 0; custody_at(i); i++) {
		if (fstatat(dir_fd, custodies[i]->file, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (*custody)
			return -ENOTUNIQ;
		*custody = custodies[i];
	}
	return 0;
}

void custody_file_name(const struct custody *custody, const struct custody_place *place,
	char name[CUSTODY_FILE_NAME_BYTES])
{
	(void)snprintf(name, CUSTODY_FILE_NAME_BYTES, "%s%s",
		place->next ? DURABLE_NEXT_PREFIX : "", custody->file);
}

const char *custody_strerror(int rc)
{
	switch (rc) {
	case -EBADMSG:
		return "what keeps the root key is damaged: put it back from a backup";
	case -ENOTUNIQ:
		return "there are several root keys, and only one can be right: remove what was "
		       "put "
		       "there";
	case -ESTALE:
		return "this is an old copy of the key store: the TPM keeps the root key of a "
		       "later "
		       "one";
	case -ENXIO:
		return "the TPM does not have the root key: it was cleared, or is another one";
	case -ENODEV:
		return "no TPM answers: see tpm2-tcti in keyd.conf(5)";
	case -EACCES:
		return "the TPM does not give out the root key: its PCRs differ from those that it "
		       "was bound to";
	case -EBUSY:
		return "the TPM takes no PIN for a while after wrong ones: wait, or see "
		       "tpm2_dictionarylockout(1)";
	case -EOPNOTSUPP:
		return "the TPM's owner hierarchy has a password, which keyd does not know: see "
		       "tpm2_changeauth(1)";
	case -EEXIST:
		return "the TPM's NV index is in use: set another tpm2-nv-index in keyd.conf(5)";
	case -EIDRM:
		return "the token has no root key of this store: it is another token, or was "
		       "cleared: put it back";
	case -EALREADY:
		return "the key store is in a token already: move it to another custody first";
	case -ENOSPC:
		return "there is no room for it";
	default:
		return token_strerror(rc);
	}
}

static int digest_of(const void *file, size_t file_bytes, uint8_t digest[CUSTODY_DIGEST_BYTES])
{
	_Static_assert(CUSTODY_DIGEST_BYTES == SHA256_DIGEST_LENGTH, "SHA-256");
	return SHA256(file, file_bytes - CUSTODY_DIGEST_BYTES, digest) ? 0 : -EIO;
}

/* durable_read() would leave what may be a key on the heap. */
static int read_exactly(int fd, uint8_t *file, size_t file_bytes)
{
	uint8_t more;

	ssize_t len = read_up_to(fd, file, file_bytes);
	if (len < 0)
		return (int)len;
	return (size_t)len < file_bytes || read(fd, &more, 1) ? -EBADMSG : 0;
}

int custody_read_file(const struct custody *custody, const struct custody_place *place,
	const char magic[CUSTODY_MAGIC_BYTES], void *file, size_t file_bytes)
{
	uint8_t digest[CUSTODY_DIGEST_BYTES], *bytes = file;
	char name[CUSTODY_FILE_NAME_BYTES];
	struct stat st;

	custody_file_name(custody, place, name);
	int fd = openat(place->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) ? -errno : !S_ISREG(st.st_mode) ? -EBADMSG : 0;
	if (!rc)
		rc = read_exactly(fd, bytes, file_bytes);
	(void)close(fd);
	if (!rc)
		rc = digest_of(file, file_bytes, digest);
	if (!rc && (memcmp(bytes, magic, CUSTODY_MAGIC_BYTES) ||
			   memcmp(bytes + file_bytes - sizeof(digest), digest, sizeof(digest))))
		rc = -EBADMSG;
	return rc;
}

int custody_write_file(const struct custody *custody, const struct custody_place *place,
	const char magic[CUSTODY_MAGIC_BYTES], void *file, size_t file_bytes)
{
	char name[CUSTODY_FILE_NAME_BYTES];
	uint8_t *bytes = file;

	custody_file_name(custody, place, name);
	memcpy(bytes, magic, CUSTODY_MAGIC_BYTES);
	int rc = digest_of(file, file_bytes, bytes + file_bytes - CUSTODY_DIGEST_BYTES);
	return rc ? rc : durable_write(place->dir_fd, name, file, file_bytes);
}

int custody_erase_file(const struct custody *custody, const struct custody_place *place)
{
	char name[CUSTODY_FILE_NAME_BYTES];

	custody_file_name(custody, place, name);
	return durable_erase(place->dir_fd, name, true);
}
