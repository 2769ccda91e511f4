/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "consumer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "holders.h"
#include "log.h"
#include "revocation.h"
#include "sanitize.h"
#include "secret.h"
#include "text.h"
#include "token.h"

struct consumer *consumer_of(struct session *session)
{
	return session->kind == &consumer_kind ? (struct consumer *)session : NULL;
}

struct consumer *consumer_new(struct peer *peer)
{
	struct consumer *consumer = calloc(1, sizeof(*consumer));
	if (!consumer)
		return NULL;
	consumer->session.kind = &consumer_kind;
	consumer->session.fd = -1;
	consumer->session.peer = *peer;
	*peer = (struct peer){.pidfd = -1}; /* the consumer owns it */
	consumer->connected_at = clock_wall_seconds();
	return consumer;
}

static bool in_scope(const struct held *held, const struct scope *scope)
{
	return scope->volume ? held->volume == scope->volume : held->volume->level == scope->level;
}

int consumer_add_held(struct consumer *consumer, struct volume *volume, bool confirmed)
{
	for (size_t i = 0; i < consumer->held_count; i++) {
		if (consumer->held[i].volume == volume) {
			consumer->held[i].confirmed |= confirmed;
			consumer->held[i].revoked_by = 0;
			return 0;
		}
	}
	struct held *more =
		reallocarray(consumer->held, consumer->held_count + 1, sizeof(*consumer->held));
	if (!more)
		return -ENOMEM;
	consumer->held = more;
	more[consumer->held_count++] = (struct held){.volume = volume, .confirmed = confirmed};
	return 0;
}

bool consumer_holds(const struct consumer *consumer, const struct scope *scope)
{
	for (size_t i = 0; i < consumer->held_count; i++) {
		if (in_scope(&consumer->held[i], scope))
			return true;
	}
	return false;
}

bool consumer_holds_volume(const struct consumer *consumer, const struct volume *volume)
{
	for (size_t i = 0; i < consumer->held_count; i++) {
		if (consumer->held[i].volume == volume)
			return true;
	}
	return false;
}

void consumer_forget_held(struct consumer *consumer)
{
	consumer->held_count = 0;
	memset(consumer->slots, 0, sizeof(consumer->slots));
}

void consumer_note_revoke(struct consumer *consumer, const struct scope *scope, uint32_t serial)
{
	for (size_t i = 0; i < consumer->held_count; i++) {
		if (in_scope(&consumer->held[i], scope))
			consumer->held[i].revoked_by = serial;
	}
}

void consumer_wipe_slots(struct consumer *consumer, const struct scope *scope)
{
	for (size_t i = 0; i < PAGE_SLOTS; i++) {
		const struct held in_slot = {.volume = consumer->slots[i]};
		if (!in_slot.volume || !in_scope(&in_slot, scope))
			continue;
		consumer->slots[i] = NULL;
		if (consumer->session.page)
			secret_wipe(consumer->session.page + i * PAGE_SLOT_BYTES, PAGE_SLOT_BYTES);
	}
}

void consumer_drop_held(struct consumer *consumer, const struct scope *scope)
{
	size_t kept = 0;

	consumer_wipe_slots(consumer, scope);
	for (size_t i = 0; i < consumer->held_count; i++) {
		if (!in_scope(&consumer->held[i], scope))
			consumer->held[kept++] = consumer->held[i];
	}
	consumer->held_count = kept;
}

/*
 * Whether the consumer's process has another session, or one whose end has not been read yet. What that one
 * held could not be told from what this one holds: a process has one session at a time.
 */
static bool is_connected_already(const struct keyd *keyd, const struct consumer *consumer)
{
	for (size_t i = 0; i < keyd->session_count; i++) {
		const struct consumer *other = consumer_of(keyd->sessions[i]);
		if (other && other != consumer && other->greeted && other->session.fd >= 0 &&
			peer_same_process(&other->session.peer, &consumer->session.peer))
			return true;
	}
	return false;
}

/* The sessions that this consumer's process lost before: their keys are now this one's. */
static void inherit(struct keyd *keyd, struct consumer *consumer)
{
	for (size_t i = 0; i < keyd->session_count; i++) {
		struct consumer *former = consumer_of(keyd->sessions[i]);
		if (!former || former->session.fd >= 0 || former->session.ending ||
			!peer_same_process(&former->session.peer, &consumer->session.peer))
			continue;
		for (size_t k = 0; k < former->held_count; k++) {
			if (consumer_add_held(consumer, former->held[k].volume, false)) {
				consumer->session.ending =
					true; /* the former stays and is waited for */
				return;
			}
		}
		revocation_replace(keyd, former, consumer);
		former->held_count = 0;
		if (!consumer->listed) { /* the consumer owns it */
			consumer->listed = former->listed;
			consumer->listed_count = former->listed_count;
			former->listed = NULL;
		}
		former->session.ending = true;
	}
}

