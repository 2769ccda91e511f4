/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/busy.h: a thread that works is busy, one that waits is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_works_is_busy_and_who_waits_is_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
