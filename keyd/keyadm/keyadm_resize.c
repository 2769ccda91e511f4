/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_resize.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <string.h>

#include "keyadm_args.h"
#include "keyadm_exchange.h"
#include "keyadm_format.h"
#include "keyadm_header.h"
#include "keyadm_identity.h"
#include "keyadm_target.h"
#include "text.h"

struct resize {
	struct client *c;
	struct proto_msg *request; /* VOLUME_RESIZE */
	struct target target;
	struct identity volume; /* its path is keyd's where none was given */
	/* Of keyd's record. */
	uint32_t sector_bytes;
	uint64_t data_offset_bytes, size_bytes;
};

static int take_record(struct resize *r)
{
	struct json_object *volume = json_tokener_parse(r->c->text);

	int err = !volume;
	if (!err && !r->volume.path[0])
		err = text_copy(
			r->volume.path, sizeof(r->volume.path), format_member(volume, "path"));
	r->sector_bytes = (uint32_t)format_count(volume, "sector_size");
	r->data_offset_bytes = format_count(volume, "data_offset_bytes");
	r->size_bytes = format_count(volume, "size_bytes");
	json_object_put(volume);
	if (!err && r->sector_bytes && r->size_bytes <= VOLUME_BYTES_MAX &&
		r->data_offset_bytes <= VOLUME_BYTES_MAX)
		return 0;
	return keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
}

static int ask_record(struct resize *r)
{
	struct proto_msg show = {.type = PROTO_VOLUME_SHOW};

	int err = text_copy(
		show.volume_id.id, sizeof(show.volume_id.id), r->request->volume_resize.id);
	if (!err)
		err = keyadm_ask(r->c, &show, PROTO_REPLY);
	return err ? err : take_record(r);
}

/* keyd may have moved on since, and so may the administrators: asked under the lock, and between the steps. */
static int ask_whether(void *arg)
{
	struct resize *r = arg;

	r->request->volume_resize.commit = 0;
	int err = keyadm_ask(r->c, r->request, PROTO_REPLY);
	return err ? err : take_record(r);
}

static int parse_size(const struct resize *r, const char *text, uint64_t *size_bytes)
{
	uint64_t total = r->target.size_bytes;

	if (!strcmp(text, "max")) {
		*size_bytes = total < r->data_offset_bytes
				      ? 0
				      : (total - r->data_offset_bytes) / r->sector_bytes *
						r->sector_bytes;
		return 0;
	}
	switch (keyadm_parse_size(text, r->sector_bytes, size_bytes)) {
	case 0:
		return 0;
	case -ERANGE:
		return keyadm_refuse(-ERANGE, "%s: a volume has between 1M and 4194304T", text);
	case -EDOM:
		return keyadm_refuse(-EDOM,
			"%s is no multiple of the sector size, %" PRIu32 " bytes: choose another",
			text, r->sector_bytes);
	default:
		return keyadm_refuse(
			-EINVAL, "%s: give the new size as max, or as " KEYADM_SIZE_FORMS, text);
	}
}

/* Where the volume was, another file may be now. */
static int check_header(const struct resize *r)
{
	struct luks_segment segment;
	struct header header = {0};

	int rc = header_read(r->target.fd, &header);
	if (rc)
		return keyadm_refuse(rc, "%s: %s", r->volume.path, strerror(-rc));
	if (!header_segment(&header, &segment) && !strcmp(segment.uuid, r->volume.uuid))
		return 0;
	return keyadm_refuse(-EBADMSG,
		"%s does not hold volume %s: give the path where it lies, put its image back "
		"there, or its LUKS2 header from a backup",
		r->volume.path, r->volume.uuid);
}

/* A size that is taken back needs no room; one that is not there is what it is taken back for. */
static int check_room(const struct resize *r, uint64_t end_bytes)
{
	uint64_t total = r->target.size_bytes;

	if (r->target.is_block && end_bytes > total)
		return keyadm_refuse(-ENOSPC,
			"%s has %" PRIu64 " bytes; the volume and its header need %" PRIu64
			": make the device larger first, or say max",
			r->volume.path, total, end_bytes);
	if (r->data_offset_bytes + r->size_bytes > total && end_bytes > total)
		return keyadm_refuse(-EIO,
			"%s has %" PRIu64
			" bytes, which is less than the volume: a part of it is lost; bring it "
			"back, or make the file longer with fallocate(1)",
			r->volume.path, total);
	return 0;
}

/* Whether keyd's answer leaves no doubt that the record is as it was. */
static bool is_refused(const struct proto_msg *reply)
{
	return reply->type == PROTO_REPLY && reply->reply.status != PROTO_OK &&
	       reply->reply.status != PROTO_UNPROVEN && reply->reply.status != PROTO_FAILED;
}

static int commit(struct resize *r)
{
	r->c->stop = NULL; /* too late to turn back */
	r->request->volume_resize.commit = 1;
	int err = client_request(r->c, r->request);
	if (err)
		return keyadm_refuse(err,
			"%s: keyd may have recorded the new size or not; give the same command "
			"again",
			r->volume.path);
	if (is_refused(r->c->channel.msg))
		target_shrink_back(&r->target);
	return 0; /* the answer is told by the caller */
}

static int grow(struct resize *r, const char *size)
{
	const struct target_watch watch = {.on_step = ask_whether, .arg = r};
	uint64_t size_bytes;

	int err = check_header(r);
	if (!err)
		err = parse_size(r, size, &size_bytes);
	if (err)
		return err;
	r->request->volume_resize.size_bytes = size_bytes;
	err = ask_whether(r);
	if (!err)
		err = check_room(r, r->data_offset_bytes + size_bytes);
	if (!err && size_bytes > r->size_bytes)
		err = target_grow(&r->target, r->data_offset_bytes + r->size_bytes,
			r->data_offset_bytes + size_bytes, &watch);
	return err ? err : commit(r);
}

int keyadm_volume_resize(
	struct client *c, struct proto_msg *request, const char *id, const char *size)
{
	struct resize r = {.c = c, .request = request};

	int err = identity_find(c, id, &r.volume);
	if (!err)
		err = text_copy(request->volume_resize.id, sizeof(request->volume_resize.id),
			r.volume.uuid);
	if (!err)
		err = ask_record(&r);
	if (!err) { /* who may not, or what cannot be, is told before the file is looked at */
		request->volume_resize.size_bytes = r.size_bytes;
		err = ask_whether(&r);
	}
	if (err)
		return err;
	keyadm_catch_signals();
	err = target_open_volume(&r.target, r.volume.path);
	if (err)
		return err;
	c->stop = r.target.stop = &keyadm_stop;
	err = grow(&r, size);
	target_close(&r.target, true);
	return err;
}