/* HELLO_REPLY with the page. False: the session is ending. */
static bool welcome(struct keyd *keyd, struct consumer *consumer, uint32_t serial)
{
	const struct proto_msg msg = {.type = PROTO_HELLO_REPLY, .serial = serial};
	struct session *session = &consumer->session;

	int fd = session_new_page(session);
	if (fd < 0) {
		(void)session_reply(keyd, session, PROTO_HELLO_REPLY, serial, PROTO_FAILED,
			"keyd has no memory for a shared page, or may not lock it: raise its "
			"LimitMEMLOCK");
		session->ending = true;
		return false;
	}
	bool sent = session_send(keyd, session, &msg, fd);
	(void)close(fd);
	return sent;
}

static void on_hello(struct keyd *keyd, struct consumer *consumer)
{
	struct session *session = &consumer->session;
	uint32_t serial = keyd->io.msg->serial;

	text_sanitize(consumer->program, sizeof(consumer->program), keyd->io.msg->hello.program);
	if (session->stranger) {
		keyd_audit_consumer(
			keyd, &(struct audit_event){
				      .event = "hello", .by = &session->peer, .result = "denied"});
		(void)session_reply(keyd, session, PROTO_HELLO_REPLY, serial, PROTO_DENIED,
			"uid %u may not fetch keys of any level: see [levels] in keyd.conf(5)",
			(unsigned)session->peer.uid);
		session->ending = true;
		return;
	}
	if (is_connected_already(keyd, consumer)) {
		(void)session_reply(keyd, session, PROTO_HELLO_REPLY, serial, PROTO_BUSY,
			"this tgtd is connected already: name keyd's socket in the same way for "
			"all of its LUNs");
		session->ending = true;
		return;
	}
	if (keystore_is_locked(&keyd->store)) { /* who held keys is not known yet, either */
		(void)session_reply(keyd, session, PROTO_HELLO_REPLY, serial, PROTO_LOCKED,
			"the key store is locked: keyadm unlock");
		session->ending = true;
		return;
	}
	consumer->greeted = true;
	session->deadline_ms = 0;
	inherit(keyd, consumer);
	keyd_log_peer(keyd, LOG_LEVEL_INFO, "%s pid %d uid %u connected", consumer->program,
		(int)session->peer.pid, (unsigned)session->peer.uid);
	if (welcome(keyd, consumer, serial))
		revocation_on_hello(keyd, consumer);
}

/* One ATTACH while it is decided. */
struct attach {
	struct keyd *keyd;
	struct consumer *consumer;
	uint32_t serial;
	struct proto_attach request;
	struct volume *volume; /* NULL: none */
	char message[PROTO_MESSAGE_BYTES];
};

static enum proto_status refuse(struct attach *a, enum proto_status status, const char *message)
{
	(void)snprintf(a->message, sizeof(a->message), "%s", message);
	return status;
}

/* Everything that can be decided without the key. */
static enum proto_status check_attach(struct attach *a)
{
	const struct keyd *keyd = a->keyd;
	const char *asserted = a->request.level;

