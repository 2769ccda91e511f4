/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Admin requests about volumes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "admin_requests.h"
#include "inventory.h"
#include "jsonhelp.h"
#include "ledger.h"
#include "secret.h"
#include "text.h"
#include "token.h"

struct volume *request_find_volume(struct request *r, const char *id)
{
	if (!request_store_is_open(r))
		return NULL;
	if (!text_is_uuid(id)) {
		request_answer(r, PROTO_INVALID, NULL,
			"that is no UUID, and a path names no volume: see keyadm volume list");
		return NULL;
	}
	struct volume *volume = keystore_volume(&r->keyd->store, id);
	if (!volume)
		request_answer(r, PROTO_NOT_FOUND, NULL,
			"keyd knows no such volume: see keyadm volume list");
	return volume;
}

bool request_volume_is_unfit(struct request *r, const struct volume *volume)
{
	char when[TEXT_TIME_BYTES];

	switch (keystore_volume_state(volume)) {
	case KEY_ACTIVE:
		return false;
	case KEY_SUSPENDED:
		request_answer(r, PROTO_SUSPENDED, NULL,
			"level %s is suspended: keyadm level resume %s", volume->level->name,
			volume->level->name);
		return true;
	case KEY_DESTROYED:
		text_time(when, volume->destroyed_at);
		request_answer(r, PROTO_DESTROYED, NULL,
			"already destroyed on %s; see keyadm volume show %s", when, volume->uuid);
		return true;
	case KEY_DESTROYING:
		request_answer(r, PROTO_DESTROYED, NULL, "it is being destroyed");
		return true;
	case KEY_SANITIZING:
		request_answer(r, PROTO_BUSY, NULL,
			"its key is being replaced, because an initiator sent SANITIZE: try again "
			"in a moment");
		return true;
	case KEY_DAMAGED:
		break;
	}
	request_answer(r, PROTO_DAMAGED, NULL,
		"the key is damaged: put its file back from a backup and restart keyd");
	return true;
}

/* Checks what the request asks for and fills spec. NULL, or what is wrong with it. */
static const char *check_create(const struct proto_volume_create *c, struct volume_spec *spec)
{
	*spec = (struct volume_spec){
		.path = c->path,
		.cipher = cipher_find(c->cipher),
		.sector_bytes = c->sector_bytes,
		.size_bytes = c->size_bytes,
	};
	if (!spec->cipher)
		return "there is no such cipher";
	if (!cipher_sector_size_ok(spec->sector_bytes))
		return "the sector size is 512 or 4096";
	if (!spec->size_bytes || spec->size_bytes > REQUEST_VOLUME_BYTES_MAX ||
		spec->size_bytes % spec->sector_bytes)
		return "the size is no multiple of the sector size";
	if (!text_is_path(spec->path))
		return "the path is not absolute or not UTF-8, or has control characters or such "
		       "that change the direction of text or are invisible";
	if (text_tgt_refuses(spec->path))
		return "tgt cannot carry the path: choose one without , \" $ ` \\ # or a space at "
		       "its end";
	return NULL;
}

/* The level that the volume is to be in. NULL: it was answered. */
static struct level *level_to_fill(struct request *r)
{
	const char *name = r->msg.volume_create.level;

	if (!request_store_is_open(r))
		return NULL;
	struct level *level = keystore_level(&r->keyd->store, name);
	if (!level) {
		request_answer(r, PROTO_NOT_FOUND, NULL,
			"there is no such level: a security administrator makes it with keyadm "
			"level "
			"create");
		return NULL;
	}
	const struct scope scope = {.level = level};
	if (level->state == KEY_ACTIVE)
		return request_is_in_the_way(r, OPERATION_CREATE, &scope) ? NULL : level;
	enum proto_status status = level->state == KEY_SUSPENDED ? PROTO_SUSPENDED
				   : level->state == KEY_DAMAGED ? PROTO_DAMAGED
								 : PROTO_DESTROYED;
	request_answer(
		r, status, NULL, "level %s is %s", level->name, keystore_state_name(level->state));
	return NULL;
}

