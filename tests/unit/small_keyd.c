/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "small_keyd.h"

#include <argon2.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../fuzz/lab.h"
#include "faults.h"

/* For its static functions; without its listeners. */
#include "../../keyd/server.c"

#include "holders.h"
#include "luks_format.h"
#include "secret.h"
#include "serverkeys.h"

enum { ROUNDS_MAX = 4096, STATES_BYTES = 4096 };

struct keyd small_keyd;
static struct server server;
static struct proto_channel clients[SMALL_PEERS];
static bool silence;
static enum small_peer asking; /* whose answers count */
static int answer_status;
static char answer_said[PROTO_MESSAGE_BYTES];

/* In place of the real one, which takes 50 ms: test_luks_format.c has that. */
int luks_format(const struct luks_format *fmt, const uint8_t *key, int *header_fd,
	uint64_t *data_offset_bytes)
{
	(void)fmt;
	(void)key;
	*data_offset_bytes = 16 << 20;
	*header_fd = memfd_create("header", MFD_CLOEXEC);
	return *header_fd < 0 ? -errno : 0;
}

/* In place of the real one, which takes a second and 256 MiB. */
int argon2id_ctx(argon2_context *ctx)
{
	uint8_t salted[PROTO_PASSPHRASE_BYTES + 64], digest[EVP_MAX_MD_SIZE];

	memcpy(salted, ctx->pwd, ctx->pwdlen);
	memcpy(salted + ctx->pwdlen, ctx->salt, ctx->saltlen);
	if (!EVP_Digest(salted, ctx->pwdlen + ctx->saltlen, digest, NULL, EVP_sha256(), NULL))
		abort();
	memcpy(ctx->out, digest, ctx->outlen);
	return ARGON2_OK;
}

void small_keyd_reset(void)
{
	lab_reset(lab_get());
}

static int connect_one(enum small_peer who)
{
	int fds[2];
	size_t before = small_keyd.session_count;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		return -errno;
	clients[who].fd = fds[1];
	add_session(&server, fds[0], who == SMALL_TGTD ? new_consumer : new_admin);
	if (small_keyd.session_count == before)
		return -ENOMEM;
	if (who == SMALL_SECOND_ADMIN) /* somebody else, who may do as much */
		small_keyd.sessions[before]->peer.uid = 4711;
	return 0;
}

static int open_all(void)
{
	int rc = keystore_open(&small_keyd.store, lab_get()->dir, &small_keyd.config.custody);
	struct audit_key key;

	if (rc)
		return rc;
	small_keyd.audit = (struct audit){.fd = -1, .head_fd = -1};
	rc = serverkeys_audit_key(&small_keyd.store, &key);
	if (!rc)
		rc = audit_log_open(
			&small_keyd.audit, small_keyd.store.dir_fd, key.bytes ? &key : NULL);
	if (!rc && small_keyd.store.root)
		rc = serverkeys_begin(&small_keyd);
	if (!rc && !small_keyd.store.zeroized_at)
		rc = holders_load(&small_keyd);
	return rc;
}

static void close_all(void)
{
	serverkeys_end(&small_keyd);
	audit_log_close(&small_keyd.audit);
	keystore_close(&small_keyd.store);
	config_clear(&small_keyd.config);
	proto_channel_close(&small_keyd.io);
}

