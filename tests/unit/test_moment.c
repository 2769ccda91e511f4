/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Time that passes for a request, whatever happens to the clock and the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../keyd/destroy/moment.h"

enum { HOUR = 3600, YEAR = 365 * 24 * HOUR };

static const struct moment asked = {"boot-1", 1000, 1000000};

static int64_t elapsed(const char *boot_id, int64_t boot_s, int64_t wall_s)
{
	struct moment now = {.boot_s = boot_s, .wall_s = wall_s};

	for (size_t i = 0; boot_id[i]; i++)
		now.boot_id[i] = boot_id[i];
	return moment_elapsed_s(&asked, &now);
}

static void within_a_boot_the_wall_clock_means_nothing(void **state)
{
	(void)state;
	assert_int_equal(elapsed("boot-1", 1000, 1000000), 0);
	assert_int_equal(elapsed("boot-1", 1000 + HOUR, 1000000 + HOUR), HOUR);
	assert_int_equal(elapsed("boot-1", 1000 + HOUR, 1000000 - YEAR), HOUR); /* set back */
	assert_int_equal(elapsed("boot-1", 1000 + HOUR, 1000000 + YEAR), HOUR); /* set forward */
}

static void after_a_boot_the_wall_clock_counts_forward_only(void **state)
{
	(void)state;
	assert_int_equal(elapsed("boot-2", 10, 1000000 + HOUR), HOUR);
	assert_int_equal(elapsed("boot-2", 10, 1000000), 0);
	assert_int_equal(
		elapsed("boot-2", 10, 1000000 - YEAR), 0); /* not earlier, not less than nothing */
	assert_int_equal(elapsed("boot-2", 1000 + YEAR, 1000000 + HOUR), HOUR);
}

static void an_unknown_boot_is_another_one(void **state)
{
	static const struct moment unknown = {"", 1000, 1000000};
	static const struct moment later = {"", 1000 + YEAR, 1000000 + HOUR};

	(void)state;
	assert_int_equal(moment_elapsed_s(&unknown, &later), HOUR);
}

static void now_is_of_this_boot_and_goes_on(void **state)
{
	char boot_id[MOMENT_BOOT_ID_BYTES];
	struct moment first = moment_now(), second = moment_now();

	(void)state;
	assert_int_equal(moment_boot_id(boot_id), 0);
	assert_string_equal(first.boot_id, boot_id);
	assert_int_equal(boot_id[36], '\0');
	assert_true(second.boot_s >= first.boot_s && first.boot_s > 0);
	assert_true(first.wall_s > 1500000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(within_a_boot_the_wall_clock_means_nothing),
		cmocka_unit_test(after_a_boot_the_wall_clock_counts_forward_only),
		cmocka_unit_test(an_unknown_boot_is_another_one),
		cmocka_unit_test(now_is_of_this_boot_and_goes_on),
	};
	return cmocka_run_group_tests_name("moment", tests, NULL, NULL);
}
