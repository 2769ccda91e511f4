/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/process.h on real sockets and the real heap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "complete.h"
#include "process.h"

/* The test's thread is the main thread. */
void complete_post(struct completion *completion)
{
	completion->done(completion);
}

static struct sockaddr_in address = {.sin_family = AF_INET};

static int listen_on_loopback(void)
{
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = 0; /* any */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return fd;
}

/* What accept(2) gives for a new client; the client's own end in *client. */
static int accept_client(int listener, int *client)
{
	*client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*client, (struct sockaddr *)&address, sizeof(address)), 0);
	int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static unsigned user_timeout_ms(int fd)
{
	unsigned ms = 0;
	socklen_t len = sizeof(ms);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &len), 0);
	return ms;
}

static void present_and_later_clients_have_the_time(void **state)
{
	int fds[6], pair[2];

	(void)state;
	fds[0] = listen_on_loopback();
	fds[1] = accept_client(fds[0], &fds[2]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0); /* left alone */
	assert_int_equal(process_client_timeout(), 0);
	assert_int_equal(user_timeout_ms(fds[1]), 0);
	assert_int_equal(process_limit_clients(7), 0);
	assert_int_equal(process_client_timeout(), 7);
	fds[3] = accept_client(fds[0], &fds[4]);
	assert_int_equal(user_timeout_ms(fds[0]), 7000);
	assert_int_equal(user_timeout_ms(fds[1]), 7000);
	assert_int_equal(user_timeout_ms(fds[3]), 7000);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	close(pair[0]);
	close(pair[1]);
}

static void there_is_one_time_for_a_process(void **state)
{
	(void)state;
	assert_int_equal(process_limit_clients(7), 0);
	assert_int_equal(process_limit_clients(8), -EBUSY);
	assert_int_equal(process_client_timeout(), 7);
}

/* tgtadm can add a portal to a running tgtd. */
static void a_portal_added_later_has_it_from_the_next_lun_on(void **state)
{
	int client, listener = listen_on_loopback();

	(void)state;
	assert_int_equal(user_timeout_ms(listener), 0);
	assert_int_equal(process_limit_clients(7), 0);
	assert_int_equal(user_timeout_ms(listener), 7000);
	int fd = accept_client(listener, &client);
	assert_int_equal(user_timeout_ms(fd), 7000);
	close(fd);
	close(client);
	close(listener);
}

static void a_tuned_heap_keeps_large_buffers(void **state)
{
	void *buffer = NULL;

	(void)state;
	assert_int_equal(posix_memalign(&buffer, 4096, 1 << 20), 0);
	if (!mallinfo2().hblks) {
		free(buffer);
		skip(); /* a sanitizer's heap */
	}
	free(buffer);
	process_tune_malloc();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(posix_memalign(&buffer, 4096, 1 << 20), 0);
		assert_int_equal(mallinfo2().hblks, 0); /* not mapped for itself */
		free(buffer);
		assert_true(mallinfo2().fordblks >= 1 << 20); /* kept */
	}
}

enum { LINKS_BYTES = 16 }; /* of a free block, where malloc(3) keeps its own */

/* How many bytes of a block of that size are still as they were after it was freed. */
static size_t left_after_free(size_t bytes, void (*then)(void))
{
	uint8_t *block = malloc(bytes), seen[4096];
	off_t at = (off_t)(uintptr_t)block;
	size_t left = 0;
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0 && block && bytes <= sizeof(seen));
	memset(block, 'A', bytes);
	__asm__ volatile("" : : "r"(block) : "memory"); /* or the compiler leaves the memset out */
	free(block);
	if (then)
		then();
	assert_int_equal(pread(fd, seen, bytes, at), bytes);
	close(fd);
	for (size_t i = LINKS_BYTES; i < bytes; i++)
		left += seen[i] == 'A';
	return left;
}

static void what_is_freed_is_wiped(void **state)
{
	void *barrier = malloc(4096);

	(void)state;
	if (!mallinfo2().uordblks) {
		free(barrier);
		skip(); /* a sanitizer's heap */
	}
	process_scrub_cached(); /* nothing yet */
	assert_false(process_scrubs());
	assert_int_equal(left_after_free(512, process_scrub_cached), 512 - LINKS_BYTES);
	assert_int_equal(process_scrub(), 0);
	assert_true(process_scrubs());
	assert_int_equal(left_after_free(4096, NULL), 0);
	assert_int_equal(left_after_free(512, process_scrub_cached), 0);
	assert_int_equal(left_after_free(1024, process_scrub_cached), 0);
	assert_int_equal(left_after_free(24, process_scrub_cached), 0);
	free(barrier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(present_and_later_clients_have_the_time),
		cmocka_unit_test(there_is_one_time_for_a_process),
		cmocka_unit_test(a_portal_added_later_has_it_from_the_next_lun_on),
		cmocka_unit_test(a_tuned_heap_keeps_large_buffers),
		cmocka_unit_test(what_is_freed_is_wiped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