int small_keyd_start(void)
{
	memset(&small_keyd, 0, sizeof(small_keyd));
	server = (struct server){.keyd = &small_keyd,
		.looked_ms = clock_now_ms(),
		.consumers = {.fd = -1},
		.admins = {.fd = -1},
		.signal_fd = -1};
	small_keyd.audit = (struct audit){.fd = -1, .head_fd = -1};
	small_keyd.store = (struct keystore){.dir_fd = -1, .lock_fd = -1};
	small_keyd.io = (struct proto_channel){.fd = -1};
	for (int who = 0; who < SMALL_PEERS; who++)
		clients[who] = (struct proto_channel){.fd = -1};
	int rc = config_init(&small_keyd.config, 0);
	if (rc)
		return rc;
	small_keyd.io.msg = secret_alloc(sizeof(*small_keyd.io.msg));
	small_keyd.io.wire = secret_alloc(PROTO_WIRE_BYTES_MAX);
	rc = small_keyd.io.msg && small_keyd.io.wire ? 0 : -ENOMEM;
	if (!rc)
		rc = open_all();
	if (!rc) {
		destroy_resume_all(&small_keyd);
		pending_load_all(&small_keyd);
		zeroize_resume(&small_keyd);
	}
	for (int who = 0; !rc && who < SMALL_PEERS; who++)
		rc = connect_one((enum small_peer)who);
	if (rc)
		small_keyd_end();
	return rc;
}

void small_keyd_end(void)
{
	stop(&small_keyd);
	for (int who = 0; who < SMALL_PEERS; who++)
		proto_channel_close(&clients[who]);
	close_all();
}

static void open_client(enum small_peer who)
{
	if (!clients[who].msg && proto_channel_open(&clients[who], clients[who].fd))
		abort();
}

static void send_as(enum small_peer who, const struct proto_msg *msg)
{
	open_client(who);
	if (proto_send(&clients[who], msg, -1, 0))
		return; /* keyd has gone, or gave no page: there is no answer */
}

/* As a tgtd and a keyadm do it. */
static void on_answer(enum small_peer who, const struct proto_msg *msg)
{
	struct proto_msg ack = {.serial = msg->serial};

	if (who != asking && msg->type != PROTO_REVOKE && msg->type != PROTO_RESTORE)
		return;
	switch (msg->type) {
	case PROTO_REVOKE:
	case PROTO_RESTORE:
		if (silence)
			break;
		ack.type = msg->type == PROTO_REVOKE ? PROTO_REVOKE_ACK : PROTO_RESTORE_ACK;
		send_as(who, &ack);
		break;
	case PROTO_REPLY:
	case PROTO_HELLO_REPLY:
	case PROTO_SANITIZE_REPLY:
		answer_status = (int)msg->reply.status;
		memcpy(answer_said, msg->reply.message, sizeof(answer_said));
		break;
	case PROTO_ATTACH_REPLY:
		answer_status = (int)msg->attach_reply.status;
		break;
	case PROTO_VOLUME_HEADER:
	case PROTO_PAGE:
		answer_status = PROTO_OK;
		break;
	default:
		break;
	}
}

static void drain(enum small_peer who)
{
	struct proto_channel *ch = &clients[who];
	int rc, fd;

	open_client(who);
	while (!(rc = proto_recv(ch, &fd, 0))) {
		struct proto_msg msg = *ch->msg;
		bool page = msg.type == PROTO_PAGE || (msg.type == PROTO_HELLO_REPLY && fd >= 0);
		if (page && proto_channel_take_page(ch, fd))
			abort();
		if (!page && fd >= 0)
			(void)close(fd);
		on_answer(who, &msg);
	}
	if (rc != -EAGAIN && rc != -EPIPE)
		abort();
}

/* True: whoever is waited for has had his time. */
static bool let_time_pass(void)
{
	bool passed = small_keyd.settle_until_ms != 0;

	if (silence)
		return false;
	for (struct revocation *rev = small_keyd.revocations; rev; rev = rev->next) {
		passed = passed || rev->deadline_ms > 1;
		rev->deadline_ms = 1;
	}
	small_keyd.settle_until_ms = 0;
	return passed;
}

void small_keyd_settle(void)
{
	static struct pollfd polls[FIXED_POLLS + SESSIONS_MAX];

	for (int round = 0; round < ROUNDS_MAX && !small_keyd.unclear; round++) {
		faults_arm();
		int wait_ms = tick(&server);
		size_t count = fill_polls(&server, polls, clock_now_ms());
		faults_disarm();
		int64_t asked_ms = clock_now_ms();
		int ready = poll(polls, (nfds_t)count, 0);
		look(&server, polls, asked_ms, 0);
		faults_arm();
		serve_events(&server, polls, count);
		reap(&small_keyd);
		faults_disarm();
		for (int who = 0; who < SMALL_PEERS; who++)
			drain((enum small_peer)who);
		if (!ready && wait_ms && !let_time_pass())
			return;
	}
}

