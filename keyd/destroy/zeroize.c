/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "zeroize.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin_requests.h"
#include "clock.h"
#include "consumer.h"
#include "destroy.h"
#include "holders.h"
#include "log.h"
#include "pending.h"
#include "revocation.h"
#include "sanitize.h"
#include "secret.h"
#include "serverkeys.h"
#include "zeroize_holders.h"
#include "zeroize_medium.h"
#include "zeroize_record.h"

enum { ERASE_FILES_A_STEP = 16 };

struct zeroize;

/* One level being revoked. */
struct level_revocation {
	struct revocation rev; /* first */
	struct zeroize *zeroize;
};

struct zeroize {
	struct json_object *certificate; /* owned */
	uint8_t *signing_key; /* owned; NULL: the store was not open, there is none to sign with */
	struct admin_waiting waiting;
	struct peer requester;           /* for the audit log; owns nothing */
	bool resumed;                    /* nobody of this run asked for it */
	struct level_revocation *levels; /* owned */
	size_t revoking;                 /* of them, under way */
	struct zeroize_answers answers;
	struct erasure_progress progress;
	int first_error; /* of everything that was not erased as it should be */
	bool erased;
};

static int audit(struct keyd *keyd, const struct zeroize *z, const char *event, const char *result)
{
	return audit_append(&keyd->audit, &(struct audit_event){.event = event,
						  .by = z->resumed ? NULL : &z->requester,
						  .detail = "every key of the store",
						  .result = result});
}

static void note_error(struct zeroize *z, const char *what, int rc)
{
	if (!rc)
		return;
	log_error("zeroizing: cannot %s: %s", what, strerror(-rc));
	if (!z->first_error)
		z->first_error = rc;
}

static void zeroize_free(struct zeroize *z)
{
	json_object_put(z->certificate);
	secret_free(z->signing_key);
	free(z->levels);
	free(z);
}

/* ---- Consumers -------------------------------------------------------------------------------- */

static void on_revoked(struct keyd *keyd, struct revocation *rev)
{
	struct zeroize *z = ((struct level_revocation *)rev)->zeroize;

	(void)keyd;
	for (size_t i = 0; i < rev->target_count; i++) {
		const struct revocation_target *target = &rev->targets[i];
		zeroize_add_answer(
			&z->answers, &target->peer, target->answer, target->wiped, target->scrubs);
	}
	z->revoking--;
}

/* What is destroyed already may still be held by somebody who did not acknowledge that. */
static bool has_keys(const struct keyd *keyd, const struct level *level)
{
	const struct scope scope = {.level = (struct level *)(uintptr_t)level};

	for (size_t i = 0; i < keyd->session_count; i++) {
		const struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (consumer && consumer_holds(consumer, &scope))
			return true;
	}
	for (size_t i = 0; i < level->volume_count; i++) {
		if (level->volumes[i]->state != KEY_DESTROYED)
			return true;
	}
	return false;
}

static void forget_keys(struct level *level, int64_t now)
{
	for (size_t i = 0; i < level->volume_count; i++) {
		struct volume *volume = level->volumes[i];
		if (volume->state == KEY_DESTROYED)
			continue;
		volume->state = KEY_DESTROYED;
		volume->destroyed_at = now;
	}
	if (level->state == KEY_DESTROYED)
		return;
	level->state = KEY_DESTROYED;
	level->destroyed_at = now;
}

/* Every level whose keys a consumer may hold is revoked, all at the same time. */
static void revoke_all(struct keyd *keyd, struct zeroize *z)
{
	struct keystore *ks = &keyd->store;
	int64_t now = clock_wall_seconds();

	z->levels = calloc(ks->level_count ? ks->level_count : 1, sizeof(*z->levels));
	note_error(z, "tell the consumers", z->levels ? 0 : -ENOMEM);
	for (size_t i = 0; i < ks->level_count; i++) {
		struct level *level = ks->levels[i];
		bool tell = z->levels && has_keys(keyd, level);
		forget_keys(level, now);
		if (!tell)
			continue;
		struct level_revocation *one = &z->levels[i];
		one->zeroize = z;
		one->rev.type = PROTO_REVOKE;
		one->rev.reason = PROTO_REASON_DESTROY;
		one->rev.scope.level = level;
		one->rev.kill_silent = keyd->config.kill_unresponsive;
		one->rev.done = on_revoked;
		z->revoking++;
		revocation_start(keyd, &one->rev);
	}
}

