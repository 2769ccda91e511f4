/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyconnect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNECT_TIMEOUT_MS = 1000,
	SEND_TIMEOUT_MS = 1000,
	HELLO_TIMEOUT_MS = 2000,
};

/* HELLO and its answer, on a channel that no other thread uses yet. -EKEYREJECTED: keyd denies us. */
static int say_hello(struct proto_channel *ch, char *why, size_t n)
{
	struct proto_msg hello = {.type = PROTO_HELLO, .serial = 1, .hello = {.program = "tgtd"}};
	int rc = proto_send(ch, &hello, -1, SEND_TIMEOUT_MS), page_fd = -1;

	if (!rc)
		rc = proto_recv(ch, &page_fd, HELLO_TIMEOUT_MS);
	if (!rc && ch->msg->type != PROTO_HELLO_REPLY)
		rc = -EPROTO;
	if (!rc && ch->msg->reply.status != PROTO_OK) {
		if (page_fd >= 0)
			(void)close(page_fd);
		(void)snprintf(why, n, "keyd: %s", ch->msg->reply.message);
		switch (ch->msg->reply.status) {
		case PROTO_DENIED:
			return -EKEYREJECTED;
		case PROTO_BUSY:
			return -EBUSY;
		default:
			return -EPROTO;
		}
	}
	if (!rc) {
		rc = proto_channel_take_page(ch, page_fd);
		if (rc)
			(void)snprintf(why, n,
				"cannot map or lock the page shared with keyd: %s: raise "
				"LimitMEMLOCK= "
				"of this tgtd (ulimit -l)",
				strerror(-rc));
		return rc;
	}
	if (page_fd >= 0)
		(void)close(page_fd);
	(void)snprintf(why, n, "%s",
		rc == -EPROTONOSUPPORT
			? "keyd speaks another version of the protocol: install tgt-crypt and "
			  "tgt-keyd of one release, and restart both"
			: strerror(-rc));
	return rc;
}

int keyconnect_open(const char *socket, struct proto_channel *ch, char *why, size_t why_bytes)
{
	int fd = proto_connect(socket, CONNECT_TIMEOUT_MS);
	int rc = fd < 0 ? fd : proto_channel_open(ch, fd);

	if (rc) {
		if (fd >= 0)
			(void)close(fd);
		(void)snprintf(why, why_bytes, "%s", strerror(-rc));
		return rc;
	}
	rc = say_hello(ch, why, why_bytes);
	if (rc)
		proto_channel_close(ch);
	return rc;
}
