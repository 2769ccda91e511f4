/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "admin.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin_requests.h"
#include "clock.h"
#include "log.h"
#include "policy.h"
#include "reserve.h"
#include "secret.h"

enum {
	IDLE_MS = 300 * 1000,                /* keyadm may be writing a volume's header meanwhile */
	STALLED_MS = 30 * 1000,              /* without reading on */
	UNREAD_BYTES_MAX = 16 * 1024 * 1024, /* of answers to one user */
};

static const struct {
	uint16_t type;
	void (*handle)(struct request *r);
} handlers[] = {
	{PROTO_INIT, request_init},
	{PROTO_INIT_PASSPHRASE, request_init},
	{PROTO_UNLOCK, request_unlock},
	{PROTO_CUSTODY_CHANGE, request_custody_change},
	{PROTO_PAGE, request_page},
	{PROTO_STATUS, request_status},
	{PROTO_LEVEL_CREATE, request_level_create},
	{PROTO_LEVEL_LIST, request_level_list},
	{PROTO_LEVEL_SHOW, request_level_show},
	{PROTO_LEVEL_SUSPEND, request_level_suspend},
	{PROTO_LEVEL_RESUME, request_level_resume},
	{PROTO_LEVEL_DESTROY, request_level_destroy},
	{PROTO_VOLUME_CREATE, request_volume_create},
	{PROTO_VOLUME_COMMIT, request_volume_commit},
	{PROTO_VOLUME_LIST, request_volume_list},
	{PROTO_VOLUME_SHOW, request_volume_show},
	{PROTO_VOLUME_KEY, request_volume_key},
	{PROTO_VOLUME_DESTROY, request_volume_destroy},
	{PROTO_AUDIT, request_audit},
	{PROTO_AUDIT_VERIFY, request_audit_verify},
	{PROTO_AUDIT_VERIFY_HEAD, request_audit_verify},
	{PROTO_CERTIFICATE, request_certificate},
	{PROTO_DESTROY_EMERGENCY, request_emergency},
	{PROTO_REQUEST_LIST, request_request_list},
	{PROTO_REQUEST_APPROVE, request_approve},
	{PROTO_REQUEST_CANCEL, request_cancel},
	{PROTO_ZEROIZE, request_zeroize},
	{PROTO_UPLOAD, request_upload},
	{PROTO_EXPORT, request_export},
	{PROTO_IMPORT, request_import},
	{PROTO_LEDGER, request_ledger},
	{PROTO_VOUCH, request_vouch},
	{PROTO_VOLUME_RESIZE, request_volume_resize},
	{PROTO_VOLUME_RELOCATE, request_volume_relocate},
};

struct admin *admin_new(const struct keyd *keyd, struct peer *peer)
{
	struct admin *admin = calloc(1, sizeof(*admin));
	if (!admin)
		return NULL;
	admin->session.kind = &admin_kind;
	admin->session.fd = -1;
	admin->session.peer = *peer;
	*peer = (struct peer){.pidfd = -1}; /* the admin owns it */
	admin->roles = policy_roles(&keyd->config.policy, &admin->session.peer);
	admin->answer.fd = -1;
	admin->draft.header_fd = -1;
	return admin;
}

/* After everything that changes what the session waits for. */
static void update(struct admin *admin)
{
	struct session *session = &admin->session;

	session->wants_to_send = admin->answer.under_way;
	session->busy = admin->answer.under_way || admin->waiting;
	if (admin->waiting)
		session->deadline_ms = 0; /* the transaction has its own */
	else if (!session->stranger)
		session->deadline_ms = clock_now_ms() + (session->busy ? STALLED_MS : IDLE_MS);
}

static void go_on(struct keyd *keyd, struct admin *admin)
{
	if (!answer_continue(keyd, &admin->session, &admin->answer) && admin->session.stranger)
		admin->session.ending = true;
	update(admin);
}

void admin_answer(struct keyd *keyd, struct admin *admin, uint32_t serial, enum proto_status status,
	struct json_object *json, const char *message)
{
	char *text = NULL;
	size_t len = 0;