static void answer_create_failure(struct request *r, const struct level *level, int rc)
{
	if (rc == -EACCES)
		request_answer(r, PROTO_BUSY, NULL, "level %s is %s now", level->name,
			keystore_state_name(level->state));
	else if (rc == -EBADMSG)
		request_answer(r, PROTO_DAMAGED, NULL,
			"the key of level %s is damaged: put level.key back from a backup and "
			"restart keyd",
			level->name);
	else
		request_answer(
			r, PROTO_FAILED, NULL, "cannot make the volume: %s", token_strerror(rc));
}

/* Sends the header; the draft waits for VOLUME_COMMIT and dies with the connection. */
static void send_header(struct request *r)
{
	struct volume_draft *draft = &r->admin->draft;
	struct proto_msg msg = {.type = PROTO_VOLUME_HEADER, .serial = r->msg.serial};

	msg.volume_header.header_bytes = draft->volume->data_offset_bytes;
	memcpy(msg.volume_header.uuid, draft->volume->uuid, sizeof(msg.volume_header.uuid));
	(void)session_send(r->keyd, &r->admin->session, &msg, draft->header_fd);
	(void)close(draft->header_fd);
	draft->header_fd = -1;
}

void request_volume_create(struct request *r)
{
	struct keystore *ks = &r->keyd->store;
	struct volume_draft *draft = &r->admin->draft;
	struct volume_spec spec;

	if (draft->volume) {
		request_answer(r, PROTO_INVALID, NULL,
			"a volume is being created on this connection: commit it first");
		return;
	}
	const char *wrong = check_create(&r->msg.volume_create, &spec);
	if (wrong) {
		request_answer(r, PROTO_INVALID, NULL, "%s", wrong);
		return;
	}
	struct level *level = level_to_fill(r);
	if (!level)
		return;
	int rc = keystore_volume_prepare(ks, level, &spec, draft);
	if (rc) {
		answer_create_failure(r, level, rc);
		return;
	}
	send_header(r);
}

void request_volume_commit(struct request *r)
{
	struct volume_draft *draft = &r->admin->draft;
	struct volume *volume;

	if (!draft->volume) {
		request_answer(r, PROTO_INVALID, NULL, "no volume is being created");
		return;
	}
	const struct level *level = draft->volume->level;
	if (!request_audit_before(r, "volume-create", level->name, draft->volume, NULL))
		return;
	int rc = keystore_volume_commit(&r->keyd->store, draft, &volume);
	if (rc) {
		request_audit_failure(r, "volume-create", level->name, draft->volume, rc);
		answer_create_failure(r, level, rc);
		keystore_volume_discard(draft);
		return;
	}
	request_answer(r, PROTO_OK, inventory_volume(r->keyd, volume, true), "volume %s is created",
		volume->uuid);
}

void request_volume_list(struct request *r)
{
	const struct level *level = NULL;

	if (!request_store_is_open(r))
		return;
	if (r->msg.level.level[0]) {
		level = request_find_level(r);
		if (!level)
			return;
	}
	struct answer_pieces pieces = {.next = inventory_next_volumes};
	if (level)
		memcpy(pieces.level, level->name, sizeof(pieces.level));
	admin_answer_pieces(r->keyd, r->admin, r->msg.serial, &pieces);
}

void request_volume_show(struct request *r)
{
	const char *id = r->msg.volume_id.id;

	if (id[0] == '/') { /* for keyadm, which compares them with what lies there */
		if (request_store_is_open(r))
			request_answer(r, PROTO_OK, inventory_volumes_at(r->keyd, id), "%s", "");
		return;
	}
	const struct volume *volume = request_find_volume(r, id);
	if (volume)
		request_answer(r, PROTO_OK, inventory_volume(r->keyd, volume, true), "%s", "");
}

/* Ledger and audit log first: a key that left without a trace would void every certificate. */
static int record_export(struct request *r, const struct volume *volume, char id[LEDGER_ID_BYTES])
{
	const struct peer *peer = &r->admin->session.peer;
	const struct ledger_entry entry = {
		.id = id,
		.kind = "volume-key",
		.by = peer,
		.level = volume->level->name,
		.volume = volume->uuid,
		.fingerprint = volume->fingerprint,
	};

	int rc = ledger_new_id(id);
	if (!rc)
		rc = ledger_append(r->keyd->store.dir_fd, &entry);
	if (rc)
		return rc;
	return audit_append(&r->keyd->audit, &(struct audit_event){.event = "volume-key",
						     .by = peer,
						     .level = volume->level->name,
						     .volume = volume->uuid,
						     .path = volume->path,
						     .detail = id,
						     .result = "ok"});
}

