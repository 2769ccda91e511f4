/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/opts.h: every option is taken exactly or refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"

static char why[512];

static int parse(const char *text, struct opts *o)
{
	why[0] = '\0';
	return opts_parse(text, o, why, sizeof(why));
}

static void nothing_given_means_the_defaults(void **state)
{
	struct opts o;

	(void)state;
	unsetenv("KEYD_SOCKET");
	assert_int_equal(parse(NULL, &o), 0);
	assert_string_equal(o.keyd, "/run/keyd/keyd.sock");
	assert_string_equal(o.level, "");
	assert_string_equal(o.engine, "");
	assert_int_equal(o.threads, 0);
	assert_int_equal(o.grace_s, 300);
	assert_true(o.malloc);
	assert_false(o.discard);
	assert_int_equal(o.client_timeout_s, 0);
	assert_false(o.shared);
	assert_int_equal(parse("", &o), 0);
	assert_int_equal(parse(";;", &o), 0);
}

static void the_environment_names_the_default_socket(void **state)
{
	struct opts o;

	(void)state;
	setenv("KEYD_SOCKET", "/tmp/k", 1);
	assert_int_equal(parse(NULL, &o), 0);
	assert_string_equal(o.keyd, "/tmp/k");
	assert_int_equal(parse("keyd=/other", &o), 0);
	assert_string_equal(o.keyd, "/other");
	setenv("KEYD_SOCKET", "relative", 1);
	assert_int_equal(parse(NULL, &o), -EINVAL);
	assert_non_null(strstr(why, "KEYD_SOCKET"));
	unsetenv("KEYD_SOCKET");
}

static void every_option_is_taken(void **state)
{
	struct opts o;

	(void)state;
	assert_int_equal(
		parse("level=secret;keyd=/k;threads=4;engine=openssl;grace=0;shared=on;malloc=off;"
		      "scrub=on;discard=on;client_timeout=30",
			&o),
		0);
	assert_string_equal(o.level, "secret");
	assert_string_equal(o.keyd, "/k");
	assert_int_equal(o.threads, 4);
	assert_string_equal(o.engine, "openssl");
	assert_int_equal(o.grace_s, 0);
	assert_true(o.shared);
	assert_false(o.malloc);
	assert_true(o.scrub);
	assert_true(o.discard);
	assert_int_equal(o.client_timeout_s, 30);
}

static void what_is_wrong_is_refused_and_named(void **state)
{
	static const struct {
		const char *text, *named;
	} wrong[] = {
		{"colour=red", "colour"},
		{"level", "level"},
		{"level=", "level"},
		{"Level=x", "Level"},
		{"threads=0", "threads"},
		{"threads=65", "threads"},
		{"threads=2x", "threads"},
		{"threads=99999999999999999999", "threads"},
		{"grace=-1", "grace"},
		{"grace=2592001", "grace"},
		{"shared=yes", "shared"},
		{"malloc=1", "malloc"},
		{"scrub=yes", "scrub"},
		{"discard=yes", "discard"},
		{"client_timeout=86401", "client_timeout"},
		{"client_timeout=5s", "client_timeout"},
		{"keyd=socket", "keyd"},
		{"engine=averyveryverylongname", "engine"},
		{"level=ok;bogus=1", "bogus"},
		{"level=a;level=b", "level"},
		{"threads= 3", "threads"},
		{"threads=+3", "threads"},
		{"level=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			"level"},
	};
	struct opts o;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(wrong[i].text, &o), -EINVAL);
		assert_non_null(strstr(why, wrong[i].named));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_means_the_defaults),
		cmocka_unit_test(the_environment_names_the_default_socket),
		cmocka_unit_test(every_option_is_taken),
		cmocka_unit_test(what_is_wrong_is_refused_and_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
