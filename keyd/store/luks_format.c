/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "luks_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libcryptsetup.h>

#include "log.h"

enum {
	SECTOR_BYTES = 512,
	COPIES_BYTES = 2 * 16 * 1024, /* the header and its copy */
	/* Room for the default metadata and key-slot areas and some data: formatted, then cut. */
	WORK_BYTES = 32 * 1024 * 1024,
	DIGEST_ITERATIONS = 1000, /* the key is random, so stretching it gains nothing */
	FD_PATH_BYTES = 32,
	TOKEN_BYTES = 256,
};

static void on_log(int level, const char *msg, void *unused)
{
	(void)unused;
	if (level == CRYPT_LOG_ERROR)
		log_warning("libcryptsetup: %s", msg);
}

static int write_token(struct crypt_device *cd, const struct luks_format *fmt)
{
	char json[TOKEN_BYTES];
	/* Both strings were checked against alphabets that need no escaping in JSON. */
	int n = snprintf(json, sizeof(json),
		"{\"type\":\"tgt-keyd\",\"keyslots\":[],\"level\":\"%s\",\"volume\":\"%s\"}",
		fmt->level, fmt->uuid);
	if (n < 0 || (size_t)n >= sizeof(json))
		return -ENAMETOOLONG;
	int rc = crypt_token_json_set(cd, CRYPT_ANY_TOKEN, json);
	return rc < 0 ? rc : 0;
}

static int format(struct crypt_device *cd, const struct luks_format *fmt, const uint8_t *key)
{
	const struct crypt_pbkdf_type pbkdf = {
		.type = CRYPT_KDF_PBKDF2,
		.hash = "sha256",
		.iterations = DIGEST_ITERATIONS,
		.flags = CRYPT_PBKDF_NO_BENCHMARK,
	};
	struct crypt_params_luks2 params = {
		.pbkdf = &pbkdf,
		.sector_size = fmt->sector_bytes,
	};

	crypt_set_log_callback(cd, on_log, NULL);
	int rc = crypt_set_pbkdf_type(cd, &pbkdf);
	if (!rc)
		rc = crypt_format(cd, CRYPT_LUKS2, fmt->cipher->luks_name, fmt->cipher->luks_mode,
			fmt->uuid, (const char *)key, fmt->cipher->key_bytes, &params);
	if (!rc)
		rc = write_token(cd, fmt);
	return rc;
}

int luks_format(const struct luks_format *fmt, const uint8_t *key, int *header_fd,
	uint64_t *data_offset_bytes)
{
	struct crypt_device *cd = NULL;
	char path[FD_PATH_BYTES];
	uint64_t offset_bytes = 0;
	int rc;

	int fd = memfd_create("luks2-header", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	rc = -errno;
	if (ftruncate(fd, WORK_BYTES))
		goto out;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Nobody else can open this file: libcryptsetup's lock directory is not needed. */
	rc = crypt_metadata_locking(NULL, 0);
	if (!rc)
		rc = crypt_init(&cd, path);
	if (!rc)
		rc = format(cd, fmt, key);
	if (rc)
		goto out;
	offset_bytes = crypt_get_data_offset(cd) * SECTOR_BYTES;
	rc = -EIO;
	if (!offset_bytes || offset_bytes >= WORK_BYTES)
		goto out;
	rc = ftruncate(fd, (off_t)offset_bytes) ? -errno : 0;
out:
	crypt_free(cd);
	/* What lies in the unused area for key slots is of no use, and would be held in memory. */
	if (!rc && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, COPIES_BYTES,
			   (off_t)offset_bytes - COPIES_BYTES))
		rc = -errno;
	if (!rc && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		rc = -errno;
	if (rc) {
		log_error("cannot format a LUKS2 header: error %d", -rc);
		(void)close(fd);
		return -EIO;
	}
	*header_fd = fd; /* caller owns it */
	*data_offset_bytes = offset_bytes;
	return 0;
}