	if (keyd->store.zeroized_at)
		return refuse(a, PROTO_DESTROYED, "every key of this key store is destroyed");
	if (!keyd->store.root)
		return refuse(a, PROTO_UNINITIALIZED, "no key store yet: keyadm init");
	if (!text_is_uuid(a->request.uuid))
		return refuse(a, PROTO_INVALID, "not a UUID");
	if (a->request.key_at % PAGE_SLOT_BYTES || a->request.key_at >= PAGE_BYTES)
		return refuse(a, PROTO_INVALID, "key_at is no slot of the page");
	a->volume = keystore_volume(&keyd->store, a->request.uuid);
	if (!a->volume)
		return refuse(a, PROTO_NOT_FOUND, "keyd knows no volume with this UUID");
	const char *level = a->volume->level->name;
	if (!policy_may_fetch(&keyd->config.policy, &a->consumer->session.peer, level))
		return refuse(a, PROTO_DENIED,
			policy_label(&keyd->config.policy, level)
				? "this uid with this SELinux label may not fetch keys of the "
				  "volume's level"
				: "this uid may not fetch keys of the volume's level");
	if (asserted[0] && strcmp(asserted, level))
		return refuse(a, PROTO_MISMATCH, "the volume belongs to another level");
	switch (keystore_volume_state(a->volume)) {
	case KEY_ACTIVE:
		return PROTO_OK;
	case KEY_SUSPENDED:
		return refuse(a, PROTO_SUSPENDED, "the level is suspended");
	case KEY_DAMAGED:
		return refuse(a, PROTO_DAMAGED,
			"the key is damaged: put its file back from a backup and restart keyd");
	case KEY_SANITIZING:
		return refuse(a, PROTO_BUSY, "its key is being replaced");
	case KEY_DESTROYING:
	case KEY_DESTROYED:
		break;
	}
	return refuse(a, PROTO_DESTROYED, "the key is destroyed");
}

enum { LEARN_AGAIN_MS = 60 * 60 * 1000 }; /* paths of one volume that are learned */

enum { AUDITED_PATH_BYTES = 256 }; /* what a consumer says of itself must not fill the disk */

/* The peer's label, where one decides. */
static const char *deciding_label(const struct attach *a)
{
	const char *label = a->consumer->session.peer.label;

	if (!a->volume || !policy_label(&a->keyd->config.policy, a->volume->level->name))
		return NULL;
	return label ? label : "no label";
}

static int audit_attach(struct attach *a, enum proto_status status)
{
	char path[AUDITED_PATH_BYTES];
	struct audit_event event = {
		.event = "attach",
		.by = &a->consumer->session.peer,
		.level = a->volume ? a->volume->level->name : a->request.level,
		.volume = text_is_uuid(a->request.uuid) ? a->request.uuid : NULL,
		.path = path,
		.detail = deciding_label(a),
		.result = proto_status_name(status),
	};

	text_sanitize(path, sizeof(path), a->request.path);
	if (!text_is_level_name(event.level))
		event.level = NULL;
	if (status == PROTO_OK)
		return audit_append_repeat(&a->keyd->audit, &event, REPEAT_FETCH);
	keyd_audit_consumer(a->keyd, &event);
	return 0;
}

/*
 * How many keys one user may fetch at once: all of them, some times over. A store with many volumes earns them back
 * faster, so that a tgtd which was started again and again waits for less than an hour.
 */
static void set_usual_fetches(struct keyd *keyd)
{
	enum { AT_LEAST = 1024, TIMES = 4, FEW_VOLUMES = 256, EACH_MS = 10 * 1000 };
	struct repeats *repeats = keyd->audit.repeats;
	size_t volumes = 0;

	for (size_t i = 0; i < keyd->store.level_count; i++)
		volumes += keyd->store.levels[i]->volume_count;
	repeats->fetch_burst = (unsigned)(AT_LEAST + TIMES * volumes);
	repeats->fetch_each_ms = (int64_t)EACH_MS * FEW_VOLUMES /
				 (int64_t)(volumes > FEW_VOLUMES ? volumes : FEW_VOLUMES);
}

/*
 * Where a tgtd finds the volume is where administrators will look for it. A hint: what is done to a volume is done
 * by its UUID. Two tgtds that know it by two paths must not have the record written again and again.
 */
static void learn_path(struct attach *a)
{
	struct volume *volume = a->volume;
	const char *path = a->request.path;
	char detail[AUDITED_PATH_BYTES];
	int64_t now_ms = clock_now_ms();

	if (!strcmp(path, volume->path) || !text_is_path(path) || text_tgt_refuses(path) ||
		(volume->path_learned_ms && now_ms - volume->path_learned_ms < LEARN_AGAIN_MS))
		return;
	volume->path_learned_ms = now_ms;
	text_sanitize(detail, sizeof(detail), path);
	if (audit_append(&a->keyd->audit, &(struct audit_event){.event = "volume-relocate",
						  .by = &a->consumer->session.peer,
						  .level = volume->level->name,
						  .volume = volume->uuid,
						  .path = volume->path,
						  .detail = detail,
						  .result = "ok"}))
		return;
	int rc = keystore_volume_relocate(&a->keyd->store, volume, path);
	if (rc)
		log_warning("volume %s: where it lies now cannot be recorded: %s", volume->uuid,
			token_strerror(rc));
}

