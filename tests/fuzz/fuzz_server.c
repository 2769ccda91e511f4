/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyd as its peers see it: its own loop, without sleeping, with two tgtds and two administrators whose messages come
 * from the input. A step is a byte: who (bits 0 and 1), what (bits 2 and 3), and what follows:
 *   0  a well-formed message: type, serial, choices of its fields
 *   1  a record as it is: length (2 bytes), bytes
 *   2  time passes: whoever is waited for has had his time
 *   3  the connection is closed and made anew
 */
#include "fuzz.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab.h"

/* For its static functions; without its listeners. */
#include "../../keyd/server.c"

#include "../../keyd/holders.h"
#include "../../keyd/store/luks_format.h"
#include "../../keyd/common/secret.h"
#include "../../keyd/records/serverkeys.h"

enum { PEERS = 4, ROUNDS_MAX = 64 };

static struct keyd keyd;
static struct server server;
static struct proto_channel clients[PEERS]; /* their messages and wires are made once */

/* In place of the real one, which takes 50 ms: what is in the header is fuzz_luks.c's matter. */
int luks_format(const struct luks_format *fmt, const uint8_t *key, int *header_fd,
	uint64_t *data_offset_bytes)
{
	(void)fmt;
	(void)key;
	*data_offset_bytes = 16 << 20;
	*header_fd = memfd_create("header", MFD_CLOEXEC);
	return *header_fd < 0 || ftruncate(*header_fd, 16 << 20) ? -errno : 0;
}

struct input {
	const uint8_t *data;
	size_t len;
};

static uint8_t take(struct input *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->data++;
}

static void connect_one(size_t i)
{
	int fds[2];
	size_t before = keyd.session_count;

	FUZZ_ASSERT(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
	clients[i].fd = fds[1];
	add_session(&server, fds[0], i < PEERS / 2 ? new_consumer : new_admin);
	if (keyd.session_count > before) /* tgtds are processes of their own */
		keyd.sessions[before]->peer.start_time += i;
}

static void disconnect(size_t i)
{
	(void)close(clients[i].fd);
	page_free(clients[i].page);
	clients[i].page = NULL;
}

static const char *choose(struct input *in)
{
	static char longest[PROTO_LEVEL_BYTES];
	const char *const words[] = {"red", "blue", "gone", lab_get()->volume, "/red.img",
		"/blue.img", "/new.img", "new", "", "..", "a/b", "file", "passphrase",
		"aes-cbc-essiv:sha256", "aes-xts-plain64", longest};

	memset(longest, 'x', sizeof(longest) - 1);
	return words[take(in) % (sizeof(words) / sizeof(words[0]))];
}

#define CHOOSE(field) (void)snprintf((field), sizeof(field), "%s", choose(in))

/* Fields of the types that there are; those of other types stay zero. */
static void fill(struct proto_msg *msg, struct input *in)
{
	switch (msg->type) {
	case PROTO_HELLO:
		CHOOSE(msg->hello.program);
		break;
	case PROTO_ATTACH:
		CHOOSE(msg->attach.uuid);
		CHOOSE(msg->attach.level);
		CHOOSE(msg->attach.path);
		msg->attach.key_at = take(in) * (uint32_t)PAGE_SLOT_BYTES;
		break;
	case PROTO_UPLOAD:
		msg->upload.total_bytes = take(in);
		msg->upload.offset_bytes = take(in);
		msg->upload.len = take(in);
		msg->upload.at = msg->upload.len ? take(in) : 0;
		break;
	case PROTO_VOLUME_CREATE:
		msg->volume_create.size_bytes = (uint64_t)take(in) << (take(in) % 60);
		msg->volume_create.sector_bytes = 512u << (take(in) % 4);
		CHOOSE(msg->volume_create.level);
		CHOOSE(msg->volume_create.cipher);
		CHOOSE(msg->volume_create.path);
		break;
	case PROTO_VOLUME_RESIZE:
		msg->volume_resize.size_bytes = (uint64_t)take(in) << (take(in) % 60);
		msg->volume_resize.commit = take(in) % 2;
		CHOOSE(msg->volume_resize.id);
		break;
	case PROTO_VOLUME_RELOCATE:
		CHOOSE(msg->volume_relocate.uuid);
		CHOOSE(msg->volume_relocate.path);
		break;
	case PROTO_SANITIZE:
		CHOOSE(msg->sanitize.uuid);
		CHOOSE(msg->sanitize.initiator);
		break;
	case PROTO_HEADER_WRITTEN:
		msg->header_written.number = take(in);
		CHOOSE(msg->header_written.uuid);
		break;
	case PROTO_STORE:
		msg->store.store_bytes = (uint64_t)take(in) << (take(in) % 60);
		CHOOSE(msg->store.uuid);
		break;
	case PROTO_REVOKE_ACK:
		msg->revoke_ack.wiped = take(in);
		break;
	case PROTO_VOLUME_SHOW:
	case PROTO_VOLUME_KEY:
	case PROTO_VOLUME_DESTROY:
		CHOOSE(msg->volume_id.id);
		break;
	default: /* names at the beginning: levels, volumes, custodies */
		CHOOSE(msg->level.level);
		break;
	}
}

static void send_message(size_t who, struct input *in)
{
	static struct proto_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.type = take(in);
	msg.serial = take(in);
	/* Argon2 takes a second. */
	static const uint16_t slow[] = {PROTO_UNLOCK, PROTO_INIT_PASSPHRASE, PROTO_CUSTODY_CHANGE,
		PROTO_EXPORT, PROTO_IMPORT};
	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++) {
		if (msg.type == slow[i])
			return;
	}
	fill(&msg, in);
	if (proto_send(&clients[who], &msg, -1, 0))
		return; /* no page, no room, or nobody there */
}

