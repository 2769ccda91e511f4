/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyadm's exchange with keyd, played by a child process that answers as each test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/keyadm/client.h"

static char dir[] = "/tmp/test_client.XXXXXX";
static char socket_path[64];
static pid_t server;

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(socket_path, sizeof(socket_path), "%s/sock", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int end_server(void **state)
{
	int status = 0;

	(void)state;
	(void)kill(server, SIGTERM);
	(void)waitpid(server, &status, 0);
	return unlink(socket_path);
}

/* Forks a server that accepts one connection and plays answer on it. */
static void serve(void (*answer)(struct proto_channel *ch))
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct proto_channel ch;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	server = fork();
	assert_true(server >= 0);
	if (!server) {
		(void)alarm(20);
		if (proto_channel_open(&ch, accept(listener, NULL, NULL)))
			_exit(1);
		answer(&ch);
		_exit(0);
	}
	(void)close(listener);
}

static void receive(struct proto_channel *ch)
{
	if (proto_recv(ch, NULL, 10000))
		_exit(1);
}

static void send_msg(struct proto_channel *ch, struct proto_msg *msg, int fd)
{
	if (proto_send(ch, msg, fd, 10000))
		_exit(1);
}

static void send_text(struct proto_channel *ch, uint32_t serial, const char *text)
{
	struct proto_msg msg = {.type = PROTO_TEXT, .serial = serial};

	msg.text.len = (uint32_t)strlen(text);
	memcpy(msg.text.bytes, text, msg.text.len);
	send_msg(ch, &msg, -1);
}

static void send_reply(struct proto_channel *ch, uint32_t serial, uint32_t status)
{
	struct proto_msg msg = {.type = PROTO_REPLY, .serial = serial, .reply.status = status};

	send_msg(ch, &msg, -1);
}

static void ask(struct client *c, int expected)
{
	struct proto_msg request = {.type = PROTO_STATUS};

	assert_int_equal(client_open(c, socket_path), 0);
	assert_int_equal(client_request(c, &request), expected);
}

static void answer_in_chunks(struct proto_channel *ch)
{
	for (int i = 0; i < 2; i++) {
		receive(ch);
		send_text(ch, ch->msg->serial, "[1,");
		send_text(ch, ch->msg->serial, "");
		send_text(ch, ch->msg->serial, "2]");
		send_reply(ch, ch->msg->serial, PROTO_OK);
	}
}

static void chunks_join_and_each_answer_starts_anew(void **state)
{
	struct proto_msg request = {.type = PROTO_LEVEL_LIST};
	struct client c;

	(void)state;
	serve(answer_in_chunks);
	ask(&c, 0);
	assert_int_equal(c.channel.msg->type, PROTO_REPLY);
	assert_string_equal(c.text, "[1,2]");
	assert_int_equal(client_request(&c, &request), 0);
	assert_string_equal(c.text, "[1,2]");
	client_close(&c);
}

static void answer_at_length(struct proto_channel *ch)
{
	char chunk[PROTO_TEXT_BYTES];

	memset(chunk, 'x', sizeof(chunk));
	chunk[sizeof(chunk) - 1] = '\0';
	receive(ch);
	for (int i = 0; i < 100; i++)
		send_text(ch, ch->msg->serial, chunk);
	send_reply(ch, ch->msg->serial, PROTO_OK);
}

static void a_long_answer_fits(void **state)
{
	struct client c;

	(void)state;
	serve(answer_at_length);
	ask(&c, 0);
	assert_int_equal(c.text_len, 100 * (PROTO_TEXT_BYTES - 1));
	assert_int_equal(strspn(c.text, "x"), c.text_len);
	client_close(&c);
}

static void answer_without_end(struct proto_channel *ch)
{
	struct proto_msg msg = {.type = PROTO_TEXT, .text.len = PROTO_TEXT_BYTES};

	receive(ch);
	msg.serial = ch->msg->serial;
	for (;;)
		send_msg(ch, &msg, -1);
}

static void an_endless_answer_is_cut(void **state)
{
	struct client c;

	(void)state;
	serve(answer_without_end);
	ask(&c, -EFBIG);
	assert_true(c.text_cap <= CLIENT_TEXT_BYTES_MAX);
	client_close(&c);
}

static void answer_with_key(struct proto_channel *ch)
{
	struct proto_msg msg = {.type = PROTO_KEY, .key = {3, 64, "key"}};
	struct proto_msg page = {.type = PROTO_PAGE};
	int fd;

	receive(ch);
	if (ch->msg->type != PROTO_PAGE)
		_exit(1);
	ch->page = page_new(&fd);
	page.serial = ch->msg->serial;
	send_msg(ch, &page, fd);
	receive(ch);
	msg.serial = ch->msg->serial;
	send_msg(ch, &msg, -1);
	send_reply(ch, msg.serial, PROTO_OK);
}

