/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Admin requests about keys that leave, and about the ledger of those that did. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "admin_requests.h"
#include "clock.h"
#include "envelope.h"
#include "inventory.h"
#include "jsonhelp.h"
#include "keystore_backup.h"
#include "ledger.h"
#include "recipients.h"
#include "secret.h"
#include "text.h"

enum { SHARE_COUNT_MAX = 255, TO_BYTES = 64 };

/* An export on its way out. */
struct outgoing {
	struct level **levels; /* owned; the levels are the store's */
	size_t count;
	struct recipients recipients; /* none: for a passphrase */
	struct package_head head;
	uint8_t *plain; /* owned, secret memory */
	size_t plain_bytes;
	uint8_t *file; /* owned */
	size_t file_bytes;
	char sha256[2 * SHA256_DIGEST_LENGTH + 1]; /* of the file */
	char to[TO_BYTES];
};

static void clear(struct outgoing *out)
{
	free(out->levels);
	recipients_clear(&out->recipients);
	secret_free(out->plain);
	free(out->file);
}

static bool others_upload(const struct request *r)
{
	for (size_t i = 0; i < r->keyd->session_count; i++) {
		struct session *session = r->keyd->sessions[i];
		const struct admin *other = (const struct admin *)session;
		if (session->kind == &admin_kind && other != r->admin && other->upload.bytes)
			return true;
	}
	return false;
}

void request_upload(struct request *r)
{
	if (others_upload(r)) { /* locked memory is scarce */
		request_answer(r, PROTO_BUSY, NULL,
			"somebody else is exporting or importing: try again when that is done");
		return;
	}
	int rc = upload_add(&r->admin->upload, r->chunk);
	if (!rc)
		request_answer(r, PROTO_OK, NULL, "%s", "");
	else if (rc == -EFBIG)
		request_answer(r, PROTO_INVALID, NULL, "it is longer than %d bytes: no export is",
			UPLOAD_BYTES_MAX);
	else if (rc == -EINVAL)
		request_answer(r, PROTO_INVALID, NULL, "not the next chunk of the upload");
	else
		request_answer(r, PROTO_FAILED, NULL,
			"keyd has no memory for it, or may not lock it: raise LimitMEMLOCK");
}

/* Level by level, all that are not destroyed. False: it has been answered. */
static bool choose_levels(struct request *r, struct outgoing *out)
{
	const struct keystore *ks = &r->keyd->store;
	const char *name = r->msg.export.level;

	out->levels = calloc(ks->level_count + 1, sizeof(void *));
	if (!out->levels) {
		request_answer(r, PROTO_FAILED, NULL, "out of memory");
		return false;
	}
	for (size_t i = 0; i < ks->level_count; i++) {
		struct level *level = ks->levels[i];
		if (name[0] ? strcmp(level->name, name) != 0 : level->state == KEY_DESTROYED)
			continue;
		const struct scope scope = {.level = level};
		if (request_is_in_the_way(r, OPERATION_EXPORT, &scope) ||
			request_level_is_unfit(r, level))
			return false;
		out->levels[out->count++] = level;
	}
	if (!out->count)
		request_answer(r, PROTO_NOT_FOUND, NULL,
			name[0] ? "there is no such level: see keyadm level list"
				: "there is no level to export");
	return out->count > 0;
}

/* For whom, as the request has it. False: it has been answered. */
static bool choose_recipients(struct request *r, struct outgoing *out)
{
	const struct upload *upload = &r->admin->upload;
	const struct proto_export *e = &r->msg.export;
	char why[RECIPIENTS_WHY_BYTES] = "";

	if (!upload->bytes) {
		(void)snprintf(out->to, sizeof(out->to), "passphrase");
		if (e->threshold || e->shares)
			(void)snprintf(out->to, sizeof(out->to),
				"passphrase, split %" PRIu32 " of %" PRIu32, e->threshold,
				e->shares);
		if (e->threshold <= e->shares && e->shares <= SHARE_COUNT_MAX &&
			r->passphrase->len_bytes)
			return true;
		request_answer(
			r, PROTO_INVALID, NULL, "an export needs certificates or a passphrase");
		return false;
	}
	(void)snprintf(out->to, sizeof(out->to), "recipients");
	if (upload_complete(upload) || r->passphrase->len_bytes) {
		request_answer(r, PROTO_INVALID, NULL,
			"an export is for certificates or for a passphrase: not for both");
		return false;
	}
	if (!recipients_parse(&out->recipients, upload->bytes, upload->total_bytes, why))
		return true;
	request_answer(r, PROTO_INVALID, NULL, "nothing was exported: %s", why);
	return false;
}

