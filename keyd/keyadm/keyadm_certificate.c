/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "keyadm_format.h"
#include "keyadm_path.h"
#include "signature.h"

enum { PEM_FILE_BYTES_MAX = 64 * 1024, CERTIFICATE_BYTES_MAX = 64 * 1024 * 1024 };

/* Not a secret, so readable by all; never over a file that is there. */
static int write_new(const char *path, const char *text)
{
	size_t len = strlen(text);

	int fd = keyadm_path_create(path, O_WRONLY, 0644);
	if (fd == -EEXIST)
		return keyadm_refuse(-EEXIST, "%s exists: choose a new file for the key", path);
	if (fd < 0)
		return fd;
	int rc = write(fd, text, len) == (ssize_t)len && !fsync(fd) ? 0 : -errno;
	(void)close(fd);
	if (!rc)
		return 0;
	(void)unlink(path);
	return keyadm_refuse(rc ? rc : -EIO, "%s: the key cannot be written: %s", path,
		strerror(rc ? -rc : EIO));
}

int keyadm_certificate_key(const struct keyadm_args *args, const struct client *c)
{
	struct json_object *key = NULL, *status = json_tokener_parse(c->text);
	const char *out = args->option[OPT_OUT];
	int err = 0;

	(void)json_object_object_get_ex(status, "certificate_key", &key);
	const char *pem = format_member(key, "pem");
	if (!key)
		err = keyadm_refuse(
			-ENOKEY, "the key store is locked or not made yet: keyadm status");
	else if (out)
		err = write_new(out, pem);
	else if (args->option[OPT_JSON])
		(void)printf(
			"%s\n", json_object_to_json_string_ext(key,
					JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		format_lines(stdout, pem);
	json_object_put(status);
	return err;
}

/* The whole file in a heap block with a NUL after it, for the caller to free. NULL: told. */
static char *read_file(const char *path, size_t cap, size_t *len)
{
	struct stat st = {0};
	char *data = NULL;

	int fd = keyadm_path_read(path);
	int err = fd < 0 ? -fd : fstat(fd, &st) ? errno : !S_ISREG(st.st_mode) ? EINVAL : 0;
	if (!err && (uint64_t)st.st_size > cap)
		err = EFBIG;
	if (!err && !(data = calloc(1, (size_t)st.st_size + 1)))
		err = ENOMEM;
	if (!err) {
		ssize_t n = read(fd, data, (size_t)st.st_size);
		err = n < 0 ? errno : n != st.st_size ? EIO : 0;
		*len = err ? 0 : (size_t)n;
	}
	if (fd >= 0)
		(void)close(fd);
	if (!err)
		return data;
	free(data);
	(void)keyadm_refuse(-err, "%s cannot be read: %s", path, strerror(err));
	return NULL;
}

static int read_key(const char *path, struct signature_public *public)
{
	size_t len = 0;

	char *pem = read_file(path, PEM_FILE_BYTES_MAX, &len);
	if (!pem)
		return -EIO;
	int err = signature_read_pem(pem, len, public);
	free(pem);
	return err ? keyadm_refuse(err,
			     "%s is no Ed25519 public key in PEM: see keyadm certificate key", path)
		   : 0;
}

static int refuse(int err, const char *path, const char *signer)
{
	switch (err) {
	case -ENODATA:
		return keyadm_refuse(err,
			"%s is not verified: it is not signed, or not the whole line that keyd "
			"signed",
			path);
	case -ENOKEY:
		return keyadm_refuse(
			err, "%s is not verified: it names another key, %.16s…", path, signer);
	case -EBADMSG:
		return keyadm_refuse(
			err, "%s is not verified: it was changed after it was signed", path);
	default:
		return keyadm_refuse(err, "%s is not verified: %s", path, strerror(-err));
	}
}

/* "level NAME", "volume UUID", or what was zeroized. */
static void put_subject(struct json_object *c)
{
	struct json_object *volumes = NULL;
	const char *scope = format_member(c, "scope");

	if (!strcmp(scope, "store")) {
		(void)fputs("every level of the key store", stdout);
		return;
	}
	if (format_is_sanitization(c))
		(void)fputs("an earlier key of ", stdout);
	if (strcmp(scope, "volume") != 0 || !json_object_object_get_ex(c, "volumes", &volumes))
		format_print(stdout, "level %s", format_member(c, "level"));
	else
		format_print(stdout, "volume %s",
			format_member(json_object_array_get_idx(volumes, 0), "uuid"));
}

/* A true certificate may say that the destruction is not proven. */
static const char *reservation(struct json_object *c)
{
	struct json_object *verification = NULL;

	(void)json_object_object_get_ex(c, "verification", &verification);
	if (strcmp(format_member(verification, "result"), "passed") != 0)
		return ", NOT PROVEN: not all key files could be erased";
	if (format_count(c, "unacknowledged"))
		return ", NOT PROVEN: not everybody who held a key confirmed that it is wiped";
	return "";
}

/* The text is keyd's own: it was verified. */
static void tell_verified(const struct keyadm_args *args, const char *text, const char *key_id)
{
	struct json_object *c = json_tokener_parse(text);

	if (args->option[OPT_JSON]) {
		(void)printf("{\"result\":\"passed\",\"key_id\":\"%s\"}\n", key_id);
	} else {
		(void)fputs("verified: ", stdout);
		put_subject(c);
		format_print(stdout, " was destroyed at %s%s, signed with key %s",
			format_member(c, "completed_at"), reservation(c), key_id);
		(void)fputc('\n', stdout);
	}
	json_object_put(c);
}

int keyadm_certificate_verify(const struct keyadm_args *args)
{
	const char *path = args->word[2];
	char signer[SIGNATURE_ID_BYTES];
	struct signature_public public;
	size_t len = 0;

	int err = read_key(args->option[OPT_KEY], &public);
	char *text = err ? NULL : read_file(path, CERTIFICATE_BYTES_MAX, &len);
	if (!text)
		return err ? err : -EIO;
	err = signature_verify(text, len, &public, signer);
	if (err)
		err = refuse(err, path, signer);
	else
		tell_verified(args, text, public.id);
	free(text);
	if (!err && fflush(stdout))
		err = keyadm_refuse(-errno, "the answer cannot be written: %s", strerror(errno));
	return err;
}