	if (json) {
		const char *borrowed = json_object_to_json_string_length(
			json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
		text = borrowed ? strdup(borrowed) : NULL;
		json_object_put(json);
		if (!text) {
			len = 0;
			status = status == PROTO_OK ? PROTO_FAILED : status;
			message = "done, but keyd ran out of memory while building the answer";
		}
	}
	answer_start(&admin->answer, serial, status, message, text, -1, len);
	go_on(keyd, admin);
}

void admin_answer_pieces(
	struct keyd *keyd, struct admin *admin, uint32_t serial, const struct answer_pieces *pieces)
{
	answer_start_pieces(&admin->answer, serial, pieces);
	go_on(keyd, admin);
}

void admin_answer_file(
	struct keyd *keyd, struct admin *admin, uint32_t serial, int fd, uint64_t len_bytes)
{
	answer_start(&admin->answer, serial, PROTO_OK, "", NULL, fd, len_bytes);
	go_on(keyd, admin);
}

void admin_wait(struct admin *admin, struct admin_waiting *waiting, uint32_t serial)
{
	waiting->admin = admin;
	waiting->serial = serial;
	admin->waiting = waiting;
	update(admin);
}

struct admin *admin_stop_waiting(struct admin_waiting *waiting)
{
	struct admin *admin = waiting->admin;

	waiting->admin = NULL;
	if (admin)
		admin->waiting = NULL;
	return admin;
}

void admin_answer_waiting(struct keyd *keyd, struct admin_waiting *waiting,
	enum proto_status status, struct json_object *json, const char *fmt, ...)
{
	char message[PROTO_MESSAGE_BYTES];
	struct admin *admin = admin_stop_waiting(waiting);
	va_list ap;

	if (!admin) {
		json_object_put(json);
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	admin_answer(keyd, admin, waiting->serial, status, json, message);
}

static void deny(struct request *r)
{
	const struct peer *peer = &r->admin->session.peer;

	keyd_audit_refusal(r->keyd, &(struct audit_event){.event = "admin-request",
					    .by = peer,
					    .detail = proto_type_name(r->msg.type),
					    .result = "denied"});
	if (r->admin->roles)
		request_answer(r, PROTO_DENIED, NULL,
			"uid %u does not have the role for this: see [roles] in keyd.conf(5)",
			(unsigned)peer->uid);
	else
		request_answer(r, PROTO_DENIED, NULL,
			"uid %u has no role: see [roles] in keyd.conf(5)", (unsigned)peer->uid);
}

/* All but secrets, which stay where they are: handlers use them before they answer. */
static void take_message(struct request *r, const struct proto_msg *msg)
{
	switch (msg->type) {
	case PROTO_INIT_PASSPHRASE:
	case PROTO_CUSTODY_CHANGE:
		r->passphrase = &msg->init_passphrase.passphrase;
		memcpy(r->msg.init.custody, msg->init_passphrase.custody,
			sizeof(r->msg.init.custody));
		break;
	case PROTO_UNLOCK:
		r->passphrase = &msg->unlock.passphrase;
		break;
	case PROTO_EXPORT:
		r->passphrase = &msg->export.passphrase;
		memcpy(r->msg.export.level, msg->export.level, sizeof(r->msg.export.level));
		r->msg.export.threshold = msg->export.threshold;
		r->msg.export.shares = msg->export.shares;
		break;
	case PROTO_IMPORT:
		r->passphrase = &msg->import.passphrase;
		memcpy(r->msg.import.level, msg->import.level, sizeof(r->msg.import.level));
		r->msg.import.force = msg->import.force;
		break;
	case PROTO_UPLOAD:
		r->chunk = &msg->upload;
		break;
	default: /* no other request carries a secret */
		r->msg = *msg;
		return;
	}
	r->msg.type = msg->type;
	r->msg.serial = msg->serial;
}

/* Requests that a full state disk does not stop: they take keys away, or lead to that. */
static bool is_urgent(uint16_t type)
{
	static const uint16_t urgent[] = {PROTO_UNLOCK, PROTO_LEVEL_SUSPEND, PROTO_LEVEL_DESTROY,
		PROTO_VOLUME_DESTROY, PROTO_DESTROY_EMERGENCY, PROTO_REQUEST_APPROVE,
		PROTO_REQUEST_CANCEL, PROTO_ZEROIZE, PROTO_VOUCH};

	for (size_t i = 0; i < sizeof(urgent) / sizeof(urgent[0]); i++) {
		if (urgent[i] == type)
			return true;
	}
	return false;
}

static void handle(struct request *r, void (*handler)(struct request *r))
{
	bool urgent = is_urgent(r->msg.type);

	if (urgent)
		reserve_begin();
	handler(r);
	if (urgent)
		reserve_end();
}

/* What only asks. Everything else is carried out however much its user has not read yet. */
static bool only_asks(uint16_t type)
{
	static const uint16_t types[] = {PROTO_LEVEL_LIST, PROTO_LEVEL_SHOW, PROTO_VOLUME_LIST,
		PROTO_VOLUME_SHOW, PROTO_REQUEST_LIST, PROTO_LEDGER, PROTO_CERTIFICATE};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i] == type)
			return true;
	}
	return false;
}

