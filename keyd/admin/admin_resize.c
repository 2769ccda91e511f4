/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * VOLUME_RESIZE: the record becomes larger, then every tgtd that has the volume open is told to ask for it
 * again, and the administrator how many have taken the new size. keyd cannot measure the file, so a size that no tgtd
 * has served yet can be taken back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin_requests.h"
#include "inventory.h"
#include "revocation.h"
#include "token.h"

enum { DETAIL_BYTES = 80 };

struct resize {
	struct revocation rev; /* first */
	struct admin_waiting waiting;
	uint64_t old_size_bytes;
};

/* What to do when a tgtd did not take the size. */
static void advise(const struct volume *volume, char text[PROTO_MESSAGE_BYTES / 4])
{
	if (volume->served_bytes)
		(void)snprintf(text, PROTO_MESSAGE_BYTES / 4,
			"take the size back: keyadm volume resize %s %" PRIu64, volume->uuid,
			volume->served_bytes);
	else
		(void)snprintf(text, PROTO_MESSAGE_BYTES / 4, "open the LUN anew");
}

static void on_told(struct keyd *keyd, struct revocation *rev)
{
	struct resize *resize = (struct resize *)rev;
	const struct volume *volume = rev->scope.volume;
	char names[PROTO_MESSAGE_BYTES - 352], advice[PROTO_MESSAGE_BYTES / 4];

	advise(volume, advice);
	size_t missing = revocation_missing(rev, names, sizeof(names));
	struct json_object *json = inventory_volume(keyd, volume, true);
	if (missing)
		admin_answer_waiting(keyd, &resize->waiting, PROTO_UNPROVEN, json,
			"volume %s has %" PRIu64 " bytes on record, but %zu did not confirm to "
			"serve them: %s; look into its log and give the command again, or %s",
			volume->uuid, volume->size_bytes, missing, names, advice);
	else
		admin_answer_waiting(keyd, &resize->waiting, PROTO_OK, json,
			"volume %s has %" PRIu64 " bytes%s; %zu tgtd serve them", volume->uuid,
			volume->size_bytes,
			volume->size_bytes == resize->old_size_bytes ? " already" : "",
			revocation_acknowledged(rev));
	free(resize);
}

/* NULL, or what is wrong with the size. */
static const char *check_size(const struct volume *volume, uint64_t size_bytes)
{
	if (size_bytes < volume->size_bytes &&
		(!volume->served_bytes || size_bytes < volume->served_bytes))
		return "volumes do not shrink: what is past the new end would be lost; only a size "
		       "that no tgtd has served yet can be taken back";
	if (size_bytes > REQUEST_VOLUME_BYTES_MAX || size_bytes % volume->sector_bytes)
		return "the size is too large, or no multiple of the sector size";
	return NULL;
}

/* A tgtd of an earlier version would refuse the volume when it sees another size. */
static const struct peer *find_unable(const struct keyd *keyd, const struct volume *volume)
{
	for (size_t i = 0; i < keyd->session_count; i++) {
		const struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (consumer && !consumer->grows && consumer_holds_volume(consumer, volume))
			return &consumer->session.peer;
	}
	return NULL;
}

/* False: answered. */
static bool is_possible(struct request *r, struct volume *volume)
{
	const char *wrong = check_size(volume, r->msg.volume_resize.size_bytes);
	const struct peer *unable = find_unable(r->keyd, volume);

	const struct scope scope = {.level = volume->level, .volume = volume};

	if (request_is_in_the_way(r, OPERATION_RESIZE, &scope) ||
		request_volume_is_unfit(r, volume))
		return false;
	if (wrong) {
		request_answer(r, PROTO_INVALID, NULL, "%s", wrong);
		return false;
	}
	if (r->msg.volume_resize.size_bytes < volume->size_bytes &&
		revocation_resizes(r->keyd, volume)) {
		request_answer(r, PROTO_BUSY, NULL,
			"a tgtd is about to serve the size on record: try again in a moment");
		return false;
	}
	if (unable)
		request_answer(r, PROTO_BUSY, NULL,
			"tgtd pid %d uid %u has the volume open and has not told that it can "
			"become larger there: if it is connected, its plugin is of an earlier "
			"version, and its LUN has to be taken away first",
			(int)unable->pid, (unsigned)unable->uid);
	return !unable;
}

/* The record, durably. False: answered. */
static bool record_size(struct request *r, struct volume *volume)
{
	uint64_t size_bytes = r->msg.volume_resize.size_bytes;
	char detail[DETAIL_BYTES];

	if (size_bytes == volume->size_bytes)
		return true;
	(void)snprintf(detail, sizeof(detail), "%" PRIu64 " to %" PRIu64 " bytes",
		volume->size_bytes, size_bytes);
	if (!request_audit_before(r, "volume-resize", volume->level->name, volume, detail))
		return false;
	int rc = keystore_volume_resize(&r->keyd->store, volume, size_bytes);
	if (!rc)
		return true;
	request_audit_failure(r, "volume-resize", volume->level->name, volume, rc);
	if (rc == -EBADMSG)
		(void)request_volume_is_unfit(r, volume); /* it is marked damaged now */
	else
		request_answer(r, PROTO_FAILED, NULL,
			"cannot record the new size, and a restart may find the old or the new "
			"one: %s",
			token_strerror(rc));
	return false;
}

/* Also when nothing changed: somebody may not have taken the size last time. */
static void tell_holders(struct request *r, struct volume *volume, uint64_t old_size_bytes)
{
	struct resize *resize = calloc(1, sizeof(*resize));

	if (!resize) {
		request_answer(r, PROTO_FAILED, NULL,
			"the new size is on record, but keyd has no memory to tell who serves it: "
			"give the command again");
		return;
	}
	resize->rev.type = PROTO_RESTORE;
	resize->rev.reason = PROTO_REASON_RESIZE;
	resize->rev.scope = (struct scope){.level = volume->level, .volume = volume};
	resize->rev.done = on_told;
	resize->old_size_bytes = old_size_bytes;
	admin_wait(r->admin, &resize->waiting, r->msg.serial);
	revocation_start(r->keyd, &resize->rev); /* on_told() frees it */
}

void request_volume_resize(struct request *r)
{
	struct volume *volume = request_find_volume(r, r->msg.volume_resize.id);

	if (!volume || !is_possible(r, volume))
		return;
	uint64_t old_size_bytes = volume->size_bytes;
	if (!r->msg.volume_resize.commit)
		request_answer(r, PROTO_OK, inventory_volume(r->keyd, volume, true), "%s", "");
	else if (record_size(r, volume))
		tell_holders(r, volume, old_size_bytes);
}
