/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyadm's side of admin.sock: one request, its answer, within a bounded time. One thread.
 */
#ifndef KEYD_CLIENT_H
#define KEYD_CLIENT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"

enum {
	CLIENT_CONNECT_MS = 5000,
	CLIENT_ANSWER_MS = 60000,
	CLIENT_TEXT_BYTES_MAX = 256 * 1024 * 1024, /* the longest answer: an audit log */
};

struct client {
	struct proto_channel channel; /* channel.msg: the message that ended the last answer */
	uint32_t serial;
	char *text; /* the JSON of the last answer, NUL-terminated; empty if there was none */
	size_t text_len;
	size_t text_cap;
	int fd; /* came with the last answer, owned by the client; -1: none */
	void (*on_progress)(uint32_t done, uint32_t total); /* NULL: nobody wants to know */
	const volatile sig_atomic_t *stop; /* if set and not zero, waiting ends with -EINTR */
};

/* Connects to keyd's admin socket. 0 or -errno; close with client_close() after success only. */
int client_open(struct client *c, const char *socket_path) __attribute__((warn_unused_result));

/* Wipes and frees everything, closes c->fd too. */
void client_close(struct client *c);

/*
 * Sends request (its serial is set here) and collects the answer up to its first message that is no
 * TEXT: REPLY, VOLUME_HEADER, KEY or EXPORTED, to be found in c->channel.msg. The caller wipes that after a
 * KEY. A request with a secret, or for a key, is preceded by one for the shared page. 0, -ETIMEDOUT, -EPIPE (keyd went away), -EINTR (*c->stop), -EBADMSG, -EPROTONOSUPPORT, -EFBIG,
 * -ENOMEM: after any of these the connection is of no more use.
 */
int client_request(struct client *c, struct proto_msg *request) __attribute__((warn_unused_result));

/* Goes on with the answer to the last request: after KEY or EXPORTED, up to its REPLY. Errors as above. */
int client_next(struct client *c) __attribute__((warn_unused_result));

/* For an error of the functions above: what is wrong and what to do, one line. Static storage. */
const char *client_strerror(int err);

#endif