/* ---- The steps -------------------------------------------------------------------------------- */

/* Packages of keys, on their way in. */
static void forget_uploads(struct keyd *keyd)
{
	for (size_t i = 0; i < keyd->session_count; i++) {
		if (!consumer_of(keyd->sessions[i]))
			upload_clear(&((struct admin *)keyd->sessions[i])->upload);
	}
}

/* From here on there is no way back. A consumer whose store is locked, or was, is known by the table alone. */
static void begin(struct keyd *keyd, struct zeroize *z)
{
	struct keystore *ks = &keyd->store;
	const struct custody_place place = {
		.dir_fd = ks->dir_fd, .config = ks->custody_config, .keeper = ks->keeper};

	note_error(z, "write " ZEROIZED_FILE, zeroize_write(ks->dir_fd, z->certificate));
	bool loaded = ks->root != NULL;
	keyd->zeroize = z; /* keyd owns it */
	destroy_abandon_all(keyd);
	sanitize_forget_all(keyd);
	pending_forget_all(keyd);
	forget_uploads(keyd);
	if (loaded) {
		if (serverkeys_copy(keyd, &z->signing_key))
			log_error("zeroizing: there is no key to sign the certificate with");
		revoke_all(keyd, z);
	}
	int rc = zeroize_medium_root(&place, ks->custody);
	keystore_zeroize(ks, clock_wall_seconds());
	note_error(z, "erase the root key", rc);
	if (!loaded)
		zeroize_find_holders(&z->answers, ks->dir_fd, keyd->config.kill_unresponsive);
	if (!rc)
		log_warning("the root key is erased: every key of the store is lost");
}

static void finish(struct keyd *keyd, struct zeroize *z)
{
	char text[PROTO_MESSAGE_BYTES];
	int state_fd = keyd->store.dir_fd;

	note_error(z, "erase every key file", z->progress.first_error);
	note_error(z, "note the consumers' answers",
		zeroize_enter_answers(&z->answers, z->certificate));
	int rc = zeroize_complete(
		z->certificate, state_fd, z->first_error, clock_wall_seconds(), &keyd->audit);
	if (!rc && z->signing_key)
		rc = serverkeys_sign_with(z->signing_key, keyd->signer.id, z->certificate);
	if (!rc)
		rc = zeroize_write(state_fd, z->certificate);
	if (rc)
		log_error("zeroizing: cannot write " ZEROIZED_FILE ": %s", strerror(-rc));
	enum proto_status status = zeroize_outcome(z->certificate, text, sizeof(text));
	if (rc && status == PROTO_OK)
		status = PROTO_UNPROVEN;
	if (audit(keyd, z, "zeroized", status == PROTO_OK ? "ok" : "unproven"))
		log_error("the end of zeroizing is not in the audit log");
	log_warning("%s", text);
	if (z->levels && holders_save(keyd)) /* without those that have acknowledged */
		log_warning("cannot write " HOLDERS_FILE);
	struct json_object *certificate = z->certificate;
	z->certificate = NULL; /* the answer owns it */
	keyd->zeroize = NULL;
	admin_answer_waiting(keyd, &z->waiting, status, certificate, "%s", text);
	zeroize_free(z);
}

bool zeroize_step(struct keyd *keyd)
{
	struct zeroize *z = keyd->zeroize;

	if (!z)
		return false;
	if (!z->erased) {
		if (zeroize_medium_step(keyd->store.dir_fd, ERASE_FILES_A_STEP, &z->progress) ||
			erasure_try_again(&z->progress))
			return true;
		z->erased = true;
	}
	if (!z->revoking)
		finish(keyd, z);
	return false;
}

/* ---- Start, restart, end ----------------------------------------------------------------------- */

