/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Messages over real sockets: time limits, passed descriptors, peers that go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/common/proto.h"

struct pair {
	struct proto_channel a, b;
};

static int open_pair(void **state)
{
	static struct pair pair;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(proto_channel_open(&pair.a, fds[0]), 0);
	assert_int_equal(proto_channel_open(&pair.b, fds[1]), 0);
	int page_fd;
	pair.a.page = page_new(&page_fd);
	assert_non_null(pair.a.page);
	assert_int_equal(proto_channel_take_page(&pair.b, page_fd), 0);
	*state = &pair;
	return 0;
}

static int close_pair(void **state)
{
	struct pair *pair = *state;

	proto_channel_close(&pair->a);
	proto_channel_close(&pair->b);
	proto_channel_close(&pair->b);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static void say_key(struct pair *p, uint8_t value, uint32_t at)
{
	struct proto_msg *msg = p->a.msg;

	msg->type = PROTO_KEY;
	msg->serial = 7;
	msg->key.key_bytes = CIPHER_KEY_MAX;
	msg->key.key_at = at;
	memset(msg->key.key, value, CIPHER_KEY_MAX);
}

static void a_key_arrives_and_is_wiped_from_the_page(void **state)
{
	struct pair *p = *state;

	say_key(p, 0xa5, PAGE_BYTES - CIPHER_KEY_MAX);
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), 0);
	assert_true(is_zero(p->a.wire, PROTO_WIRE_BYTES_MAX));
	assert_int_equal(p->b.page[PAGE_BYTES - 1], 0xa5);
	assert_int_equal(proto_recv(&p->b, NULL, 1000), 0);
	assert_true(is_zero(p->b.wire, PROTO_WIRE_BYTES_MAX));
	assert_memory_equal(p->b.msg, p->a.msg, sizeof(*p->a.msg));
	assert_true(is_zero(p->a.page, PAGE_BYTES));
}

/* What the kernel keeps of the socket's buffers is what this reads. */
static void no_record_has_the_key(void **state)
{
	struct pair *p = *state;
	uint8_t record[PROTO_WIRE_BYTES_MAX];

	say_key(p, 0xa5, 0);
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), 0);
	ssize_t len = recv(p->b.fd, record, sizeof(record), 0);
	assert_int_equal(len, 24);
	assert_null(memchr(record, 0xa5, (size_t)len));
}

static void two_keys_under_way_have_each_their_slot(void **state)
{
	struct pair *p = *state;

	for (uint32_t i = 0; i < 2; i++) {
		say_key(p, (uint8_t)(0xa0 + i), i * PAGE_SLOT_BYTES);
		assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), 0);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(proto_recv(&p->b, NULL, 1000), 0);
		assert_int_equal(p->b.msg->key.key[CIPHER_KEY_MAX - 1], 0xa0 + i);
	}
}

static void a_key_that_cannot_be_sent_does_not_stay_in_the_page(void **state)
{
	struct pair *p = *state;

	say_key(p, 0xa5, 0);
	assert_int_equal(shutdown(p->a.fd, SHUT_WR), 0);
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 0), -EPIPE);
	assert_true(is_zero(p->b.page, PAGE_BYTES));
}

static void without_a_page_there_is_no_secret(void **state)
{
	struct pair *p = *state;
	static const struct proto_msg zero;
	uint8_t *page = p->b.page;

	say_key(p, 0xa5, 0);
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), 0);
	p->b.page = NULL;
	assert_int_equal(proto_recv(&p->b, NULL, 1000), -EBADMSG);
	assert_memory_equal(p->b.msg, &zero, sizeof(zero));
	assert_int_equal(proto_send(&p->b, p->a.msg, -1, 1000), -EINVAL);
	p->b.page = page;
}

/* The other end can write to the page whenever it likes, and change no size. */
static void a_page_keeps_its_size_and_ends_wiped(void **state)
{
	int fd, other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *page = page_new(&fd);

	(void)state;
	assert_non_null(page);
	uint8_t *peers = page_map(fd);
	assert_non_null(peers);
	assert_int_not_equal(ftruncate(fd, 0), 0);
	assert_int_not_equal(ftruncate(fd, (off_t)2 * PAGE_BYTES), 0);
	memset(peers, 0xa5, PAGE_BYTES);
	page_free(page);
	assert_true(is_zero(peers, PAGE_BYTES));
	page_free(peers);
	page_free(NULL);
	(void)close(fd);

	assert_int_equal(ftruncate(other, PAGE_BYTES), 0);
	assert_null(page_map(other));
	assert_int_equal(errno, EINVAL); /* it could still be cut */
	assert_int_equal(fcntl(other, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), 0);
	page = page_map(other);
	assert_non_null(page);
	page_free(page);
	(void)close(other);
	assert_null(page_map(STDIN_FILENO));
}

