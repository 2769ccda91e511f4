/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_backup.h"

#include <errno.h>
#include <string.h>

#include "export_kind.h"
#include "keyadm_cms.h"
#include "keyadm_exchange.h"
#include "keyadm_file.h"
#include "keyadm_format.h"
#include "keyadm_passphrase.h"
#include "secret.h"
#include "shares.h"
#include "text.h"
#include "upload.h"

static int read_share(const char *path, struct share *share)
{
	uint8_t *text;
	size_t len_bytes;

	int err = keyadm_file_read(path, SHARE_TEXT_BYTES, &text, &len_bytes);
	if (err)
		return err;
	err = share_parse((const char *)text, len_bytes, share);
	secret_free(text);
	return err ? keyadm_refuse(err, "%s is no share, or has an error in it", path) : 0;
}

static int tell_problem(
	enum shares_problem problem, const struct share *shares, size_t count, int err)
{
	switch (problem) {
	case SHARES_TOO_FEW:
		return keyadm_refuse(err, "%zu share%s: %u of %u are needed", count,
			count == 1 ? "" : "s", shares[0].threshold, shares[0].count);
	case SHARES_TWICE:
		return keyadm_refuse(err, "one share is there twice: give different ones");
	case SHARES_MIXED:
		return keyadm_refuse(err, "the shares are not all of one export");
	case SHARES_FIT:
		break;
	}
	return keyadm_refuse(err, "the shares cannot be put together: %s", strerror(-err));
}

static int combine(const struct keyadm_args *args, const char *id, struct share *shares,
	struct proto_passphrase *passphrase)
{
	enum shares_problem problem;
	int err = 0;

	for (size_t i = 0; !err && i < args->repeats; i++)
		err = read_share(args->repeated[i], &shares[i]);
	if (err)
		return err;
	err = shares_combine(shares, args->repeats, passphrase, &problem);
	if (err)
		return tell_problem(problem, shares, args->repeats, err);
	return strcmp(shares[0].id, id)
		       ? keyadm_refuse(-EINVAL, "these are shares of %s, and the file is %s",
				 shares[0].id, id)
		       : 0;
}

static int passphrase_from_shares(const struct keyadm_args *args, const uint8_t *file,
	size_t file_bytes, struct proto_passphrase *passphrase)
{
	char id[PROTO_EXPORT_ID_BYTES];

	struct share *shares = secret_alloc(KEYADM_REPEATS_MAX * sizeof(*shares));
	if (!shares)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	export_sealed_id(file, file_bytes, id);
	int err = combine(args, id, shares, passphrase);
	secret_free(shares);
	return err;
}

/* Options that do not go with what the file is. */
static int check_options(const struct keyadm_args *args, enum export_kind kind, const char *path)
{
	const char *key = args->option[OPT_KEY], *share = args->option[OPT_SHARE];

	switch (kind) {
	case EXPORT_CMS:
		if (!key)
			return keyadm_refuse(-EINVAL,
				"%s is for recipients: give one's private key with --key", path);
		return share ? keyadm_refuse(
				       -EINVAL, "%s is for recipients: it has no shares", path)
			     : 0;
	case EXPORT_SEALED:
		if (key)
			return keyadm_refuse(
				-EINVAL, "%s is under a passphrase: --key is of no use", path);
		return share && args->option[OPT_PASSPHRASE_FD]
			       ? keyadm_refuse(-EINVAL, "give shares or the passphrase, not both")
			       : 0;
	case EXPORT_OPEN:
		return key || share
			       ? keyadm_refuse(-EINVAL, "%s is open already: it needs no key", path)
			       : 0;
	case EXPORT_UNKNOWN:
		break;
	}
	return keyadm_refuse(-EINVAL, "%s is no export of keyadm", path);
}

/* What goes to keyd: the file itself, or what a private key finds in it. */
static int upload(struct client *c, const struct keyadm_args *args, struct proto_msg *request,
	const uint8_t *file, size_t file_bytes)
{
	uint8_t *plain = NULL;
	size_t plain_bytes;

	if (export_kind_of(file, file_bytes) != EXPORT_CMS)
		return keyadm_upload(c, request, file, file_bytes);
	int err = keyadm_cms_open(file, file_bytes, args->option[OPT_KEY],
		args->option[OPT_PASSPHRASE_FD], &plain, &plain_bytes);
	if (!err)
		err = keyadm_upload(c, request, plain, plain_bytes);
	secret_free(plain);
	return err;
}

static int import(struct client *c, const struct keyadm_args *args, struct proto_msg *request,
	const struct proto_passphrase *passphrase)
{
	const char *level = args->option[OPT_LEVEL];

	request->type = PROTO_IMPORT;
	request->import.force = args->option[OPT_FORCE] != NULL;
	request->import.passphrase = *passphrase; /* from secret memory to secret memory */
	if (level && (!text_is_level_name(level) || text_copy(request->import.level,
							    sizeof(request->import.level), level)))
		return keyadm_refuse(-EINVAL, "%s: no level has such a name", level);
	return keyadm_ask(c, request, PROTO_REPLY);
}

static int upload_and_import(struct client *c, const struct keyadm_args *args,
	struct proto_msg *request, const uint8_t *file, size_t file_bytes)
{
	enum export_kind kind = export_kind_of(file, file_bytes);
	int err = check_options(args, kind, args->word[1]);
	if (err)
		return err;
	struct proto_passphrase *passphrase = secret_alloc(sizeof(*passphrase));
	if (!passphrase)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	if (kind == EXPORT_SEALED) /* before the upload: nobody else's has to wait for it */
		err = args->repeats ? passphrase_from_shares(args, file, file_bytes, passphrase)
				    : keyadm_passphrase(args->option[OPT_PASSPHRASE_FD], false,
					      "export", passphrase);
	if (!err)
		err = upload(c, args, request, file, file_bytes);
	if (!err)
		err = import(c, args, request, passphrase);
	secret_free(passphrase);
	return err;
}

int keyadm_import(struct client *c, const struct keyadm_args *args, struct proto_msg *request)
{
	uint8_t *file;
	size_t file_bytes;

	int err = keyadm_file_read(args->word[1], UPLOAD_BYTES_MAX, &file, &file_bytes);
	if (err)
		return err;
	err = upload_and_import(c, args, request, file, file_bytes);
	secret_free(file);
	return err;
}
