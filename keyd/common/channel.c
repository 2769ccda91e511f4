/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "page.h"
#include "proto.h"
#include "secret.h"

/* The control buffer of one descriptor; its alignment leaves room for a second one. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int64_t deadline_after(int timeout_ms)
{
	return clock_now_ms() + (timeout_ms > 0 ? timeout_ms : 0);
}

static int left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_now_ms();
	return left > 0 ? (int)left : 0;
}

/* 0 once fd has one of events (or is broken: the next call tells), -ETIMEDOUT, -errno. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = events};
		int ready = poll(&pfd, 1, left_ms(deadline_ms));
		if (ready > 0)
			return 0;
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int proto_channel_open(struct proto_channel *ch, int fd)
{
	*ch = (struct proto_channel){.fd = -1};
	ch->msg = secret_alloc(sizeof(*ch->msg));
	ch->wire = ch->msg ? secret_alloc(PROTO_WIRE_BYTES_MAX) : NULL;
	if (!ch->wire) {
		int err = -errno;
		proto_channel_close(ch);
		return err;
	}
	ch->fd = fd;
	return 0;
}

int proto_channel_take_page(struct proto_channel *ch, int fd)
{
	uint8_t *page = fd >= 0 ? page_map(fd) : NULL;
	int rc = page ? 0 : fd >= 0 ? -errno : -EINVAL;

	if (fd >= 0)
		(void)close(fd);
	if (page) {
		page_free(ch->page);
		ch->page = page;
	}
	return rc;
}

void proto_channel_close(struct proto_channel *ch)
{
	if (ch->fd >= 0)
		(void)close(ch->fd);
	page_free(ch->page);
	secret_free(ch->msg);
	secret_free(ch->wire);
	*ch = (struct proto_channel){.fd = -1};
}

/* connect(2) to an AF_UNIX socket waits for room in the listener's queue for SO_SNDTIMEO. */
static int connect_until(int fd, const struct sockaddr_un *addr, int64_t deadline_ms)
{
	for (;;) {
		int left = left_ms(deadline_ms);
		struct timeval limit = {left / 1000, left % 1000 * 1000L};
		if (!left)
			limit.tv_usec = 1; /* zero would mean forever */
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)))
			return -errno;
		if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
			return 0;
		if (errno == EAGAIN)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
		if (!left)
			return -ETIMEDOUT;
	}
}

int proto_connect(const char *path, int timeout_ms)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int64_t deadline_ms = deadline_after(timeout_ms);
	size_t len = strlen(path);

	if (!len)
		return -EINVAL;
	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len);

	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int err = connect_until(fd, &addr, deadline_ms);
	if (!err && fcntl(fd, F_SETFL, O_NONBLOCK))
		err = -errno;
	if (err) {
		(void)close(fd);
		return err;
	}
	return fd;
}

static void attach_fd(struct msghdr *mh, union control *control, int fd)
{
	memset(control, 0, sizeof(*control));
	mh->msg_control = control->bytes;
	mh->msg_controllen = sizeof(control->bytes);
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
}

static bool peer_gone(int err)
{
	return err == ECONNRESET || err == ECONNREFUSED || err == ENOTCONN;
}