static void another_version_is_told_apart(void **state)
{
	struct pair *p = *state;
	struct proto_msg ping = {.type = PROTO_PING};
	uint8_t wire[PROTO_HEADER_BYTES];

	assert_int_equal(proto_encode(&ping, wire, sizeof(wire)), sizeof(wire));
	proto_set_version(wire, 1);
	assert_int_equal(send(p->a.fd, wire, sizeof(wire), 0), sizeof(wire));
	assert_int_equal(proto_recv(&p->b, NULL, 1000), -EPROTONOSUPPORT);
	assert_int_equal(p->b.peer_version, 1);
}

static void a_descriptor_comes_along_close_on_exec(void **state)
{
	struct pair *p = *state;
	struct stat sent, got;
	int memfd = memfd_create("header", MFD_CLOEXEC);
	int fd = -1;

	p->a.msg->type = PROTO_VOLUME_HEADER;
	assert_int_equal(proto_send(&p->a, p->a.msg, memfd, 1000), 0);
	assert_int_equal(proto_recv(&p->b, &fd, 1000), 0);
	assert_true(fd >= 0 && fd != memfd);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(memfd, &sent), 0);
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(sent.st_ino, got.st_ino);
	(void)close(fd);

	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), 0);
	assert_int_equal(proto_recv(&p->b, &fd, 1000), 0);
	assert_int_equal(fd, -1);
	(void)close(memfd);
}

static void an_unwanted_descriptor_is_closed(void **state)
{
	struct pair *p = *state;
	int before = open_fds();

	p->a.msg->type = PROTO_PING;
	assert_int_equal(proto_send(&p->a, p->a.msg, STDIN_FILENO, 1000), 0);
	assert_int_equal(proto_recv(&p->b, NULL, 1000), 0);
	assert_int_equal(open_fds(), before);
}

/* Sends one record and count copies of standard input. */
static void send_raw(int fd, const void *record, size_t len, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {(void *)(uintptr_t)record, len};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int)); /* zeros: standard input */
	assert_int_equal(sendmsg(fd, &mh, 0), len);
}

static void several_descriptors_are_refused_and_closed(void **state)
{
	struct pair *p = *state;
	struct proto_msg ping = {.type = PROTO_PING};
	uint8_t wire[PROTO_HEADER_BYTES];
	int before = open_fds(), fd = -1;

	assert_int_equal(proto_encode(&ping, wire, sizeof(wire)), sizeof(wire));
	for (size_t count = 2; count <= 4; count++) {
		send_raw(p->a.fd, wire, sizeof(wire), count);
		assert_int_equal(proto_recv(&p->b, &fd, 1000), -EBADMSG);
		assert_int_equal(fd, -1);
		assert_int_equal(open_fds(), before);
	}
	send_raw(p->a.fd, "garbage", 7, 1);
	assert_int_equal(proto_recv(&p->b, &fd, 1000), -EBADMSG);
	assert_int_equal(fd, -1);
	assert_int_equal(open_fds(), before);
}

static void an_oversized_record_is_refused_and_the_next_one_read(void **state)
{
	static uint8_t big[PROTO_WIRE_BYTES_MAX + 1];
	struct pair *p = *state;

	p->a.msg->type = PROTO_PING;
	assert_int_equal(proto_encode(p->a.msg, big, sizeof(big)), PROTO_HEADER_BYTES);
	assert_int_equal(send(p->a.fd, big, sizeof(big), 0), sizeof(big));
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), 0);
	assert_int_equal(proto_recv(&p->b, NULL, 1000), -EBADMSG);
	assert_int_equal(proto_recv(&p->b, NULL, 1000), 0);
	assert_int_equal(p->b.msg->type, PROTO_PING);
}

static void receiving_ends_at_its_time_limit(void **state)
{
	struct pair *p = *state;
	int64_t start = now_ms();

	assert_int_equal(proto_recv(&p->b, NULL, 0), -EAGAIN);
	assert_true(now_ms() - start < 100);
	assert_int_equal(proto_recv(&p->b, NULL, 150), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 149, 2000);
}

static void sending_ends_at_its_time_limit(void **state)
{
	struct pair *p = *state;
	int err, sent = 0;

	p->a.msg->type = PROTO_AUDIT;
	while ((err = proto_send(&p->a, p->a.msg, -1, 0)) == 0 && sent < 100000)
		sent++;
	assert_int_equal(err, -ETIMEDOUT);
	int64_t start = now_ms();
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 150), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 149, 2000);
	while (sent--)
		assert_int_equal(proto_recv(&p->b, NULL, 0), 0);
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 0), 0);
}

