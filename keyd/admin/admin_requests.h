/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The handlers of admin.c's table, one for each request; admin.c has checked the peer's role. */
#ifndef KEYD_ADMIN_REQUESTS_H
#define KEYD_ADMIN_REQUESTS_H

#include "admin.h"
#include "erasure.h"
#include "pending.h"
#include "precedence.h"

struct request {
	struct keyd *keyd;
	struct admin *admin;
	struct proto_msg msg; /* without the secret that came with it */
	const struct proto_passphrase
		*passphrase; /* of INIT_PASSPHRASE, UNLOCK, CUSTODY_CHANGE, EXPORT, IMPORT;
				in secret memory */
	const struct proto_upload *chunk; /* of UPLOAD; in secret memory */
};

/* Answers the request; json, taken over, may be NULL. */
void request_answer(struct request *r, enum proto_status status, struct json_object *json,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* False when there is no open key store: then it has been answered. */
bool request_store_is_open(struct request *r);

/* The level the request names, or NULL: then it has been answered. */
struct level *request_find_level(struct request *r);

/* Records a decision before it is carried out. False: it could not be, and that was answered. */
bool request_audit_before(struct request *r, const char *event, const char *level,
	const struct volume *volume, const char *detail);

/* The same for reading records, as often as the peer likes: repeats are counted. */
bool request_audit_reading(struct request *r, const char *event);

/* Records that what was decided could not be done. */
void request_audit_failure(struct request *r, const char *event, const char *level,
	const struct volume *volume, int rc);

void request_status(struct request *r);
void request_page(struct request *r);

/* admin_records.c */
void request_audit(struct request *r);
void request_audit_verify(struct request *r); /* AUDIT_VERIFY_HEAD, too */
void request_certificate(struct request *r);

/* admin_custody.c */
void request_init(struct request *r);
void request_unlock(struct request *r);
void request_custody_change(struct request *r);

/* admin_levels.c */

/* True, and answered, when something under way on scope keeps wanted from beginning: precedence.h. */
bool request_is_in_the_way(struct request *r, enum operation wanted, const struct scope *scope);

/* True, and answered, when level is in no state for what is asked: destroyed, or damaged. */
bool request_level_is_unfit(struct request *r, const struct level *level);

void request_level_create(struct request *r);
void request_level_list(struct request *r);
void request_level_show(struct request *r);
void request_level_suspend(struct request *r);
void request_level_resume(struct request *r);
void request_level_destroy(struct request *r);

/* admin_volumes.c */

/* The volume with this UUID, or NULL: then it has been answered. */
struct volume *request_find_volume(struct request *r, const char *id);

/* True, and answered, when the volume's key cannot be used. */
bool request_volume_is_unfit(struct request *r, const struct volume *volume);

/* What volumes' sizes may be: so that no offset on the medium leaves 63 bits. */
#define REQUEST_VOLUME_BYTES_MAX ((uint64_t)1 << 62)

void request_volume_create(struct request *r);
void request_volume_commit(struct request *r);
void request_volume_list(struct request *r);
void request_volume_show(struct request *r);
void request_volume_key(struct request *r);
void request_volume_destroy(struct request *r);
void request_volume_relocate(struct request *r);

/* admin_resize.c */
void request_volume_resize(struct request *r);

/* admin_destroy.c */
void request_emergency(struct request *r);
void request_request_list(struct request *r);
void request_approve(struct request *r);
void request_cancel(struct request *r);
void request_zeroize(struct request *r);

/* Destroys the scope, which is fit for it, or asks for that when the level's rules say so. */
void request_destroy(struct request *r, const struct scope *scope);

/* An operation that needs a second administrator's approval. */
struct approval_needed {
	enum pending_operation operation;
	const char *level; /* NULL: several, or the store */
	struct json_object *
		parameters; /* taken over: what makes it this one and no other; NULL: out of memory */
};

/*
 * True when a second administrator has approved exactly this for the requester: the approval is used up. False: it has
 * been answered; it is requested now, or was, or that failed. The text tells people what it is to do: "export level X".
 */
bool request_is_approved(struct request *r, const struct approval_needed *needed, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

/* admin_export.c */
void request_upload(struct request *r);
void request_export(struct request *r);
void request_ledger(struct request *r);
void request_vouch(struct request *r);

/* admin_import.c */
void request_import(struct request *r);

/* Of admin.c: the whole answer, or one whose document is in fd, taken over. */
void admin_answer(struct keyd *keyd, struct admin *admin, uint32_t serial, enum proto_status status,
	struct json_object *json, const char *message);
void admin_answer_pieces(struct keyd *keyd, struct admin *admin, uint32_t serial,
	const struct answer_pieces *pieces);
void admin_answer_file(
	struct keyd *keyd, struct admin *admin, uint32_t serial, int fd, uint64_t len_bytes);

#endif