static int send_until(int fd, const struct msghdr *mh, int64_t deadline_ms)
{
	for (;;) {
		if (sendmsg(fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0; /* SEQPACKET: the whole record or nothing */
		if (errno == EAGAIN) {
			int err = wait_for(fd, POLLOUT, deadline_ms);
			if (err)
				return err;
		} else if (errno != EINTR) {
			return peer_gone(errno) ? -EPIPE : -errno;
		}
	}
}

ssize_t proto_pack(struct proto_channel *ch, const struct proto_msg *msg)
{
	const struct proto_secret secret = proto_secret_of((struct proto_msg *)(uintptr_t)msg);

	ssize_t len = proto_encode(msg, ch->wire, PROTO_WIRE_BYTES_MAX);
	if (len < 0 || !secret.len_bytes)
		return len;
	if (!ch->page)
		return -EINVAL;
	page_put(ch->page, secret.at, secret.bytes, secret.len_bytes);
	return len;
}

int proto_send_record(int fd, const void *record, size_t len, int pass_fd, int timeout_ms)
{
	struct iovec iov = {(void *)(uintptr_t)record, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;

	if (pass_fd >= 0)
		attach_fd(&mh, &control, pass_fd);
	return send_until(fd, &mh, deadline_after(timeout_ms));
}

int proto_send(struct proto_channel *ch, const struct proto_msg *msg, int pass_fd, int timeout_ms)
{
	const struct proto_secret secret = proto_secret_of((struct proto_msg *)(uintptr_t)msg);
	ssize_t len = proto_pack(ch, msg);

	int err = len < 0 ? (int)len
			  : proto_send_record(ch->fd, ch->wire, (size_t)len, pass_fd, timeout_ms);
	if (err && len >= 0 && secret.len_bytes)
		secret_wipe(ch->page + secret.at, secret.len_bytes);
	secret_wipe(ch->wire, PROTO_WIRE_BYTES_MAX);
	return err;
}

/* Keeps the first descriptor that came along in *fd (-1: none) and closes the others. */
static int take_fds(struct msghdr *mh, int *fd)
{
	int err = mh->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;

	*fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int got;
			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
			if (*fd < 0) {
				*fd = got;
			} else {
				(void)close(got);
				err = -EBADMSG;
			}
		}
	}
	return err;
}

/* The length of the next record, 0 at the end, or -errno; the record is in the wire buffer. */
static ssize_t recv_until(
	struct proto_channel *ch, struct msghdr *mh, union control *control, int64_t deadline_ms)
{
	for (;;) {
		mh->msg_control = control ? control->bytes : NULL;
		mh->msg_controllen = control ? sizeof(control->bytes) : 0;
		ssize_t len = recvmsg(ch->fd, mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (len >= 0)
			return len;
		if (errno == ECONNRESET)
			continue; /* told once, before what the peer sent as it closed */
		if (errno == EAGAIN) {
			int err = wait_for(ch->fd, POLLIN, deadline_ms);
			if (err)
				return err;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

/* The one copy of what the peer may still change. */
static int take_secret(struct proto_channel *ch)
{
	const struct proto_secret secret = proto_secret_of(ch->msg);

	if (!secret.len_bytes)
		return 0;
	if (!ch->page) {
		memset(ch->msg, 0, sizeof(*ch->msg));
		return -EBADMSG;
	}
	page_take(ch->page, secret.at, secret.bytes, secret.len_bytes);
	return 0;
}

int proto_recv(struct proto_channel *ch, int *passed_fd, int timeout_ms)
{
	struct iovec iov = {ch->wire, PROTO_WIRE_BYTES_MAX};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	int fd = -1;

	if (passed_fd)
		*passed_fd = -1;
	/* Without a control buffer the kernel gives no descriptor that somebody attached. */
	ssize_t len = recv_until(ch, &mh, passed_fd ? &control : NULL, deadline_after(timeout_ms));
	if (len < 0)
		return len == -ETIMEDOUT && timeout_ms <= 0 ? -EAGAIN : (int)len;

	int err = passed_fd ? take_fds(&mh, &fd) : 0; /* an empty record may carry one, too */
	if (!err && !len)
		err = -EPIPE;
	if (!err && (mh.msg_flags & MSG_TRUNC))
		err = -EBADMSG;
	if (!err)
		err = proto_decode(ch->wire, (size_t)len, ch->msg);
	if (err == -EPROTONOSUPPORT)
		ch->peer_version = proto_version_of(ch->wire);
	if (!err)
		err = take_secret(ch);
	secret_wipe(ch->wire, PROTO_WIRE_BYTES_MAX);
	if (!err && passed_fd) {
		*passed_fd = fd;
		fd = -1; /* the caller owns it */
	}
	if (fd >= 0)
		(void)close(fd);
	return err;
}