/* What keyd keeps in memory of answers that this user's connections have not read. */
static uint64_t unread_bytes(const struct keyd *keyd, uid_t uid)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < keyd->session_count; i++) {
		const struct session *session = keyd->sessions[i];
		const struct answer *answer = &((const struct admin *)session)->answer;
		if (session->kind == &admin_kind && session->peer.uid == uid && answer->text)
			bytes += answer->len_bytes;
	}
	return bytes;
}

/* True: answered. */
static bool is_over_its_share(struct request *r)
{
	uid_t uid = r->admin->session.peer.uid;

	if (!only_asks(r->msg.type) || unread_bytes(r->keyd, uid) < UNREAD_BYTES_MAX)
		return false;
	request_answer(r, PROTO_BUSY, NULL,
		"uid %u has not read %d MiB of answers: end the programs that asked for them",
		(unsigned)uid, UNREAD_BYTES_MAX / (1024 * 1024));
	return true;
}

static void dispatch(struct request *r)
{
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (handlers[i].type != r->msg.type)
			continue;
		if (!policy_allows(r->admin->roles, r->msg.type))
			deny(r);
		else if (!is_over_its_share(r))
			handle(r, handlers[i].handle);
		return;
	}
	request_answer(r, PROTO_INVALID, NULL, "%s is no request of this socket",
		proto_type_name(r->msg.type));
}

static void on_message(struct keyd *keyd, struct session *session)
{
	struct request r = {.keyd = keyd, .admin = (struct admin *)session};

	take_message(&r, keyd->io.msg);
	update(r.admin);
	dispatch(&r);
	if (r.passphrase || r.chunk)
		secret_wipe(keyd->io.msg, sizeof(*keyd->io.msg));
}

static void on_garbage(struct keyd *keyd, struct session *session, int error)
{
	keyd_log_peer(keyd, LOG_LEVEL_WARNING, "pid %d uid %u sent no message of this protocol: %s",
		(int)session->peer.pid, (unsigned)session->peer.uid, strerror(-error));
	if (error == -EPROTONOSUPPORT)
		session_refuse_version(
			keyd, session, PROTO_REPLY, "use the keyadm of keyd's own release");
	else
		(void)session_reply(keyd, session, PROTO_REPLY, 0, PROTO_INVALID,
			"that is no message of this protocol");
}

static void on_writable(struct keyd *keyd, struct session *session)
{
	go_on(keyd, (struct admin *)session);
}

static bool on_closed(struct keyd *keyd, struct session *session)
{
	struct admin *admin = (struct admin *)session;

	(void)keyd;
	if (admin->waiting)
		admin->waiting->admin = NULL; /* the transaction goes on without an audience */
	admin->waiting = NULL;
	return false;
}

/* keyadm may be writing the header of a draft. */
static bool is_idle(const struct session *session)
{
	const struct admin *admin = (const struct admin *)session;

	return !session->busy && admin->draft.header_fd < 0;
}

static void admin_free(struct session *session)
{
	struct admin *admin = (struct admin *)session;

	answer_clear(&admin->answer);
	keystore_volume_discard(&admin->draft);
	upload_clear(&admin->upload);
	peer_clear(&session->peer);
	free(admin);
}

const struct session_kind admin_kind = {
	.name = "admin.sock",
	.on_message = on_message,
	.on_garbage = on_garbage,
	.on_writable = on_writable,
	.on_closed = on_closed,
	.is_idle = is_idle,
	.free = admin_free,
};