static size_t needed_bytes(const struct outgoing *out)
{
	size_t volumes = 0, paths_bytes = 0, path_bytes;

	for (size_t i = 0; i < out->count; i++) {
		volumes += keystore_export_volumes(out->levels[i], &path_bytes);
		paths_bytes += path_bytes;
	}
	return package_bytes(out->count, volumes, paths_bytes);
}

static int fill_head(struct outgoing *out)
{
	char host[PACKAGE_HOST_BYTES] = "";

	out->head.made_at = clock_wall_seconds();
	out->head.levels = (uint32_t)out->count;
	if (gethostname(host, sizeof(host) - 1)) {
		/* It is for people only: an empty one will do. */
	}
	text_sanitize(out->head.host, sizeof(out->head.host), host);
	return ledger_new_id(out->head.id);
}

/* *bad: the level that is damaged, or has a damaged volume. */
static int pack(struct request *r, struct outgoing *out, const struct level **bad,
	const struct volume **bad_volume)
{
	struct package_writer w = {.cap_bytes = needed_bytes(out)};

	if (w.cap_bytes > PACKAGE_BYTES_MAX)
		return -EFBIG;
	int rc = fill_head(out);
	if (rc)
		return rc;
	w.bytes = out->plain = secret_alloc(w.cap_bytes);
	if (!w.bytes)
		return -ENOMEM;
	rc = package_begin(&w, &out->head);
	for (size_t i = 0; !rc && i < out->count; i++) {
		*bad = out->levels[i];
		rc = keystore_export_level(&r->keyd->store, out->levels[i], &w, bad_volume);
	}
	if (!rc)
		rc = package_end(&w);
	out->plain_bytes = w.used_bytes;
	return rc;
}

static int seal(const struct request *r, struct outgoing *out)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	int rc = out->recipients.count ? recipients_seal(&out->recipients, out->plain,
						 out->plain_bytes, &out->file, &out->file_bytes)
				       : envelope_seal(out->plain, out->plain_bytes, out->head.id,
						 r->passphrase, &out->file, &out->file_bytes);
	if (rc)
		return rc;
	if (!SHA256(out->file, out->file_bytes, digest))
		return -EIO;
	text_hex(digest, sizeof(digest), out->sha256);
	return 0;
}

static void answer_failure(
	struct request *r, int rc, const struct level *bad, const struct volume *bad_volume)
{
	switch (rc) {
	case -EBADMSG:
		request_answer(r, PROTO_DAMAGED, NULL,
			"nothing was exported: the key of %s %s is damaged: put its file back from "
			"a backup and restart keyd",
			bad_volume ? "volume" : "level", bad_volume ? bad_volume->uuid : bad->name);
		break;
	case -EFBIG:
		request_answer(r, PROTO_FAILED, NULL,
			"nothing was exported: it would be longer than %d MiB: export level by "
			"level",
			PACKAGE_BYTES_MAX >> 20);
		break;
	case -EKEYREJECTED:
		request_answer(r, PROTO_INVALID, NULL,
			"nothing was exported: a passphrase needs 8 bytes at least");
		break;
	case -ENOMEM:
		request_answer(r, PROTO_FAILED, NULL,
			"nothing was exported: keyd has no memory for it, or may not lock it: "
			"raise LimitMEMLOCK");
		break;
	default:
		request_answer(r, PROTO_FAILED, NULL, "nothing was exported: %s", strerror(-rc));
	}
}

