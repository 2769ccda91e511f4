/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/common/passphrase.h: what counts as a passphrase, at its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "passphrase.h"

static struct proto_passphrase pass;

/* From a pipe that gets len bytes of text. */
static int read_from(const void *text, size_t len)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text, len), len);
	assert_int_equal(close(fds[1]), 0);
	memset(&pass, 0x55, sizeof(pass));
	int rc = passphrase_read(fds[0], &pass);
	assert_int_equal(close(fds[0]), 0);
	return rc;
}

static void assert_is(const char *text, size_t len)
{
	assert_int_equal(pass.len_bytes, len);
	assert_memory_equal(pass.bytes, text, len);
}

static void a_newline_at_the_end_does_not_count(void **state)
{
	(void)state;
	assert_int_equal(read_from("a word", 6), 0);
	assert_is("a word", 6);
	assert_int_equal(read_from("a word\n", 7), 0);
	assert_is("a word", 6);
	assert_int_equal(read_from("a\nb\n\n", 5), 0); /* one, and only there */
	assert_is("a\nb\n", 4);
	assert_int_equal(read_from("a\0b", 3), 0); /* bytes, not text */
	assert_is("a\0b", 3);
}

static void nothing_is_no_passphrase(void **state)
{
	(void)state;
	assert_int_equal(read_from("", 0), -ENODATA);
	assert_int_equal(read_from("\n", 1), -ENODATA);
}

static void what_is_too_long_is_refused_and_wiped(void **state)
{
	static const struct proto_passphrase none;
	char text[PROTO_PASSPHRASE_BYTES + 2];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(read_from(text, PROTO_PASSPHRASE_BYTES), 0);
	assert_is(text, PROTO_PASSPHRASE_BYTES);
	text[PROTO_PASSPHRASE_BYTES] = '\n';
	assert_int_equal(read_from(text, PROTO_PASSPHRASE_BYTES + 1), 0);
	assert_is(text, PROTO_PASSPHRASE_BYTES);
	assert_int_equal(read_from(text, PROTO_PASSPHRASE_BYTES + 2), -E2BIG);
	assert_memory_equal(&pass, &none, sizeof(pass));
	text[PROTO_PASSPHRASE_BYTES] = 'x';
	assert_int_equal(read_from(text, PROTO_PASSPHRASE_BYTES + 1), -E2BIG);
}

static void a_bad_descriptor_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(passphrase_read(-1, &pass), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_newline_at_the_end_does_not_count),
		cmocka_unit_test(nothing_is_no_passphrase),
		cmocka_unit_test(what_is_too_long_is_refused_and_wiped),
		cmocka_unit_test(a_bad_descriptor_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