static void a_closed_peer_is_told_without_a_signal(void **state)
{
	struct pair *p = *state;

	p->a.msg->type = PROTO_PING;
	proto_channel_close(&p->b);
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), -EPIPE);
	assert_int_equal(proto_recv(&p->a, NULL, 1000), -EPIPE);
}

/* How a server turns a stranger away: it answers and closes, whatever the stranger has sent. */
static void a_last_word_is_heard_although_our_request_went_unread(void **state)
{
	struct pair *p = *state;

	p->a.msg->type = PROTO_STATUS;
	assert_int_equal(proto_send(&p->a, p->a.msg, -1, 1000), 0);
	p->b.msg->type = PROTO_REPLY;
	p->b.msg->reply.status = PROTO_DENIED;
	assert_int_equal(proto_send(&p->b, p->b.msg, -1, 1000), 0);
	proto_channel_close(&p->b);

	assert_int_equal(proto_recv(&p->a, NULL, 1000), 0);
	assert_int_equal(p->a.msg->reply.status, PROTO_DENIED);
	assert_int_equal(proto_recv(&p->a, NULL, 1000), -EPIPE);
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 0), 0);
	return fd;
}

static void connecting_ends_at_its_time_limit(void **state)
{
	char dir[] = "/tmp/test_channel.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	assert_int_equal(proto_connect(path, 100), -ENOENT);
	int listener = listen_at(path);
	int first = proto_connect(path, 1000); /* fills the queue that nobody accepts from */
	assert_true(first >= 0);
	assert_int_equal(fcntl(first, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
	int64_t start = now_ms();
	assert_int_equal(proto_connect(path, 150), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 149, 2000);
	assert_int_equal(proto_connect(path, 0), -ETIMEDOUT);
	(void)close(listener);
	assert_int_equal(proto_connect(path, 100), -ECONNREFUSED);
	(void)close(first);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void impossible_paths_are_refused(void **state)
{
	char path[110];

	(void)state;
	assert_int_equal(proto_connect("", 100), -EINVAL);
	memset(path, 'x', sizeof(path));
	path[108] = 0;
	assert_int_equal(proto_connect(path, 100), -ENAMETOOLONG);
	path[107] = 0;
	assert_int_equal(proto_connect(path, 100), -ENOENT);
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void send_with_fds(int socket, const void *data, size_t len)
{
	int fds[2] = {0, 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
	assert_int_equal(sendmsg(socket, &mh, 0), len);
}

/* Nobody may fill another process's table of descriptors. */
static void descriptors_that_nobody_asked_for_do_not_stay(void **state)
{
	struct pair *pair = *state;
	int before = open_descriptors(), passed;

	send_with_fds(pair->a.fd, "", 0);
	assert_int_not_equal(proto_recv(&pair->b, NULL, 1000), 0);
	assert_int_equal(open_descriptors(), before);
	send_with_fds(pair->a.fd, "", 0);
	assert_int_not_equal(proto_recv(&pair->b, &passed, 1000), 0);
	assert_int_equal(open_descriptors(), before);
	send_with_fds(pair->a.fd, "junk", 4);
	assert_int_not_equal(proto_recv(&pair->b, NULL, 1000), 0);
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(a_key_arrives_and_is_wiped_from_the_page),
		PAIR_TEST(no_record_has_the_key),
		PAIR_TEST(two_keys_under_way_have_each_their_slot),
		PAIR_TEST(a_key_that_cannot_be_sent_does_not_stay_in_the_page),
		PAIR_TEST(without_a_page_there_is_no_secret),
		cmocka_unit_test(a_page_keeps_its_size_and_ends_wiped),
		PAIR_TEST(another_version_is_told_apart),
		PAIR_TEST(a_descriptor_comes_along_close_on_exec),
		PAIR_TEST(an_unwanted_descriptor_is_closed),
		PAIR_TEST(several_descriptors_are_refused_and_closed),
		PAIR_TEST(descriptors_that_nobody_asked_for_do_not_stay),
		PAIR_TEST(an_oversized_record_is_refused_and_the_next_one_read),
		PAIR_TEST(receiving_ends_at_its_time_limit),
		PAIR_TEST(sending_ends_at_its_time_limit),
		PAIR_TEST(a_closed_peer_is_told_without_a_signal),
		PAIR_TEST(a_last_word_is_heard_although_our_request_went_unread),
		cmocka_unit_test(connecting_ends_at_its_time_limit),
		cmocka_unit_test(impossible_paths_are_refused),
	};
	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