static void a_key_comes_before_its_reply(void **state)
{
	struct proto_msg request = {.type = PROTO_VOLUME_KEY};
	struct client c;

	(void)state;
	serve(answer_with_key);
	assert_int_equal(client_open(&c, socket_path), 0);
	assert_int_equal(client_request(&c, &request), 0);
	assert_int_equal(c.channel.msg->type, PROTO_KEY);
	assert_memory_equal(c.channel.msg->key.key, "key", 3);
	assert_int_equal(client_next(&c), 0);
	assert_int_equal(c.channel.msg->type, PROTO_REPLY);
	client_close(&c);
}

static void answer_with_descriptor(struct proto_channel *ch)
{
	struct proto_msg msg = {.type = PROTO_VOLUME_HEADER, .volume_header.header_bytes = 5};
	int memfd = memfd_create("header", MFD_CLOEXEC);

	receive(ch);
	msg.serial = ch->msg->serial;
	send_msg(ch, &msg, memfd);
}

static void a_header_comes_with_its_descriptor(void **state)
{
	struct client c;

	(void)state;
	serve(answer_with_descriptor);
	ask(&c, 0);
	assert_int_equal(c.channel.msg->type, PROTO_VOLUME_HEADER);
	assert_true(c.fd >= 0);
	client_close(&c);
	assert_int_equal(c.fd, -1);
}

static void refuse_unasked(struct proto_channel *ch)
{
	send_reply(ch, 0, PROTO_DENIED);
}

static void a_stranger_hears_the_refusal_although_keyd_hung_up(void **state)
{
	struct client c;

	(void)state;
	serve(refuse_unasked);
	(void)usleep(200 * 1000);
	ask(&c, 0);
	assert_int_equal(c.channel.msg->reply.status, PROTO_DENIED);
	client_close(&c);
}

static void answer_another(struct proto_channel *ch)
{
	receive(ch);
	send_reply(ch, ch->msg->serial + 1, PROTO_OK);
}

static void answer_as_a_consumer(struct proto_channel *ch)
{
	receive(ch);
	ch->msg->type = PROTO_ATTACH_REPLY;
	send_msg(ch, ch->msg, -1);
}

static void an_answer_to_something_else_is_refused(void **state)
{
	struct client c;

	(void)state;
	serve(answer_another);
	ask(&c, -EBADMSG);
	client_close(&c);
	assert_int_equal(end_server(NULL), 0);
	serve(answer_as_a_consumer);
	ask(&c, -EBADMSG);
	client_close(&c);
}

static void hang_up(struct proto_channel *ch)
{
	receive(ch);
}

static void a_hang_up_is_told(void **state)
{
	struct client c;

	(void)state;
	serve(hang_up);
	ask(&c, -EPIPE);
	client_close(&c);
}

static void say_nothing(struct proto_channel *ch)
{
	receive(ch);
	(void)pause();
}

static volatile sig_atomic_t stop;

static void on_alarm(int signo)
{
	(void)signo;
	stop = 1;
}

static void waiting_ends_when_stopped(void **state)
{
	struct proto_msg request = {.type = PROTO_STATUS};
	struct client c;
	time_t start = time(NULL);

	(void)state;
	serve(say_nothing);
	assert_int_equal(client_open(&c, socket_path), 0);
	c.stop = &stop;
	(void)signal(SIGALRM, on_alarm);
	(void)alarm(1);
	assert_int_equal(client_request(&c, &request), -EINTR);
	assert_true(time(NULL) - start < 10);
	client_close(&c);
}

static void nobody_there_is_told(void **state)
{
	struct client c;

	(void)state;
	assert_int_equal(client_open(&c, "/nowhere/sock"), -ENOENT);
	assert_non_null(strstr(client_strerror(-ENOENT), "start keyd"));
}

#define SERVER_TEST(name) cmocka_unit_test_teardown(name, end_server)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(chunks_join_and_each_answer_starts_anew),
		SERVER_TEST(a_long_answer_fits),
		SERVER_TEST(an_endless_answer_is_cut),
		SERVER_TEST(a_key_comes_before_its_reply),
		SERVER_TEST(a_header_comes_with_its_descriptor),
		SERVER_TEST(a_stranger_hears_the_refusal_although_keyd_hung_up),
		SERVER_TEST(an_answer_to_something_else_is_refused),
		SERVER_TEST(a_hang_up_is_told),
		SERVER_TEST(waiting_ends_when_stopped),
		cmocka_unit_test(nobody_there_is_told),
	};
	return cmocka_run_group_tests_name("client", tests, make_dir, remove_dir);
}
