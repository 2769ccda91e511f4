/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/busy.h: a thread that works is busy, one that waits is not; many clients are told from one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "busy.h"

enum { LIMIT_SECONDS = 20 };

/* Works, or waits, until busy_lately() says what is expected; false when it never does. */
static bool becomes(bool expected, bool working)
{
	time_t end = time(NULL) + LIMIT_SECONDS;
	volatile unsigned work = 0;

	while (time(NULL) < end) {
		if (!working)
			usleep(5000);
		for (int i = 0; working && i < 1000000; i++)
			work = work + 1;
		if (busy_lately() == expected)
			return true;
	}
	return false;
}

static void who_works_is_busy_and_who_waits_is_not(void **state)
{
	(void)state;
	assert_true(becomes(true, true));
	assert_true(becomes(false, false));
	assert_true(becomes(true, true));
}

/* What busy_with_many() says after a window in which these clients' commands came in turn. */
static bool many_with(const char *clients)
{
	(void)busy_lately();
	usleep(5000);
	(void)busy_lately(); /* a new window begins */
	for (size_t i = 0; i < 100; i++)
		busy_note_client(&clients[i % strlen(clients)]);
	usleep(5000);
	(void)busy_lately(); /* and ends */
	return busy_with_many();
}

static void clients_that_take_turns_are_many(void **state)
{
	(void)state;
	assert_false(many_with("a"));
	assert_true(many_with("ab"));
	assert_true(many_with("abcdefghij"));
	assert_false(many_with("a"));
	usleep(5000);
	(void)busy_lately();
	assert_false(busy_with_many()); /* no command at all */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_works_is_busy_and_who_waits_is_not),
		cmocka_unit_test(clients_that_take_turns_are_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
