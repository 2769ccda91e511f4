/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyadm_format.h"
#include "keyadm_target.h"
#include "secret.h"
#include "text.h"

static volatile sig_atomic_t stop;

static void on_signal(int signo)
{
	(void)signo;
	stop = 1;
}

/* No SA_RESTART: a long fallocate(2) ends early. What is ignored, as under nohup(1), stays ignored. */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal}, old;

	(void)sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &sa, NULL);
	}
}

/* Sends request and expects an answer that ends in a message of type want. */
static int ask(struct client *c, struct proto_msg *request, uint16_t want)
{
	int err = client_request(c, request);

	if (err)
		return keyadm_refuse(err, "%s", client_strerror(err));
	if (c->channel.msg->type == want && want != PROTO_REPLY)
		return 0;
	err = keyadm_check_reply(c->channel.msg);
	if (!err && want != PROTO_REPLY)
		err = keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
	return err;
}

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
		return keyadm_refuse(-EDOM, "--size %s is no multiple of the sector size, %" PRIu32,
			text, create->sector_bytes);
	default:
		return keyadm_refuse(-EINVAL,
			"--size %s: give bytes, or a number with K, M, G or T, such as 10G", text);
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
		err = target_resolve(args->word[2], true, create->path);
	return err;
}

/* A wrong level is better told before the file is allocated than after. */
static int check_level(struct client *c, const char *level)
{
	struct proto_msg request = {.type = PROTO_LEVEL_SHOW};
	int err = text_copy(request.level.level, sizeof(request.level.level), level);

	if (!err)
		err = ask(c, &request, PROTO_REPLY);
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
	if (!err && stop)
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
	catch_signals();
	err = target_open(&target, create->path, args->option[OPT_FORCE]);
	if (err)
		return err;
	c->stop = target.stop = &stop;
	err = fit(&target, create);
	if (!err)
		err = target_allocate(&target, create->size_bytes + VOLUME_HEADER_BYTES);
	if (!err)
		err = ask(c, &request, PROTO_VOLUME_HEADER);
	if (!err)
		err = write_header(c, &target);
	if (!err)
		err = commit(c, create->path, &keep);
	target_close(&target, keep);
	return err;
}

/* Straight from secret memory to the file: no stdio buffer in between. */
static int write_key(int fd, const struct proto_key *key)
{
	for (size_t done = 0; done < key->key_bytes;) {
		ssize_t n = write(fd, key->key + done, key->key_bytes - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return fsync(fd) ? -errno : 0;
}

static void remove_key_file(int fd, const char *path)
{
	static const uint8_t zeros[CIPHER_KEY_MAX];

	if (pwrite(fd, zeros, sizeof(zeros), 0) > 0)
		(void)fsync(fd);
	(void)unlink(path);
}

static int receive_key(struct client *c, struct proto_msg *request, int fd, const char *out_path)
{
	int err = ask(c, request, PROTO_KEY);
	if (err)
		return err;
	err = write_key(fd, &c->channel.msg->key);
	secret_wipe(c->channel.msg, sizeof(*c->channel.msg));
	if (err)
		return keyadm_refuse(
			err, "%s: the key cannot be written: %s", out_path, strerror(-err));
	err = client_next(c);
	if (err)
		return keyadm_refuse(err, "%s", client_strerror(err));
	return keyadm_check_reply(c->channel.msg);
}

static int sync_folder(const char *path)
{
	char resolved[PROTO_PATH_BYTES];

	int err = target_resolve(path, true, resolved);
	if (err)
		return err;
	*(strrchr(resolved, '/') + 1) = '\0';
	int fd = open(resolved, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return keyadm_refuse(-errno, "%s: %s", resolved, strerror(errno));
	if (fsync(fd))
		err = keyadm_refuse(-errno, "%s: %s", resolved, strerror(errno));
	(void)close(fd);
	return err;
}

int keyadm_volume_key(struct client *c, struct proto_msg *request, const char *out_path)
{
	catch_signals();
	int fd = open(
		out_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
	if (fd < 0 && errno == EEXIST)
		return keyadm_refuse(-EEXIST, "%s exists: choose a new file for the key", out_path);
	if (fd < 0)
		return keyadm_refuse(-errno, "%s cannot be created: %s", out_path, strerror(errno));

	c->stop = &stop;
	int err = receive_key(c, request, fd, out_path);
	if (!err)
		err = sync_folder(out_path);
	if (!err && stop)
		err = keyadm_refuse(-EINTR, "interrupted; %s was removed", out_path);
	if (err)
		remove_key_file(fd, out_path);
	(void)close(fd);
	return err;
}