/* Ledger and audit log first: a key that left without a trace would void every certificate. */
static int record(struct request *r, const struct outgoing *out, struct json_object *recipients)
{
	const struct peer *peer = &r->admin->session.peer;
	char detail[PROTO_MESSAGE_BYTES];
	int rc = 0;

	(void)snprintf(
		detail, sizeof(detail), "%s to %s, sha256 %s", out->head.id, out->to, out->sha256);
	for (size_t i = 0; !rc && i < out->count; i++) {
		const struct ledger_entry entry = {
			.id = out->head.id,
			.kind = "export",
			.by = peer,
			.level = out->levels[i]->name,
			.fingerprint = out->levels[i]->fingerprint,
			.to = out->to,
			.recipients = out->recipients.count ? recipients : NULL,
			.sha256 = out->sha256,
		};
		rc = ledger_append(r->keyd->store.dir_fd, &entry);
		if (!rc)
			rc = audit_append(&r->keyd->audit, &(struct audit_event){.event = "export",
								   .by = peer,
								   .level = entry.level,
								   .detail = detail,
								   .result = "ok"});
	}
	return rc;
}

static struct json_object *levels_json(const struct outgoing *out)
{
	struct json_object *array = json_object_new_array();
	size_t path_bytes;
	bool ok = array != NULL;

	for (size_t i = 0; ok && i < out->count; i++) {
		const struct level *level = out->levels[i];
		struct json_object *one = json_object_new_object();
		ok = json_add_string(one, "name", level->name) &&
		     json_add_string(one, "fingerprint", level->fingerprint) &&
		     json_add_number(one, "volumes", keystore_export_volumes(level, &path_bytes));
		ok = json_append(array, one) && ok;
	}
	if (ok)
		return array;
	json_object_put(array);
	return NULL;
}

/* recipients is taken over. NULL: out of memory. */
static struct json_object *answer_json(const struct outgoing *out, struct json_object *recipients)
{
	struct json_object *json = json_object_new_object();

	bool ok = json_add_string(json, "id", out->head.id) &&
		  json_add_time(json, "made_at", out->head.made_at) &&
		  json_add_string(json, "to", out->to) &&
		  json_add_string(json, "sha256", out->sha256) &&
		  json_add_number(json, "file_bytes", out->file_bytes) &&
		  json_add(json, "levels", levels_json(out));
	ok = json_add(json, "recipients", recipients) && ok;
	if (ok)
		return json;
	json_object_put(json);
	return NULL;
}

/* The file, in a memfd that the caller closes; or -errno. */
static int to_memfd(const struct outgoing *out)
{
	int fd = memfd_create("export", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < out->file_bytes;) {
		ssize_t n = write(fd, out->file + done, out->file_bytes - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int rc = n ? -errno : -EIO;
			(void)close(fd);
			return rc;
		}
		done += (size_t)n;
	}
	return fd;
}

static void send_file(struct request *r, const struct outgoing *out, int fd)
{
	struct proto_msg msg = {.type = PROTO_EXPORTED, .serial = r->msg.serial};

	msg.exported.file_bytes = out->file_bytes;
	memcpy(msg.exported.id, out->head.id, sizeof(msg.exported.id));
	(void)session_send(r->keyd, &r->admin->session, &msg, fd);
}

/* Everything is sealed: record it, and let it go. */
static void release(struct request *r, const struct outgoing *out)
{
	struct json_object *recipients = recipients_json(&out->recipients);
	int fd = to_memfd(out);
	int rc = fd < 0 ? fd : recipients ? record(r, out, recipients) : -ENOMEM;

	if (rc) {
		request_audit_failure(r, "export", out->levels[0]->name, NULL, rc);
		request_answer(r, PROTO_FAILED, NULL,
			"nothing left keyd: the export cannot be recorded: %s", strerror(-rc));
		json_object_put(recipients);
	} else {
		send_file(r, out, fd);
		request_answer(r, PROTO_OK, answer_json(out, recipients),
			"export %s is in the ledger", out->head.id);
	}
	if (fd >= 0)
		(void)close(fd);
}

static bool needs_approval(const struct request *r, const struct outgoing *out)
{
	const struct policy *policy = &r->keyd->config.policy;

	for (size_t i = 0; i < out->count; i++) {
		if (policy_destroy_rules(policy, out->levels[i]->name).approval & APPROVAL_EXPORT)
			return true;
	}
	return false;
}

