/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyadm_exchange.h"
#include "keyadm_format.h"
#include "keyadm_header.h"
#include "keyadm_target.h"
#include "text.h"

enum { LISTED_MAX = 4, LIST_BYTES = 512 };

bool identity_is_uuid(const char *text, char uuid[PROTO_UUID_BYTES])
{
	memset(uuid, 0, PROTO_UUID_BYTES);
	for (size_t i = 0; text[i] && i + 1 < PROTO_UUID_BYTES; i++)
		uuid[i] =
			(char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] + ('a' - 'A') : text[i]);
	return text_is_uuid(uuid);
}

int identity_check_path(const char *path)
{
	const char *refused = text_tgt_refuses(path);

	if (!refused)
		return 0;
	return keyadm_refuse(-EINVAL,
		"%s: tgt could not serve it: a path with '%c'%s does not get through tgtadm, "
		"tgt-admin or targets.conf: choose a path without , \" $ ` \\ # and without a "
		"space at its end, such as a symbolic link to this one",
		path, *refused, *refused == ' ' ? " at its end" : "");
}

/* Opens a file or block device to read. O_NONBLOCK: a FIFO must not hold anybody up. */
static int open_store(const char *path)
{
	struct stat st;

	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) ? -errno : 0;
	if (!rc && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		rc = -EINVAL;
	if (rc)
		(void)close(fd);
	return rc ? rc : fd;
}

/* The UUID that the header of fd tells. */
static int read_uuid(int fd, char uuid[PROTO_UUID_BYTES])
{
	struct luks_segment segment;
	struct header header = {0};

	int rc = header_read(fd, &header);
	if (!rc)
		rc = header_segment(&header, &segment);
	if (!rc)
		memcpy(uuid, segment.uuid, PROTO_UUID_BYTES);
	return rc;
}

static const char *why(int rc)
{
	return rc == -EINVAL ? "no LUKS2 header of a volume is there" : strerror(-rc);
}

/* "UUID (active), UUID (destroyed)" of the records; how many. */
static size_t list_records(struct json_object *records, bool alive, char list[LIST_BYTES])
{
	size_t count = 0, used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < json_object_array_length(records); i++) {
		struct json_object *v = json_object_array_get_idx(records, i);
		if (alive && !strcmp(format_member(v, "state"), "destroyed"))
			continue;
		if (count++ < LISTED_MAX)
			used += (size_t)snprintf(list + used, LIST_BYTES - used, "%s%s (%s)",
				used ? ", " : "", format_member(v, "uuid"),
				format_member(v, "state"));
	}
	if (count > LISTED_MAX)
		(void)snprintf(list + used, LIST_BYTES - used, " and %zu more", count - LISTED_MAX);
	return count;
}

static bool has_record(struct json_object *records, const char *uuid)
{
	for (size_t i = 0; i < json_object_array_length(records); i++) {
		struct json_object *v = json_object_array_get_idx(records, i);
		if (!strcmp(format_member(v, "uuid"), uuid))
			return true;
	}
	return false;
}

/* Asks keyd for what it has on record under id, a UUID or a path. */
static int ask_records(struct client *c, const char *id, struct json_object **records)
{
	struct proto_msg show = {.type = PROTO_VOLUME_SHOW};

	*records = NULL;
	int err = text_copy(show.volume_id.id, sizeof(show.volume_id.id), id);
	if (!err)
		err = keyadm_ask(c, &show, PROTO_REPLY);
	if (err)
		return err;
	*records = json_tokener_parse(c->text);
	bool fits =
		json_object_is_type(*records, id[0] == '/' ? json_type_array : json_type_object);
	return fits ? 0 : keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
}

static int refuse_unreadable(const char *path, int rc, struct json_object *records)
{
	char list[LIST_BYTES];

	if (!list_records(records, false, list))
		return keyadm_refuse(rc,
			"%s: %s, and keyd knows no such volume: see keyadm volume list", path,
			why(rc));
	return keyadm_refuse(rc,
		"%s: %s, so this path names no volume now: give the UUID; keyd has %s recorded "
		"there",
		path, why(rc), list);
}

/* A loop device is the file below it. */
static bool loop_backing(int fd, struct stat *st)
{
	struct loop_info64 info;

	if (!S_ISBLK(st->st_mode) || ioctl(fd, LOOP_GET_STATUS64, &info) || info.lo_offset)
		return false;
	st->st_dev = (dev_t)info.lo_device;
	st->st_ino = (ino_t)info.lo_inode;
	return true;
}