static void send_raw(size_t who, struct input *in)
{
	size_t len = take(in);

	len |= (size_t)take(in) << 8;
	if (len > in->len)
		len = in->len;
	(void)send(clients[who].fd, in->data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	in->data += len;
	in->len -= len;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* A peer's own reading: every message is whole, no key is in one that says no, and none is left at the end. */
static void drain(size_t who)
{
	struct proto_channel *ch = &clients[who];
	int rc, fd;

	while (!(rc = proto_recv(ch, &fd, 0))) {
		const struct proto_msg *msg = ch->msg;
		if (msg->type == PROTO_ATTACH_REPLY && msg->attach_reply.status != PROTO_OK)
			FUZZ_ASSERT(is_zero(msg->attach_reply.key, CIPHER_KEY_MAX));
		FUZZ_ASSERT(msg->type != PROTO_KEY || who >= PEERS / 2);
		if (msg->type == PROTO_PAGE || (msg->type == PROTO_HELLO_REPLY && fd >= 0))
			FUZZ_ASSERT(!proto_channel_take_page(ch, fd));
		else if (fd >= 0)
			(void)close(fd);
	}
	FUZZ_ASSERT(rc == -EAGAIN || rc == -EPIPE || rc == -EPROTONOSUPPORT);
	FUZZ_ASSERT(rc != -EPIPE || !ch->page || is_zero(ch->page, PAGE_BYTES));
}

/* Rounds of the loop until there is nothing to do but wait. */
static void run_loop(void)
{
	static struct pollfd polls[FIXED_POLLS + SESSIONS_MAX];

	server.looked_ms = clock_now_ms();
	for (int round = 0; round < ROUNDS_MAX; round++) {
		int wait_ms = tick(&server);
		size_t count = fill_polls(&server, polls, clock_now_ms());
		int ready = poll(polls, (nfds_t)count, 0);
		look(&server, polls, clock_now_ms(), 0);
		serve_events(&server, polls, count);
		reap(&keyd);
		for (size_t i = 0; i < PEERS; i++)
			drain(i);
		if (!ready && wait_ms)
			return;
	}
}

static void let_time_pass(void)
{
	for (struct revocation *rev = keyd.revocations; rev; rev = rev->next)
		rev->deadline_ms = 1;
	keyd.settle_until_ms = 0;
}

static void step(struct input *in)
{
	uint8_t what = take(in);
	size_t who = what % PEERS;

	switch (what / PEERS % 4) {
	case 0:
		send_message(who, in);
		break;
	case 1:
		send_raw(who, in);
		break;
	case 2:
		let_time_pass();
		break;
	default:
		disconnect(who);
		connect_one(who);
		break;
	}
	run_loop();
}

static void start(void)
{
	lab_reset(lab_get());
	memset(&keyd, 0, sizeof(keyd));
	server = (struct server){
		.keyd = &keyd, .consumers = {.fd = -1}, .admins = {.fd = -1}, .signal_fd = -1};
	FUZZ_ASSERT(!config_init(&keyd.config, 0));
	keyd.config.policy.rules.sanitize = 1;
	keyd.io.fd = -1;
	keyd.io.msg = secret_alloc(sizeof(*keyd.io.msg));
	keyd.io.wire = secret_alloc(PROTO_WIRE_BYTES_MAX);
	FUZZ_ASSERT(keyd.io.msg && keyd.io.wire);
	FUZZ_ASSERT(!keystore_open(&keyd.store, lab_get()->dir, NULL));
	FUZZ_ASSERT(!audit_log_open(&keyd.audit, keyd.store.dir_fd, NULL) &&
		    !serverkeys_begin(&keyd) && !holders_load(&keyd));
	for (size_t i = 0; i < PEERS; i++) {
		if (!clients[i].msg)
			FUZZ_ASSERT(!proto_channel_open(&clients[i], -1));
		connect_one(i);
	}
}

static void end(void)
{
	stop(&keyd);
	for (size_t i = 0; i < PEERS; i++)
		disconnect(i);
	audit_log_close(&keyd.audit);
	keystore_close(&keyd.store);
	config_clear(&keyd.config);
	proto_channel_close(&keyd.io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len};

	start();
	while (in.len)
		step(&in);
	end();
	return 0;
}
