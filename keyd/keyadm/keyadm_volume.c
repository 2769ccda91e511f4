/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_volume.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "keyadm_exchange.h"
#include "keyadm_file.h"
#include "keyadm_format.h"
#include "keyadm_identity.h"
#include "keyadm_path.h"
#include "keyadm_target.h"
#include "secret.h"
#include "text.h"

static int parse_sector_size(const char *text, uint32_t *sector_bytes)
{
	*sector_bytes = 512;
	if (text && !strcmp(text, "4096"))
		*sector_bytes = 4096;
	else if (text && strcmp(text, "512") != 0)
		return keyadm_refuse(-EINVAL, "--sector-size %s: it is 512 or 4096", text);
	return 0;
}

static int parse_size(const char *text, struct proto_volume_create *create)
{
	switch (keyadm_parse_size(text, create->sector_bytes, &create->size_bytes)) {
	case 0:
		return 0;
	case -ERANGE:
		return keyadm_refuse(
			-ERANGE, "--size %s: a volume has between 1M and 4194304T", text);
	case -EDOM:
		return keyadm_refuse(-EDOM,
			"--size %s is no multiple of the sector size, %" PRIu32
			" bytes: choose another",
			text, create->sector_bytes);
	default:
		return keyadm_refuse(-EINVAL, "--size %s: give " KEYADM_SIZE_FORMS, text);
	}
}

static int parse_cipher(const char *name, struct proto_volume_create *create)
{
	const struct cipher *cipher = name ? cipher_find(name) : cipher_default();

	if (cipher)
		return text_copy(create->cipher, sizeof(create->cipher), cipher->name);
	char known[256] = "";
	for (size_t i = 0, used = 0; cipher_at(i) && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
			cipher_at(i)->name);
	return keyadm_refuse(-EINVAL, "--cipher %s is unknown: there are %s", name, known);
}

/* As it was given: what realpath(3) makes of it no longer shows the links on the way. */
static int check_way(const char *path)
{
	struct checked_path p;

	int err = checked_path_find(&p, path, false);
	if (!err)
		checked_path_close(&p);
	return err;
}

static int fill_create(const struct keyadm_args *args, struct proto_volume_create *create)
{
	const char *size = args->option[OPT_SIZE];

	if (text_copy(create->level, sizeof(create->level), args->option[OPT_LEVEL]))
		return keyadm_refuse(-EINVAL, "--level: a name has at most 63 characters");
	int err = parse_sector_size(args->option[OPT_SECTOR_SIZE], &create->sector_bytes);
	if (!err)
		err = parse_cipher(args->option[OPT_CIPHER], create);
	if (!err && size)
		err = parse_size(size, create);
	if (!err && !size && !args->option[OPT_FORCE])
		err = keyadm_refuse(-EINVAL, "--size is missing: say how large the new volume is "
					     "to be, such as --size 10G");
	if (!err)
		err = check_way(args->word[2]);
	if (!err)
		err = target_resolve(args->word[2], true, create->path);
	if (!err)
		err = identity_check_path(create->path);
	return err;
}

/* A wrong level is better told before the file is allocated than after. */
static int check_level(struct client *c, const char *level)
{
	struct proto_msg request = {.type = PROTO_LEVEL_SHOW};
	int err = text_copy(request.level.level, sizeof(request.level.level), level);

	if (!err)
		err = keyadm_ask(c, &request, PROTO_REPLY);
	if (err)
		return err;
	struct json_object *json = json_tokener_parse(c->text), *state;
	if (json_object_object_get_ex(json, "state", &state) &&
		strcmp(json_object_get_string(state), "active") != 0)
		err = keyadm_refuse(-EPERM, "level %s is %s: volumes are created in active levels",
			level, json_object_get_string(state));
	json_object_put(json);
	return err;
}