/*
 * Puts the key into reply, and everything on record that must be there before it leaves: that it can
 * be unwrapped at all, who will hold it, and that it was given out.
 */
static enum proto_status release_key(struct attach *a, struct proto_attach_reply *reply)
{
	size_t held_before = a->consumer->held_count;

	set_usual_fetches(a->keyd);
	int rc = keystore_volume_key(&a->keyd->store, a->volume, reply->key);
	if (rc == -EBADMSG)
		return refuse(a, PROTO_DAMAGED,
			"the key is damaged: put its file back from a backup and restart keyd");
	if (!rc)
		rc = consumer_add_held(a->consumer, a->volume, true);
	if (!rc && !holders_lists(a->consumer, a->volume))
		rc = holders_save(a->keyd);
	if (!rc)
		rc = audit_attach(a, PROTO_OK);
	if (!rc)
		rc = sanitize_send_header(a->keyd, a->consumer, a->volume, reply->key, a->serial);
	if (!rc) {
		reply->key_bytes = (uint32_t)a->volume->cipher->key_bytes;
		reply->key_at = a->request.key_at;
		a->consumer->slots[a->request.key_at / PAGE_SLOT_BYTES] = a->volume;
		learn_path(a);
		return PROTO_OK;
	}
	if (a->consumer->held_count != held_before)
		a->consumer->held_count = held_before;
	secret_wipe(reply->key, sizeof(reply->key));
	if (rc == -EBUSY)
		return refuse(a, PROTO_BUSY,
			"this user has attached too many volumes too often: keyd records one more "
			"every "
			"few seconds, try again");
	log_error("cannot give out the key of volume %s: %s", a->volume->uuid, token_strerror(rc));
	return refuse(a, PROTO_FAILED, "keyd cannot read or record the key: see its log");
}

/*
 * How large the volume is for this tgtd. A size that no tgtd has served yet may be more than the file has: who opens
 * the volume with less goes on with the size that was served. Who has it open measures the file before it grows.
 */
static uint64_t size_for(
	const struct consumer *consumer, struct volume *volume, bool held, bool *serves)
{
	const struct proto_store *store = &consumer->store;
	bool told = !strcmp(store->uuid, volume->uuid);

	*serves = volume->served_bytes && told && store->store_bytes >= volume->data_offset_bytes &&
		  store->store_bytes - volume->data_offset_bytes >= volume->size_bytes;
	return !volume->served_bytes || held || *serves ? volume->size_bytes : volume->served_bytes;
}

/* Before the tgtd has the answer, so that a size which was served is never taken back. */
static void settle_size(struct attach *a, bool held, struct proto_attach_reply *reply)
{
	struct volume *volume = a->volume;
	bool serves;

	reply->size_bytes = size_for(a->consumer, volume, held, &serves);
	if (!serves || reply->status != PROTO_OK)
		return;
	uint64_t served_bytes = volume->served_bytes;
	int rc = keystore_volume_note_served(&a->keyd->store, volume, volume->size_bytes);
	if (!rc)
		return;
	log_error("volume %s: cannot record that its new size is served: %s", volume->uuid,
		token_strerror(rc));
	reply->size_bytes = served_bytes;
}

static void fill_record(const struct volume *volume, struct proto_attach_reply *reply)
{
	reply->sector_bytes = volume->sector_bytes;
	reply->data_offset_bytes = volume->data_offset_bytes;
	memcpy(reply->uuid, volume->uuid, sizeof(reply->uuid));
	memcpy(reply->level, volume->level->name, sizeof(reply->level));
	(void)snprintf(reply->cipher, sizeof(reply->cipher), "%s", volume->cipher->name);
}

static void on_attach(struct keyd *keyd, struct consumer *consumer)
{
	struct proto_msg *msg = keyd->io.msg;
	struct attach a = {
		.keyd = keyd,
		.consumer = consumer,
		.serial = msg->serial,
		.request = msg->attach,
	};

	enum proto_status status = check_attach(&a);
	bool held = a.volume && consumer_holds_volume(consumer, a.volume);
	*msg = (struct proto_msg){.type = PROTO_ATTACH_REPLY, .serial = a.serial};
	if (status == PROTO_OK)
		status = release_key(&a, &msg->attach_reply);
	if (status != PROTO_OK)
		(void)audit_attach(&a, status);
	msg->attach_reply.status = status;
	if (a.volume && (status == PROTO_OK || status == PROTO_SUSPENDED)) {
		fill_record(a.volume, &msg->attach_reply);
		settle_size(&a, held, &msg->attach_reply);
	}
	memcpy(msg->attach_reply.message, a.message, sizeof(a.message));
	(void)session_send(keyd, &consumer->session, msg, -1);
	secret_wipe(msg, sizeof(*msg));
	if (a.volume && status == PROTO_BUSY)
		sanitize_go_on(keyd, a.volume);
}