/* As keyadm does it, before the first message with a secret, or about one. */
static bool get_page(enum small_peer who, const struct proto_msg *msg)
{
	const struct proto_msg page = {.type = PROTO_PAGE, .serial = 1};

	bool secret = msg->type == PROTO_VOLUME_KEY ||
		      proto_secret_of((struct proto_msg *)(uintptr_t)msg).len_bytes;

	if (who == SMALL_TGTD || clients[who].page || !secret)
		return true;
	return small_keyd_ask(who, &page) == PROTO_OK;
}

int small_keyd_ask(enum small_peer who, const struct proto_msg *msg)
{
	if (!get_page(who, msg))
		return answer_status;
	asking = who;
	answer_status = -1;
	answer_said[0] = '\0';
	send_as(who, msg);
	small_keyd_settle();
	return answer_status;
}

int small_keyd_order(uint16_t type, const char *name)
{
	struct proto_msg msg = {.type = type, .serial = 1};

	(void)snprintf(msg.level.level, sizeof(msg.level.level), "%s", name);
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

void small_keyd_send(enum small_peer who, const struct proto_msg *msg)
{
	send_as(who, msg);
}

void small_keyd_was_absent(int64_t ms)
{
	server.looked_ms -= ms;
}

void small_keyd_silence(bool silent)
{
	silence = silent;
}

const char *small_keyd_said(void)
{
	return answer_said;
}

int small_keyd_upload(const uint8_t *bytes, size_t len)
{
	static struct proto_msg msg;
	int status = PROTO_OK;

	for (size_t at = 0; status == PROTO_OK && at < len; at += msg.upload.len) {
		size_t rest = len - at;
		msg = (struct proto_msg){.type = PROTO_UPLOAD, .serial = 1};
		msg.upload.total_bytes = (uint32_t)len;
		msg.upload.offset_bytes = (uint32_t)at;
		msg.upload.len = (uint32_t)(rest < PROTO_TEXT_BYTES ? rest : PROTO_TEXT_BYTES);
		memcpy(msg.upload.bytes, bytes + at, msg.upload.len);
		status = small_keyd_ask(SMALL_ADMIN, &msg);
	}
	return status;
}

const char *small_keyd_states(void)
{
	static char texts[2][STATES_BYTES];
	static unsigned next;
	char *text = texts[next++ % 2];
	size_t used = 0;

	used += (size_t)snprintf(text, STATES_BYTES, "%s",
		small_keyd.store.zeroized_at ? "zeroized"
		: small_keyd.store.root      ? "open"
					     : "closed");
	for (size_t i = 0; i < small_keyd.store.level_count; i++) {
		const struct level *level = small_keyd.store.levels[i];
		used += (size_t)snprintf(text + used, STATES_BYTES - used, " %s:%s", level->name,
			keystore_state_name(level->state));
		for (size_t j = 0; j < level->volume_count; j++)
			used += (size_t)snprintf(text + used, STATES_BYTES - used,
				" %s:%s:%" PRIu64, level->volumes[j]->path,
				keystore_state_name(level->volumes[j]->state),
				level->volumes[j]->size_bytes);
	}
	(void)snprintf(
		text + used, STATES_BYTES - used, " %zu waiting", pending_count(&small_keyd));
	return text;
}

bool small_keyd_audit_holds(void)
{
	struct audit_key key = {0};
	struct audit_verdict verdict;

	if (serverkeys_audit_key(&small_keyd.store, &key))
		return false;
	const struct audit_check check = {
		.key = key.bytes ? &key : NULL, .may_end_without_code = !key.bytes};
	int rc = audit_verify(small_keyd.store.dir_fd, &check, &verdict);
	secret_free(key.bytes);
	return !rc && !verdict.first_bad_line;
}