static bool is_same_store(int a, int b)
{
	struct stat one, other;

	if (fstat(a, &one) || fstat(b, &other))
		return false;
	if (S_ISBLK(one.st_mode) && S_ISBLK(other.st_mode) && one.st_rdev == other.st_rdev)
		return true;
	bool files = (S_ISREG(one.st_mode) || loop_backing(a, &one)) &&
		     (S_ISREG(other.st_mode) || loop_backing(b, &other));
	return files && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* The volume lies at the path that was named. Does it lie at the one on record, too? Then one of them is a copy. */
static int check_moved(const struct identity *identity, int fd, const char *recorded)
{
	char uuid[PROTO_UUID_BYTES];

	if (recorded[0] != '/' || !strcmp(recorded, identity->path))
		return 0;
	int there = open_store(recorded);
	int rc = there < 0 ? there : read_uuid(there, uuid);
	bool same = there >= 0 && is_same_store(fd, there);
	if (there >= 0)
		(void)close(there);
	bool gone = rc == -ENOENT || rc == -ENOTDIR || rc == -ENXIO || rc == -ENODEV ||
		    rc == -EINVAL || (!rc && strcmp(uuid, identity->uuid) != 0);
	if (same || gone)
		return 0;
	if (rc)
		return keyadm_refuse(rc,
			"%s holds volume %s, which keyd has recorded at %s, and what is there "
			"cannot be seen: %s: give the UUID if you mean this volume",
			identity->path, identity->uuid, recorded, why(rc));
	return keyadm_refuse(-ENOTUNIQ,
		"%s and %s both hold volume %s, and one of them is a copy: give the UUID if you "
		"mean "
		"the volume, with all its copies",
		identity->path, recorded, identity->uuid);
}

/* What keyd has on record at the path, and of the volume that lies there. */
static int check_records(
	struct client *c, const struct identity *identity, int fd, struct json_object *records)
{
	struct json_object *volume = NULL;
	char list[LIST_BYTES];

	if (has_record(records, identity->uuid))
		return 0;
	if (list_records(records, true, list))
		return keyadm_refuse(-ENOTUNIQ,
			"%s holds volume %s, but keyd has %s recorded there: give the UUID of the "
			"one you mean, or record where it lies with keyadm volume relocate %s",
			identity->path, identity->uuid, list, identity->path);
	int err = ask_records(c, identity->uuid, &volume);
	if (!err)
		err = check_moved(identity, fd, format_member(volume, "path"));
	json_object_put(volume);
	return err;
}

static int find_at(struct client *c, struct identity *identity)
{
	struct json_object *records;

	int err = ask_records(c, identity->path, &records);
	if (err) {
		json_object_put(records);
		return err;
	}
	int fd = open_store(identity->path);
	int rc = fd < 0 ? fd : read_uuid(fd, identity->uuid);
	err = rc ? refuse_unreadable(identity->path, rc, records)
		 : check_records(c, identity, fd, records);
	if (fd >= 0)
		(void)close(fd);
	json_object_put(records);
	return err;
}

int identity_find(struct client *c, const char *id, struct identity *identity)
{
	*identity = (struct identity){0};
	if (identity_is_uuid(id, identity->uuid))
		return 0;
	int err = target_resolve(id, false, identity->path);
	return err ? err : find_at(c, identity);
}

int identity_at(const char *path, const char *uuid, struct identity *identity)
{
	*identity = (struct identity){0};
	int err = target_resolve(path, true, identity->path);
	if (!err)
		err = identity_check_path(identity->path);
	if (err)
		return err;
	int fd = open_store(identity->path);
	int rc = fd < 0 ? fd : read_uuid(fd, identity->uuid);
	if (fd >= 0)
		(void)close(fd);
	if (rc)
		return keyadm_refuse(rc, "%s: %s: a path is recorded where the volume lies",
			identity->path, why(rc));
	if (!uuid || !strcmp(uuid, identity->uuid))
		return 0;
	return keyadm_refuse(
		-ENOTUNIQ, "%s holds volume %s, not %s", identity->path, identity->uuid, uuid);
}

int identity_check_unused(struct client *c, const char *path, int fd)
{
	struct proto_msg show = {.type = PROTO_VOLUME_SHOW};
	char uuid[PROTO_UUID_BYTES];

	int rc = read_uuid(fd, uuid);
	if (rc == -EINVAL)
		return 0;
	if (rc)
		return keyadm_refuse(rc, "%s: %s", path, strerror(-rc));
	rc = text_copy(show.volume_id.id, sizeof(show.volume_id.id), uuid)
		     ?: client_request(c, &show);
	if (rc)
		return keyadm_refuse(rc, "%s", client_strerror(rc));
	if (c->channel.msg->reply.status == PROTO_NOT_FOUND)
		return 0;
	rc = keyadm_check_reply(c->channel.msg);
	if (rc)
		return rc;
	struct json_object *volume = json_tokener_parse(c->text);
	if (strcmp(format_member(volume, "state"), "destroyed") != 0)
		rc = keyadm_refuse(-EEXIST,
			"%s holds volume %s of level %s, which is %s: destroy that volume first, "
			"or choose another path",
			path, uuid, format_member(volume, "level"), format_member(volume, "state"));
	json_object_put(volume);
	return rc;
}