/* Settles the size against what is there: a new file has the size asked for, others must hold it. */
static int fit(const struct target *t, struct proto_volume_create *create)
{
	uint64_t total = t->size_bytes;

	if (t->created) {
		if (create->size_bytes)
			return 0;
		return keyadm_refuse(-ENOENT,
			"%s does not exist: say how large it is to be with --size", t->path);
	}
	if (create->size_bytes) {
		if (create->size_bytes <= total &&
			create->size_bytes + VOLUME_HEADER_BYTES <= total)
			return 0;
		return keyadm_refuse(-ENOSPC,
			"%s has %" PRIu64
			" bytes; the volume and its 16 MiB of header need %" PRIu64,
			t->path, total, create->size_bytes + VOLUME_HEADER_BYTES);
	}
	if (total < VOLUME_HEADER_BYTES + VOLUME_BYTES_MIN)
		return keyadm_refuse(
			-ENOSPC, "%s is too small: a volume needs 17 MiB at least", t->path);
	create->size_bytes =
		(total - VOLUME_HEADER_BYTES) / create->sector_bytes * create->sector_bytes;
	return 0;
}

/* The header reaches the medium before keyd records the volume, so nothing is ever half. */
static int write_header(struct client *c, struct target *t)
{
	uint64_t header_bytes = c->channel.msg->volume_header.header_bytes;

	if (c->fd < 0 || header_bytes != VOLUME_HEADER_BYTES)
		return keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
	int err = target_write_header(t, c->fd, header_bytes);
	if (!err && keyadm_stop)
		err = keyadm_refuse(-EINTR, "interrupted; nothing was created");
	return err;
}

/* *keep: the file has to stay, because keyd recorded the volume, or may have. */
static int commit(struct client *c, const char *path, bool *keep)
{
	struct proto_msg request = {.type = PROTO_VOLUME_COMMIT};

	c->stop = NULL; /* too late to turn back */
	int err = client_request(c, &request);
	*keep = true;
	if (err)
		return keyadm_refuse(err,
			"%s: keyd may have recorded it or not; see keyadm volume show %s, and "
			"remove the file if "
			"keyd does not know it",
			path, path);
	err = keyadm_check_reply(c->channel.msg);
	*keep = !err;
	return err;
}

static int make_room(struct target *target, uint64_t total_bytes, const char *sparse)
{
	return sparse ? target_extend(target, total_bytes) : target_allocate(target, total_bytes);
}

int keyadm_volume_create(struct client *c, const struct keyadm_args *args)
{
	struct proto_msg request = {.type = PROTO_VOLUME_CREATE};
	struct proto_volume_create *create = &request.volume_create;
	struct target target;
	bool keep = false;

	int err = fill_create(args, create);
	if (!err)
		err = check_level(c, create->level);
	if (err)
		return err;
	keyadm_catch_signals();
	err = target_open(&target, create->path, args->option[OPT_FORCE]);
	if (err)
		return err;
	c->stop = target.stop = &keyadm_stop;
	err = fit(&target, create);
	if (!err && !target.created)
		err = identity_check_unused(c, create->path, target.fd);
	if (!err)
		err = make_room(&target, create->size_bytes + VOLUME_HEADER_BYTES,
			args->option[OPT_SPARSE]);
	if (!err)
		err = keyadm_ask(c, &request, PROTO_VOLUME_HEADER);
	if (!err)
		err = write_header(c, &target);
	if (!err)
		err = commit(c, create->path, &keep);
	target_close(&target, keep);
	return err;
}

static int receive_key(struct client *c, struct proto_msg *request, int fd, const char *out_path)
{
	int err = keyadm_ask(c, request, PROTO_KEY);
	if (err)
		return err;
	const struct proto_key *key = &c->channel.msg->key; /* in secret memory */
	err = keyadm_file_write(fd, out_path, key->key, key->key_bytes);
	secret_wipe(c->channel.msg, sizeof(*c->channel.msg));
	if (!err)
		err = keyadm_file_sync(fd, out_path);
	return err ? err : keyadm_ask_on(c);
}

int keyadm_volume_key(struct client *c, struct proto_msg *request, const char *out_path)
{
	keyadm_catch_signals();
	int fd = keyadm_file_create(out_path);
	if (fd < 0)
		return fd;

	c->stop = &keyadm_stop;
	int err = receive_key(c, request, fd, out_path);
	if (!err && keyadm_stop)
		err = keyadm_refuse(-EINTR, "interrupted; %s was removed", out_path);
	keyadm_file_end(fd, out_path, err);
	return err;
}