static void on_detach(struct keyd *keyd, struct consumer *consumer)
{
	struct volume *volume = keystore_volume(&keyd->store, keyd->io.msg->volume.uuid);
	if (!volume)
		return;
	const struct scope scope = {.level = volume->level, .volume = volume};
	consumer_drop_held(consumer, &scope);
}

/*
 * Keys that may not be held any more, but none of a revocation under way. Only those that this answer is
 * about: one to an earlier REVOKE says nothing of a key that was given out since, or of another level's.
 */
static void drop_revoked(const struct keyd *keyd, struct consumer *consumer, uint32_t serial)
{
	size_t kept = 0;

	for (size_t i = 0; i < consumer->held_count; i++) {
		const struct volume *volume = consumer->held[i].volume;
		enum key_state state = keystore_volume_state(volume);
		if (consumer->held[i].revoked_by != serial || state == KEY_ACTIVE ||
			state == KEY_DAMAGED || revocation_under_way(keyd, volume))
			consumer->held[kept++] = consumer->held[i];
		else
			consumer_wipe_slots(consumer, &(struct scope){.level = volume->level,
							      .volume = consumer->held[i].volume});
	}
	consumer->held_count = kept;
}

/* Whether keys of the REVOKE with this serial are still counted as held. */
static bool owes_answer(const struct consumer *consumer, uint32_t serial)
{
	for (size_t i = 0; i < consumer->held_count; i++)
		if (consumer->held[i].revoked_by == serial)
			return true;
	return false;
}

static void on_revoke_ack(struct keyd *keyd, struct consumer *consumer)
{
	uint32_t serial = keyd->io.msg->serial, wiped = keyd->io.msg->revoke_ack.wiped;
	char detail[64];

	if (revocation_on_ack(keyd, consumer, PROTO_REVOKE, serial, wiped))
		return;
	keyd_log_peer(keyd, LOG_LEVEL_WARNING,
		"pid %d uid %u acknowledged late that it wiped %u keys",
		(int)consumer->session.peer.pid, (unsigned)consumer->session.peer.uid,
		(unsigned)wiped);
	(void)snprintf(detail, sizeof(detail), "wiped %u", (unsigned)wiped);
	const struct audit_event late = {.event = "revoke-ack-late",
		.by = &consumer->session.peer,
		.detail = detail,
		.result = "ok"};
	/* An answer that was waited for comes once. Any other may be sent again and again. */
	int rc = owes_answer(consumer, serial)
			 ? audit_append(&keyd->audit, &late)
			 : audit_append_repeat(&keyd->audit, &late, REPEAT_FETCH);
	if (rc)
		log_error("a late acknowledgement is not in the audit log: %s", strerror(-rc));
	drop_revoked(keyd, consumer, serial);
}

static void on_restore_ack(struct keyd *keyd, struct consumer *consumer)
{
	uint32_t serial = keyd->io.msg->serial;

	if (!revocation_on_ack(keyd, consumer, PROTO_RESTORE, serial, 0))
		log_debug("pid %d confirmed a resumption late", (int)consumer->session.peer.pid);
}

static void on_scrub(struct keyd *keyd, struct consumer *consumer)
{
	(void)keyd;
	consumer->scrubs = true;
}

static void on_grows(struct keyd *keyd, struct consumer *consumer)
{
	(void)keyd;
	consumer->grows = true;
}

/* Of a volume that it holds: how much of it is served from now on. */
static void on_store(struct keyd *keyd, struct consumer *consumer)
{
	consumer->store = keyd->io.msg->store;
	const struct proto_store *store = &consumer->store;
	struct volume *volume =
		text_is_uuid(store->uuid) ? keystore_volume(&keyd->store, store->uuid) : NULL;

	if (!volume || !consumer_holds_volume(consumer, volume) ||
		keystore_volume_state(volume) != KEY_ACTIVE ||
		store->store_bytes <= volume->data_offset_bytes)
		return;
	uint64_t served_bytes = store->store_bytes - volume->data_offset_bytes;
	if (served_bytes > volume->size_bytes)
		served_bytes = volume->size_bytes;
	served_bytes -= served_bytes % volume->sector_bytes;
	int rc = keystore_volume_note_served(&keyd->store, volume, served_bytes);
	if (rc)
		log_error("volume %s: cannot record that its new size is served: %s", volume->uuid,
			token_strerror(rc));
}

