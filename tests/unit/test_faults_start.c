/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Whichever call fails while keyd starts, what was begun before is ended, by that start or by the next. */
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../fuzz/lab.h"
#include "zeroize_offline.h"

ORDER(destroy_red, PROTO_LEVEL_DESTROY, "red")
ORDER(destroy_volume, PROTO_VOLUME_DESTROY, lab_get()->volume)
ORDER(zeroize, PROTO_ZEROIZE, "")

static void begin(void)
{
	assert_int_equal(small_keyd_start(), 0);
	small_keyd_settle();
}

/* keyd ends while it waits for a tgtd: the next one goes on. */
static void leave_unfinished(int (*give)(void))
{
	begin();
	sweep_hold();
	small_keyd_silence(true);
	assert_int_equal(give(), -1);
	small_keyd_end();
	small_keyd_silence(false);
}

static void leave_a_level(void)
{
	leave_unfinished(destroy_red);
}

static void leave_a_volume(void)
{
	leave_unfinished(destroy_volume);
}

static void leave_a_zeroization(void)
{
	leave_unfinished(zeroize);
}

/* keyd --zeroize, which has the store's lock until it ends. */
static int zeroize_offline_in_child(void)
{
	int status;

	small_keyd_end();
	pid_t pid = fork();
	if (!pid) {
		struct config config = {.state = lab_get()->dir};
		(void)!freopen("/dev/null", "w", stdout);
		faults_arm();
		int rc = zeroize_offline(&config);
		faults_disarm();
		_exit(rc ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	begin();
	return WEXITSTATUS(status) ? PROTO_FAILED : PROTO_OK;
}

SWEEP(keyd_starts_or_not, .give = NULL)
SWEEP(a_destruction_is_ended_at_the_start, .before_start = leave_a_level)
SWEEP(a_volumes_destruction_is_ended_at_the_start, .before_start = leave_a_volume)
SWEEP(a_zeroization_is_ended_at_the_start, .before_start = leave_a_zeroization)
SWEEP(a_store_is_zeroized_without_keyd_or_not, .give = zeroize_offline_in_child)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keyd_starts_or_not),
		cmocka_unit_test(a_destruction_is_ended_at_the_start),
		cmocka_unit_test(a_volumes_destruction_is_ended_at_the_start),
		cmocka_unit_test(a_zeroization_is_ended_at_the_start),
		cmocka_unit_test(a_store_is_zeroized_without_keyd_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
