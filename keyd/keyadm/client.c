/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

enum {
	STOP_POLL_MS = 100, /* how soon *stop is seen */
	TEXT_CAP_FIRST = 64 * 1024,
};

int client_open(struct client *c, const char *socket_path)
{
	*c = (struct client){.channel.fd = -1, .fd = -1};
	c->text = calloc(1, TEXT_CAP_FIRST);
	if (!c->text)
		return -ENOMEM;
	c->text_cap = TEXT_CAP_FIRST;

	int err = 0;
	int fd = proto_connect(socket_path, CLIENT_CONNECT_MS);
	if (fd < 0) {
		err = fd;
		goto out;
	}
	err = proto_channel_open(&c->channel, fd);
	if (err)
		(void)close(fd);
out:
	if (err) {
		free(c->text);
		c->text = NULL;
	}
	return err;
}

static void drop_fd(struct client *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
}

void client_close(struct client *c)
{
	proto_channel_close(&c->channel);
	drop_fd(c);
	free(c->text);
	c->text = NULL;
}

static int append_text(struct client *c, const struct proto_text *chunk)
{
	size_t need = c->text_len + chunk->len + 1;
	size_t cap = c->text_cap;

	if (need > CLIENT_TEXT_BYTES_MAX)
		return -EFBIG;
	while (cap < need)
		cap *= 2;
	if (cap != c->text_cap) {
		char *grown = realloc(c->text, cap);
		if (!grown)
			return -ENOMEM;
		c->text = grown;
		c->text_cap = cap;
	}
	memcpy(c->text + c->text_len, chunk->bytes, chunk->len);
	c->text_len += chunk->len;
	c->text[c->text_len] = '\0';
	return 0;
}

/* One message into c->channel.msg. */
static int receive(struct client *c, int64_t deadline_ms)
{
	for (;;) {
		int64_t left_ms = deadline_ms - clock_now_ms();
		if (left_ms <= 0)
			return -ETIMEDOUT;
		drop_fd(c);
		int err = proto_recv(
			&c->channel, &c->fd, left_ms < STOP_POLL_MS ? (int)left_ms : STOP_POLL_MS);
		if (err != -ETIMEDOUT)
			return err;
		if (c->stop && *c->stop)
			return -EINTR;
	}
}

/* keyd turns strangers away with a REPLY before they have asked anything: serial 0. */
static bool is_ours(const struct client *c, const struct proto_msg *msg)
{
	return msg->serial == c->serial || (msg->type == PROTO_REPLY && msg->serial == 0);
}

static int collect(struct client *c, int64_t deadline_ms)
{
	const struct proto_msg *msg = c->channel.msg;

	for (;;) {
		int err = receive(c, deadline_ms);
		if (err)
			return err;
		if (!is_ours(c, msg))
			return -EBADMSG;
		switch (msg->type) {
		case PROTO_PROGRESS: /* it goes on: the time starts anew */
			if (c->on_progress)
				c->on_progress(msg->progress.done, msg->progress.total);
			deadline_ms = clock_now_ms() + CLIENT_ANSWER_MS;
			break;
		case PROTO_REPLY:
		case PROTO_VOLUME_HEADER:
		case PROTO_KEY:
		case PROTO_EXPORTED:
		case PROTO_PAGE:
			return 0;
		case PROTO_TEXT:
			err = append_text(c, &msg->text);
			if (err)
				return err;
			break;
		default:
			return -EBADMSG;
		}
	}
}

/* What crosses in the page: a request's secret, or the key that answers it. */
static bool needs_page(struct proto_msg *request)
{
	return proto_secret_of(request).len_bytes || request->type == PROTO_VOLUME_KEY;
}

/* 0 with the page; *refused, and 0: keyd's answer is a refusal, in c->channel.msg. */
static int get_page(struct client *c, bool *refused)
{
	const struct proto_msg request = {.type = PROTO_PAGE, .serial = ++c->serial};

	int err = proto_send(&c->channel, &request, -1, CLIENT_ANSWER_MS);
	if (!err || err == -EPIPE)
		err = collect(c, clock_now_ms() + CLIENT_ANSWER_MS);
	if (err)
		return err;
	*refused = c->channel.msg->type == PROTO_REPLY;
	if (*refused)
		return 0;
	if (c->channel.msg->type != PROTO_PAGE)
		return -EBADMSG;
	err = proto_channel_take_page(&c->channel, c->fd);
	c->fd = -1;
	return err == -EINVAL ? -EBADMSG : err;
}

int client_request(struct client *c, struct proto_msg *request)
{
	bool refused = false;
	int64_t deadline_ms = clock_now_ms() + CLIENT_ANSWER_MS;

	c->text_len = 0;
	c->text[0] = '\0';
	int err = needs_page(request) && !c->channel.page ? get_page(c, &refused) : 0;
	if (err || refused)
		return err;
	request->serial = ++c->serial;
	err = proto_send(&c->channel, request, -1, CLIENT_ANSWER_MS);
	if (err && err != -EPIPE) /* -EPIPE: keyd may have said why before it hung up */
		return err;
	return collect(c, deadline_ms);
}

int client_next(struct client *c)
{
	return collect(c, clock_now_ms() + CLIENT_ANSWER_MS);
}

const char *client_strerror(int err)
{
	switch (-err) {
	case ENOENT:
		return "no such socket: start keyd, or name its socket with --admin-socket";
	case ECONNREFUSED:
		return "nobody listens there: start keyd";
	case EACCES:
		return "no permission to connect: check the rights of the socket and its folders";
	case EPROTOTYPE:
	case ENOTSOCK:
		return "not keyd's socket: name the right one with --admin-socket";
	case ENAMETOOLONG:
		return "the socket's path is longer than 107 bytes: use a shorter one";
	case ETIMEDOUT:
		return "no answer in time: what was asked may still happen, see keyadm status";
	case EPIPE:
		return "keyd closed the connection: see its log, then keyadm status";
	case EINTR:
		return "interrupted";
	case EPROTONOSUPPORT:
		return "keyd speaks another version of the protocol: install matching versions";
	case EBADMSG:
		return "an answer that makes no sense: install matching versions of keyd and "
		       "keyadm";
	case EFBIG:
		return "the answer is longer than 256 MiB: read the log on keyd's machine";
	case EPERM:
	case EAGAIN:
	case ENOMEM:
		return "no memory that can be locked: raise RLIMIT_MEMLOCK (ulimit -l)";
	default:
		return strerror(-err);
	}
}