/* Bound to the levels' keys, so that a level made since is not among them, and to each certificate. */
static bool export_is_approved(struct request *r, const struct outgoing *out)
{
	const char *level = out->count == 1 ? out->levels[0]->name : NULL;

	if (!needs_approval(r, out))
		return true;
	struct json_object *json = json_object_new_object(), *levels = json_object_new_array();
	bool ok = levels != NULL;
	for (size_t i = 0; ok && i < out->count; i++) {
		struct json_object *one = json_object_new_object();
		ok = json_add_string(one, "name", out->levels[i]->name) &&
		     json_add_string(one, "fingerprint", out->levels[i]->fingerprint);
		ok = json_append(levels, one) && ok;
	}
	ok = json_add(json, "levels", levels) && ok;
	ok = ok && json_add_string(json, "to", out->to) &&
	     json_add(json, "recipients", recipients_json(&out->recipients));
	const struct approval_needed needed = {PENDING_EXPORT, level, ok ? json : NULL};
	if (!ok)
		json_object_put(json);
	return request_is_approved(r, &needed, "export %s%s%s for %s",
		level ? "level " : "every level", level ? level : "",
		out->recipients.count ? "" : " to a file",
		out->recipients.count ? "the holders of the certificates in it"
				      : "whoever knows the passphrase that the requester gives");
}

void request_export(struct request *r)
{
	const struct level *bad = NULL;
	const struct volume *bad_volume = NULL;
	struct outgoing out = {.count = 0};

	if (request_store_is_open(r) && choose_levels(r, &out) && choose_recipients(r, &out) &&
		export_is_approved(r, &out)) {
		int rc = pack(r, &out, &bad, &bad_volume);
		if (!rc)
			rc = seal(r, &out);
		secret_free(out.plain);
		out.plain = NULL;
		if (rc) {
			request_audit_failure(r, "export", out.levels[0]->name, NULL, rc);
			answer_failure(r, rc, bad, bad_volume);
		} else {
			release(r, &out);
		}
	}
	clear(&out);
	upload_clear(&r->admin->upload);
}

void request_ledger(struct request *r)
{
	uint64_t damaged;

	if (!request_audit_reading(r, "ledger-read"))
		return;
	struct json_object *entries = ledger_list(r->keyd->store.dir_fd, &damaged);
	struct json_object *json = json_object_new_object();
	const char *doubt = ledger_doubt(r->keyd->store.dir_fd, &r->keyd->audit);
	if (entries && json_add(json, "entries", entries) &&
		json_add_number(json, "unreadable", damaged) &&
		(!doubt || json_add_string(json, "unknown_because", doubt))) {
		request_answer(r, PROTO_OK, json, "%s", "");
		return;
	}
	json_object_put(json);
	request_answer(r, PROTO_FAILED, NULL, "the ledger of exports cannot be read");
}

/* 0; -ENOENT: no such copy; -EALREADY: somebody has vouched for it. */
static int find_copy(const struct keyd *keyd, const char *id)
{
	uint64_t damaged;
	int rc = -ENOENT;

	struct json_object *entries = ledger_list(keyd->store.dir_fd, &damaged);
	if (!entries)
		return -EIO;
	for (size_t i = 0; rc && i < json_object_array_length(entries); i++) {
		struct json_object *entry = json_object_array_get_idx(entries, i);
		if (!strcmp(json_string(entry, "id"), id))
			rc = json_object_object_get_ex(entry, "destroyed", NULL) ? -EALREADY : 0;
	}
	json_object_put(entries);
	return rc;
}

void request_vouch(struct request *r)
{
	const char *id = r->msg.export_id.id;

	if (!request_store_is_open(r))
		return;
	int rc = find_copy(r->keyd, id);
	if (rc == -ENOENT) {
		request_answer(r, PROTO_NOT_FOUND, NULL,
			"the ledger has no export of this number: see keyadm ledger");
		return;
	}
	if (rc == -EALREADY) {
		request_answer(r, PROTO_EXISTS, NULL,
			"somebody has vouched for %s already: see keyadm ledger", id);
		return;
	}
	if (!rc && !request_audit_before(r, "export-vouched", NULL, NULL, id))
		return;
	if (!rc)
		rc = ledger_vouch(r->keyd->store.dir_fd, &r->admin->session.peer, id);
	if (!rc) {
		request_answer(r, PROTO_OK, NULL,
			"export %s is destroyed, on your word: certificates do not count it any "
			"more",
			id);
		return;
	}
	request_audit_failure(r, "export-vouched", NULL, NULL, rc);
	request_answer(r, PROTO_FAILED, NULL, "the ledger cannot be written: %s", strerror(-rc));
}