static void on_ping(struct keyd *keyd, struct consumer *consumer)
{
	const struct proto_msg pong = {.type = PROTO_PONG, .serial = keyd->io.msg->serial};

	(void)session_send(keyd, &consumer->session, &pong, -1);
}

static const struct {
	uint16_t type;
	bool before_hello;
	void (*handle)(struct keyd *keyd, struct consumer *consumer);
} handlers[] = {
	{PROTO_HELLO, true, on_hello},
	{PROTO_ATTACH, false, on_attach},
	{PROTO_DETACH, false, on_detach},
	{PROTO_REVOKE_ACK, false, on_revoke_ack},
	{PROTO_RESTORE_ACK, false, on_restore_ack},
	{PROTO_PING, false, on_ping},
	{PROTO_SCRUB, false, on_scrub},
	{PROTO_GROWS, false, on_grows},
	{PROTO_STORE, false, on_store},
	{PROTO_SANITIZE, false, sanitize_request},
	{PROTO_HEADER_WRITTEN, false, sanitize_header_written},
};

static void on_message(struct keyd *keyd, struct session *session)
{
	struct consumer *consumer = (struct consumer *)session;
	uint16_t type = keyd->io.msg->type;

	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (handlers[i].type == type && handlers[i].before_hello != consumer->greeted) {
			handlers[i].handle(keyd, consumer);
			return;
		}
	}
	keyd_log_peer(keyd, LOG_LEVEL_WARNING,
		"pid %d uid %u sent %s where it does not belong: closing the connection",
		(int)session->peer.pid, (unsigned)session->peer.uid, proto_type_name(type));
	session->ending = true;
}

static void on_garbage(struct keyd *keyd, struct session *session, int error)
{
	const struct consumer *consumer = (const struct consumer *)session;

	if (error == -EPROTONOSUPPORT)
		session_refuse_version(keyd, session, PROTO_HELLO_REPLY,
			"install tgt-crypt and tgt-keyd of one release, then restart this tgtd");
	else if (!consumer->greeted)
		(void)session_reply(keyd, session, PROTO_HELLO_REPLY, 0, PROTO_INVALID,
			"that is no message of this protocol");
	keyd_log_peer(keyd, LOG_LEVEL_WARNING, "pid %d uid %u sent no message of this protocol: %s",
		(int)session->peer.pid, (unsigned)session->peer.uid, strerror(-error));
}

static bool on_closed(struct keyd *keyd, struct session *session)
{
	struct consumer *consumer = (struct consumer *)session;

	if (consumer->greeted)
		keyd_log_peer(keyd, LOG_LEVEL_INFO, "%s pid %d uid %u disconnected",
			consumer->program, (int)session->peer.pid, (unsigned)session->peer.uid);
	consumer->greeted = false;
	memset(consumer->slots, 0, sizeof(consumer->slots)); /* the page has gone */
	sanitize_on_close(keyd, consumer);
	if (!peer_is_alive(&session->peer)) {
		revocation_on_exit(keyd, consumer);
		return false;
	}
	bool killed = revocation_on_close(keyd, consumer);
	return killed || consumer->held_count > 0;
}

static void on_writable(struct keyd *keyd, struct session *session)
{
	session_flush(keyd, session);
}

static bool is_idle(const struct session *session)
{
	return !((const struct consumer *)session)->greeted;
}

static void on_exit_of_process(struct keyd *keyd, struct session *session)
{
	revocation_on_exit(keyd, (struct consumer *)session);
}

static void consumer_free(struct session *session)
{
	struct consumer *consumer = (struct consumer *)session;

	peer_clear(&session->peer);
	free(consumer->held);
	free(consumer->listed);
	free(consumer);
}

const struct session_kind consumer_kind = {
	.name = "keyd.sock",
	.on_message = on_message,
	.on_garbage = on_garbage,
	.queues = true,
	.on_writable = on_writable,
	.on_closed = on_closed,
	.is_idle = is_idle,
	.on_exit = on_exit_of_process,
	.free = consumer_free,
};