static bool key_is_approved(struct request *r, const struct volume *volume)
{
	const char *level = volume->level->name;

	if (!(policy_destroy_rules(&r->keyd->config.policy, level).approval & APPROVAL_VOLUME_KEY))
		return true;
	struct json_object *json = json_object_new_object();
	bool ok = json_add_string(json, "volume", volume->uuid) &&
		  json_add_string(json, "fingerprint", volume->fingerprint);
	const struct approval_needed needed = {PENDING_VOLUME_KEY, level, ok ? json : NULL};
	if (!ok)
		json_object_put(json);
	return request_is_approved(
		r, &needed, "read out the key of volume %s of level %s", volume->uuid, level);
}

void request_volume_key(struct request *r)
{
	char id[LEDGER_ID_BYTES] = "";
	struct volume *volume = request_find_volume(r, r->msg.volume_id.id);
	if (!volume || request_volume_is_unfit(r, volume) || !key_is_approved(r, volume))
		return;
	if (!r->admin->session.page) {
		request_answer(
			r, PROTO_INVALID, NULL, "a key needs a shared page: ask for PAGE first");
		return;
	}

	struct proto_msg *msg = r->keyd->io.msg; /* secret memory */
	*msg = (struct proto_msg){.type = PROTO_KEY, .serial = r->msg.serial};
	int rc = keystore_volume_key(&r->keyd->store, volume, msg->key.key);
	if (!rc)
		rc = record_export(r, volume, id);
	if (!rc) {
		msg->key.key_bytes = (uint32_t)volume->cipher->key_bytes;
		(void)session_send(r->keyd, &r->admin->session, msg, -1);
	}
	secret_wipe(msg, sizeof(*msg));
	if (!rc) {
		request_answer(r, PROTO_OK, NULL, "export %s is in the ledger", id);
		return;
	}
	request_audit_failure(r, "volume-key", volume->level->name, volume, rc);
	if (rc == -EBADMSG)
		(void)request_volume_is_unfit(r, volume); /* it is marked damaged now */
	else
		request_answer(r, PROTO_FAILED, NULL,
			"the key did not leave: it cannot be read or recorded: %s",
			token_strerror(rc));
}

void request_volume_destroy(struct request *r)
{
	struct volume *volume = request_find_volume(r, r->msg.volume_id.id);

	if (!volume)
		return;
	const struct scope scope = {.level = volume->level, .volume = volume};
	enum key_state state = keystore_volume_state(volume);
	if (request_is_in_the_way(r, OPERATION_DESTROY_VOLUME, &scope))
		return;
	if ((state == KEY_DESTROYED || volume->level->state == KEY_DESTROYING) &&
		request_volume_is_unfit(r, volume))
		return;
	request_destroy(r, &scope);
}

/* The path is a hint for people, and no key moves; keyadm has looked what lies there. */
void request_volume_relocate(struct request *r)
{
	const struct proto_volume_relocate *to = &r->msg.volume_relocate;
	struct volume *volume = request_find_volume(r, to->uuid);

	if (!volume)
		return;
	const struct scope scope = {.level = volume->level, .volume = volume};
	/* As a resize, it writes the record anew. */
	if (request_is_in_the_way(r, OPERATION_RESIZE, &scope) ||
		request_volume_is_unfit(r, volume))
		return;
	if (!text_is_path(to->path) || text_tgt_refuses(to->path)) {
		request_answer(r, PROTO_INVALID, NULL, "that is no path that tgt could carry");
		return;
	}
	if (!request_audit_before(r, "volume-relocate", volume->level->name, volume, to->path))
		return;
	int rc = keystore_volume_relocate(&r->keyd->store, volume, to->path);
	if (!rc) {
		request_answer(r, PROTO_OK, inventory_volume(r->keyd, volume, true),
			"volume %s is recorded at its new path", volume->uuid);
		return;
	}
	request_audit_failure(r, "volume-relocate", volume->level->name, volume, rc);
	if (rc == -EBADMSG)
		(void)request_volume_is_unfit(r, volume); /* it is marked damaged now */
	else
		request_answer(r, PROTO_FAILED, NULL,
			"cannot record the path, and a restart may find the old or the new one: %s",
			token_strerror(rc));
}
