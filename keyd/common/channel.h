/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Messages over a connected SOCK_SEQPACKET socket, with a time limit on every step. No function here
 * blocks past its time-out, whether the socket is in blocking mode or not.
 */
#ifndef KEYD_CHANNEL_H
#define KEYD_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proto_msg; /* proto.h */

/*
 * A connected SEQPACKET socket with its message and wire buffer. The message is in secret memory: it may have a
 * secret, which comes and goes in the shared page. One thread uses a channel at a time.
 */
struct proto_channel {
	int fd; /* owned; -1 when closed */
	struct proto_msg *msg;
	uint8_t *wire;
	uint8_t *page;         /* owned; NULL: this connection has none (yet) */
	uint16_t peer_version; /* of the last record that proto_recv() refused for it */
};

/* Takes fd over on success. -ENOMEM or mlock's error; then the caller still owns fd. */
int proto_channel_open(struct proto_channel *ch, int fd) __attribute__((warn_unused_result));

/*
 * Maps the page whose descriptor came (and is closed here) in place of what the channel has. 0, or -errno of
 * page_map(); -EINVAL for fd -1, too.
 */
int proto_channel_take_page(struct proto_channel *ch, int fd) __attribute__((warn_unused_result));

/* Closes the socket, wipes and frees the page and the buffers. Harmless on a closed or zeroed (fd -1) channel. */
void proto_channel_close(struct proto_channel *ch);

/*
 * Connects to the SEQPACKET socket at path within timeout_ms. Returns a close-on-exec, non-blocking
 * fd or -errno (-ENAMETOOLONG included). Sockets are never left half connected.
 */
int proto_connect(const char *path, int timeout_ms) __attribute__((warn_unused_result));

/*
 * Sends msg (which may be ch->msg), with descriptor pass_fd attached if it is not -1; waits at most
 * timeout_ms (0: not at all) for room. Its secret goes into the page first, and is taken out again when the message
 * was not sent. 0, -ETIMEDOUT (no room, with timeout 0 as well), -EPIPE (peer closed; what it sent before may still be
 * there to receive), an error of proto_encode, -EINVAL also for a secret without a page. The wire buffer is wiped
 * before return. Never raises SIGPIPE.
 */
int proto_send(struct proto_channel *ch, const struct proto_msg *msg, int pass_fd, int timeout_ms)
	__attribute__((warn_unused_result));

/* The first half of proto_send(): the record is in ch->wire, the secret in the page. Its length, or as above. */
ssize_t proto_pack(struct proto_channel *ch, const struct proto_msg *msg)
	__attribute__((warn_unused_result));

/* The second half, of any record. */
int proto_send_record(int fd, const void *record, size_t len, int pass_fd, int timeout_ms)
	__attribute__((warn_unused_result));

/*
 * Receives one message into ch->msg within timeout_ms (0: only what is there already). 0, -EAGAIN
 * (timeout 0 and nothing there), -ETIMEDOUT, -EPIPE (peer closed), or an error of proto_decode
 * (-EBADMSG for more than one descriptor too, and for a secret without a page). A secret is copied from the page into
 * ch->msg, and its place overwritten. A descriptor that came along goes to *passed_fd (owned
 * by the caller), else -1; with passed_fd NULL, or on an error, it is closed. The wire buffer is wiped before return; the caller wipes ch->msg after a key.
 */
int proto_recv(struct proto_channel *ch, int *passed_fd, int timeout_ms)
	__attribute__((warn_unused_result));

#endif
