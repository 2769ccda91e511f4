/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/keyadm/shares.h: K shares give the passphrase back, whichever; fewer, or others, do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "shares.h"

enum { K = 3, N = 5 };

static struct share shares[N];
static struct proto_passphrase passphrase, again;

static int make(void **state)
{
	(void)state;
	memset(shares, 0, sizeof(shares));
	memset(&passphrase, 0, sizeof(passphrase));
	memset(&again, 0, sizeof(again));
	if (shares_make(K, N, &passphrase, shares))
		return -1;
	for (size_t i = 0; i < N; i++)
		(void)strcpy(shares[i].id, "exp-0123456789abcdef");
	return 0;
}

/* The shares whose bits are set in which. */
static int combine(unsigned which, enum shares_problem *problem)
{
	struct share some[N];
	size_t count = 0;

	for (unsigned i = 0; i < N; i++) {
		if (which & 1u << i)
			some[count++] = shares[i];
	}
	memset(&again, 0, sizeof(again));
	return shares_combine(some, count, &again, problem);
}

static void any_k_of_n_are_enough_and_fewer_are_not(void **state)
{
	enum shares_problem problem;

	(void)state;
	assert_int_equal(passphrase.len_bytes, 64);
	for (unsigned which = 0; which < 1u << N; which++) {
		int rc = combine(which, &problem);
		if (__builtin_popcount(which) < K) {
			assert_int_equal(rc, -EINVAL);
			assert_int_equal(problem, SHARES_TOO_FEW);
			assert_int_equal(again.len_bytes, 0);
		} else {
			assert_int_equal(rc, 0);
			assert_memory_equal(&again, &passphrase, sizeof(again.len_bytes) + 64);
		}
	}
}

/* Also when somebody lies about how many are needed. */
static void fewer_shares_do_not_tell_the_passphrase(void **state)
{
	enum shares_problem problem;

	(void)state;
	for (size_t i = 0; i < N; i++)
		shares[i].threshold = K - 1;
	assert_int_equal(combine(3, &problem), 0);
	assert_memory_not_equal(again.bytes, passphrase.bytes, 64);
}

static void shares_of_two_exports_do_not_mix(void **state)
{
	enum shares_problem problem;

	(void)state;
	shares[1].id[5] = 'f';
	assert_int_equal(combine(7, &problem), -EINVAL);
	assert_int_equal(problem, SHARES_MIXED);
	(void)make(NULL);
	shares[1].count++;
	assert_int_equal(combine(7, &problem), -EINVAL);
	assert_int_equal(problem, SHARES_MIXED);
	(void)make(NULL);
	shares[1] = shares[0];
	assert_int_equal(combine(7, &problem), -EINVAL);
	assert_int_equal(problem, SHARES_TWICE);
}

static void a_share_is_a_line_of_text(void **state)
{
	char text[SHARE_TEXT_BYTES];
	struct share back;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		size_t len = share_format(&shares[i], text);
		assert_int_equal(len, strlen(text));
		assert_int_equal(text[len - 1], '\n');
		memset(&back, 0, sizeof(back));
		assert_int_equal(share_parse(text, len, &back), 0);
		assert_memory_equal(&back, &shares[i], sizeof(back));
		assert_int_equal(share_parse(text, len - 1, &back), 0);
	}
}

static void a_typing_error_is_noticed(void **state)
{
	char text[SHARE_TEXT_BYTES];
	struct share back;

	(void)state;
	size_t len = share_format(&shares[0], text) - 1;
	for (size_t at = 0; at < len; at++) {
		char was = text[at];
		text[at] = was == '7' ? '8' : '7';
		assert_int_equal(share_parse(text, len, &back), -EINVAL);
		text[at] = was;
	}
	for (size_t n = 0; n < len; n++)
		assert_int_equal(share_parse(text, n, &back), -EINVAL);
	assert_int_equal(share_parse(text, len, &back), 0);
}

static void a_split_is_two_numbers_that_make_sense(void **state)
{
	static const char *const wrong[] = {
		"", "3", "3/", "/5", "3/5x", "1/5", "6/5", "3/17", "0/0", "-3/5", "a/b", "3:5"};
	unsigned threshold = 0, count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(shares_parse_split(wrong[i], &threshold, &count), -EINVAL);
	assert_int_equal(threshold + count, 0); /* nobody goes on with what is refused */
	assert_int_equal(shares_parse_split("3/5", &threshold, &count), 0);
	assert_int_equal(threshold, 3);
	assert_int_equal(count, 5);
	assert_int_equal(shares_parse_split("16/16", &threshold, &count), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(any_k_of_n_are_enough_and_fewer_are_not, make),
		cmocka_unit_test_setup(fewer_shares_do_not_tell_the_passphrase, make),
		cmocka_unit_test_setup(shares_of_two_exports_do_not_mix, make),
		cmocka_unit_test_setup(a_share_is_a_line_of_text, make),
		cmocka_unit_test_setup(a_typing_error_is_noticed, make),
		cmocka_unit_test(a_split_is_two_numbers_that_make_sense),
	};
	return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}
