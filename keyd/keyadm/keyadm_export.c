/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_backup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyadm_cms.h"
#include "keyadm_exchange.h"
#include "keyadm_file.h"
#include "keyadm_format.h"
#include "keyadm_passphrase.h"
#include "secret.h"
#include "shares.h"
#include "text.h"

enum { CERTIFICATES_BYTES_MAX = KEYADM_REPEATS_MAX * 64 * 1024, COPY_BYTES = 64 * 1024 };

/* The shares of the passphrase and the files that they go into. */
struct pieces {
	struct share *shares; /* secret memory, owned; NULL: not split */
	unsigned threshold, count;
	char paths[SHARES_MAX][PROTO_PATH_BYTES + 16];
	int fds[SHARES_MAX]; /* owned; -1: none */
};

static int check_options(const struct keyadm_args *args)
{
	bool level = args->option[OPT_LEVEL], all = args->option[OPT_ALL];
	bool recipient = args->option[OPT_RECIPIENT], split = args->option[OPT_SPLIT];
	bool fd = args->option[OPT_PASSPHRASE_FD];

	if (level == all)
		return keyadm_refuse(-EINVAL, "say what to export: --level NAME or --all");
	if (recipient + split + fd > 1)
		return keyadm_refuse(-EINVAL,
			"an export is for recipients, or under a passphrase, or "
			"under one that is split: choose one");
	if (level && !text_is_level_name(args->option[OPT_LEVEL]))
		return keyadm_refuse(
			-EINVAL, "%s: no level has such a name", args->option[OPT_LEVEL]);
	return 0;
}

static int upload_certificates(
	struct client *c, const struct keyadm_args *args, struct proto_msg *request)
{
	size_t used = 0, len;
	int err = 0;

	uint8_t *der = secret_alloc(CERTIFICATES_BYTES_MAX);
	if (!der)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	for (size_t i = 0; !err && i < args->repeats; i++) {
		err = keyadm_certificate(
			args->repeated[i], der + used, CERTIFICATES_BYTES_MAX - used, &len);
		if (!err)
			used += len;
	}
	if (!err)
		err = keyadm_upload(c, request, der, used);
	secret_free(der);
	return err;
}

/* OUT.share-1 to OUT.share-N, empty until the export has its number. */
static int create_share_files(struct pieces *pieces, const char *out_path)
{
	for (unsigned i = 0; i < pieces->count; i++) {
		int n = snprintf(
			pieces->paths[i], sizeof(pieces->paths[i]), "%s.share-%u", out_path, i + 1);
		if (n < 0 || (size_t)n >= sizeof(pieces->paths[i]))
			return keyadm_refuse(-ENAMETOOLONG, "%s is too long a name", out_path);
		pieces->fds[i] = keyadm_file_create(pieces->paths[i]);
		if (pieces->fds[i] < 0)
			return pieces->fds[i];
	}
	return 0;
}

static int make_pieces(const char *split, const char *out_path, struct pieces *pieces,
	struct proto_passphrase *passphrase)
{
	if (shares_parse_split(split, &pieces->threshold, &pieces->count))
		return keyadm_refuse(-EINVAL,
			"--split %s: give K/N, such as 3/5: 2 or more of at most %d shares", split,
			SHARES_MAX);
	pieces->shares = secret_alloc(pieces->count * sizeof(*pieces->shares));
	if (!pieces->shares)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	int err = shares_make(pieces->threshold, pieces->count, passphrase, pieces->shares);
	if (err)
		return keyadm_refuse(err, "cannot split a passphrase: %s", strerror(-err));
	return create_share_files(pieces, out_path);
}

static int write_shares(struct pieces *pieces, const char *id)
{
	int err = 0;

	char *text = secret_alloc(SHARE_TEXT_BYTES);
	if (!text)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	for (unsigned i = 0; !err && i < pieces->count; i++) {
		memcpy(pieces->shares[i].id, id, sizeof(pieces->shares[i].id));
		size_t len = share_format(&pieces->shares[i], text);
		err = keyadm_file_write(pieces->fds[i], pieces->paths[i], text, len);
		if (!err)
			err = keyadm_file_sync(pieces->fds[i], pieces->paths[i]);
	}
	secret_free(text);
	return err;
}

static void end_pieces(struct pieces *pieces, int err)
{
	for (unsigned i = 0; i < pieces->count; i++)
		keyadm_file_end(pieces->fds[i], pieces->paths[i], err);
	secret_free(pieces->shares);
}

static int copy_file(int from_fd, uint64_t len_bytes, int fd, const char *out_path)
{
	uint8_t chunk[COPY_BYTES]; /* of a sealed file */
	int err = 0;

	for (uint64_t done = 0; !err && done < len_bytes;) {
		ssize_t n = pread(from_fd, chunk, sizeof(chunk), (off_t)done);
		if (n <= 0)
			return keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
		err = keyadm_file_write(fd, out_path, chunk, (size_t)n);
		done += (uint64_t)n;
	}
	return err ? err : keyadm_file_sync(fd, out_path);
}

/* Asks, and puts what comes into the files: those of the shares before keyadm says that all is well. */
static int receive(struct client *c, struct proto_msg *request, int fd, const char *out_path,
	struct pieces *pieces)
{
	char id[PROTO_EXPORT_ID_BYTES];

	int err = keyadm_ask(c, request, PROTO_EXPORTED);
	if (err)
		return err;
	const struct proto_exported *exported = &c->channel.msg->exported;
	memcpy(id, exported->id, sizeof(id));
	err = c->fd < 0 ? keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG))
			: copy_file(c->fd, exported->file_bytes, fd, out_path);
	if (!err && pieces->shares)
		err = write_shares(pieces, id);
	return err ? err : keyadm_ask_on(c);
}

static int fill_export(struct client *c, const struct keyadm_args *args, struct proto_msg *request,
	struct pieces *pieces)
{
	struct proto_export *export = &request->export;
	const char *level = args->option[OPT_LEVEL], *split = args->option[OPT_SPLIT];

	int err = args->repeats ? upload_certificates(c, args, request) : 0;
	if (err)
		return err;
	request->type = PROTO_EXPORT;
	if (level && text_copy(export->level, sizeof(export->level), level))
		return -EINVAL; /* checked before */
	if (args->repeats)
		return 0;
	if (!split)
		return keyadm_passphrase(
			args->option[OPT_PASSPHRASE_FD], true, "export", &export->passphrase);
	err = make_pieces(split, args->option[OPT_OUT], pieces, &export->passphrase);
	export->threshold = pieces->threshold;
	export->shares = pieces->count;
	return err;
}

int keyadm_export(struct client *c, const struct keyadm_args *args, struct proto_msg *request)
{
	const char *out_path = args->option[OPT_OUT];
	struct pieces pieces = {.shares = NULL};

	for (size_t i = 0; i < SHARES_MAX; i++)
		pieces.fds[i] = -1;
	int err = check_options(args);
	if (err)
		return err;
	keyadm_catch_signals();
	int fd = keyadm_file_create(out_path);
	if (fd < 0)
		return fd;
	c->stop = &keyadm_stop;
	err = fill_export(c, args, request, &pieces);
	if (!err)
		err = receive(c, request, fd, out_path, &pieces);
	if (!err && keyadm_stop)
		err = keyadm_refuse(-EINTR, "interrupted; %s was removed", out_path);
	keyadm_file_end(fd, out_path, err);
	end_pieces(&pieces, err);
	return err;
}