/* Zeroized before, and nothing was put back since: the certificate there is tells all. */
static bool is_done_already(struct keyd *keyd, struct json_object **certificate)
{
	uint64_t left = 0;

	if (!keyd->store.zeroized_at || zeroize_medium_left(keyd->store.dir_fd, &left) || left ||
		zeroize_read(keyd->store.dir_fd, certificate))
		return false;
	if (certificate_is_verified(*certificate))
		return true;
	json_object_put(*certificate);
	return false;
}

static enum proto_status refuse(char *message, enum proto_status status, const char *why)
{
	(void)snprintf(message, PROTO_MESSAGE_BYTES, "%s", why);
	return status;
}

enum proto_status zeroize_start(
	struct keyd *keyd, struct admin *admin, uint32_t serial, char *message)
{
	struct keystore *ks = &keyd->store;
	struct json_object *certificate;
	char text[PROTO_MESSAGE_BYTES];

	if (keyd->zeroize)
		return refuse(message, PROTO_BUSY, "the key store is being zeroized");
	if (!ks->custody && !ks->zeroized_at)
		return refuse(message, PROTO_UNINITIALIZED, "there is no key store yet");
	if (is_done_already(keyd, &certificate)) {
		enum proto_status status = zeroize_outcome(certificate, text, sizeof(text));
		admin_answer(keyd, admin, serial, status, certificate, text);
		return PROTO_OK;
	}
	struct zeroize *z = calloc(1, sizeof(*z));
	if (z) {
		z->requester = (struct peer){
			.pid = admin->session.peer.pid,
			.uid = admin->session.peer.uid,
			.pidfd = -1,
		};
		z->certificate = zeroize_draft(ks, &z->requester, clock_wall_seconds());
	}
	if (!z || !z->certificate) {
		free(z);
		return refuse(message, PROTO_FAILED, "nothing was done: out of memory");
	}
	if (audit(keyd, z, "zeroize", "ok")) /* an emergency does not wait for a disk */
		log_error("zeroizing is not in the audit log");
	admin_wait(admin, &z->waiting, serial);
	begin(keyd, z);
	return PROTO_OK;
}

void zeroize_resume(struct keyd *keyd)
{
	struct json_object *certificate = NULL;

	if (!keyd->store.zeroized_at)
		return;
	int rc = zeroize_read(keyd->store.dir_fd, &certificate);
	if (!rc && zeroize_is_complete(certificate)) {
		json_object_put(certificate);
		return;
	}
	struct zeroize *z = calloc(1, sizeof(*z));
	if (!certificate)
		certificate = zeroize_draft(&keyd->store, NULL, clock_wall_seconds());
	if (!z || !certificate) {
		log_error("cannot go on with zeroizing: out of memory: run keyd --zeroize");
		json_object_put(certificate);
		free(z);
		return;
	}
	log_warning("going on with zeroizing the key store");
	z->resumed = true;
	z->certificate = certificate; /* z owns it */
	begin(keyd, z);
}

int zeroize_leave(struct keyd *keyd)
{
	struct keystore *ks = &keyd->store;

	if (keyd->zeroize || keyd->revocations)
		return -EBUSY;
	int rc = zeroize_medium_set_aside(ks->dir_fd, ks->zeroized_at);
	if (rc)
		return rc;
	for (size_t i = 0; i < keyd->session_count; i++) {
		struct consumer *consumer = consumer_of(keyd->sessions[i]);
		/* Levels and volumes are about to be forgotten. */
		if (consumer)
			consumer_forget_held(consumer);
		else
			keystore_volume_discard(&((struct admin *)keyd->sessions[i])->draft);
	}
	serverkeys_end(keyd);
	keystore_lock(ks);
	ks->zeroized_at = 0;
	return 0;
}

void zeroize_forget(struct keyd *keyd)
{
	struct zeroize *z = keyd->zeroize;

	keyd->zeroize = NULL;
	if (!z)
		return;
	admin_answer_waiting(keyd, &z->waiting, PROTO_FAILED, NULL,
		"keyd is stopping: zeroizing goes on when it starts again; the root key is gone");
	zeroize_free(z);
}
