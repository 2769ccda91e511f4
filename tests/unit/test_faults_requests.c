/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Whichever call fails, a request to destroy waits or does not, and what two administrators agreed on is done or is not. */
#include "sweep.h"

#include "../fuzz/lab.h"

#include <string.h>

#include "pending.h"

static void two_persons(void)
{
	small_keyd.config.policy.rules = (struct destroy_rules){.approval = 1, .delay_s = 0};
}

static void one_hour(void)
{
	small_keyd.config.policy.rules = (struct destroy_rules){.approval = 0, .delay_s = 3600};
}

ORDER(destroy_red, PROTO_LEVEL_DESTROY, "red")
ORDER(destroy_volume, PROTO_VOLUME_DESTROY, lab_get()->volume)
ORDER(list, PROTO_REQUEST_LIST, "")
ORDER(status, PROTO_STATUS, "")

static void ask_for_approval(void)
{
	two_persons();
	assert_int_equal(destroy_red(), PROTO_OK);
}

static void ask_and_hold(void)
{
	sweep_hold();
	ask_for_approval();
}

static void ask_for_a_volume(void)
{
	two_persons();
	assert_int_equal(destroy_volume(), PROTO_OK);
}

static void ask_for_delay(void)
{
	one_hour();
	assert_int_equal(destroy_red(), PROTO_OK);
}

static int decide(uint16_t type)
{
	struct proto_msg msg = {.type = type, .serial = 1};

	memcpy(msg.request.id, small_keyd.pending->id, sizeof(msg.request.id));
	return small_keyd_ask(SMALL_SECOND_ADMIN, &msg);
}

static int approve(void)
{
	return decide(PROTO_REQUEST_APPROVE);
}

static int cancel(void)
{
	return decide(PROTO_REQUEST_CANCEL);
}

/* Nobody is told: whether it is done shows at the next start. */
static int let_its_time_come(void)
{
	small_keyd.pending->wait_s = 0;
	small_keyd_settle();
	return faults_fired() || small_keyd.pending ? PROTO_FAILED : PROTO_OK;
}

ORDER(volume_key, PROTO_VOLUME_KEY, lab_get()->volume)

static void guard_keys(void)
{
	small_keyd.config.policy.rules = (struct destroy_rules){.approval = APPROVAL_VOLUME_KEY};
}

static int ask_for_the_key(void)
{
	int status = volume_key();

	return status == PROTO_UNAPPROVED ? PROTO_OK : status;
}

static void ask_to_read_the_key(void)
{
	guard_keys();
	assert_int_equal(volume_key(), PROTO_UNAPPROVED);
}

static void may_read_the_key(void)
{
	ask_to_read_the_key();
	assert_int_equal(approve(), PROTO_OK);
}

/* The approval is used up at most once, whatever fails. */
static int read_the_key(void)
{
	int status = volume_key();

	if (status == PROTO_OK)
		assert_null(small_keyd.pending);
	return status;
}

/* A store in which the request for a key waits. */
static void leave_another_request(void)
{
	assert_int_equal(small_keyd_start(), 0);
	ask_to_read_the_key();
	small_keyd_end();
}

static void allow_emergency(void)
{
	two_persons();
	small_keyd.config.emergency = 1;
}

static int destroy_at_once(void)
{
	struct proto_msg msg = {.type = PROTO_DESTROY_EMERGENCY, .serial = 1};

	(void)strcpy(msg.emergency.level, "red");
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

/* A store in which a request waits. */
static void leave_a_request(void)
{
	assert_int_equal(small_keyd_start(), 0);
	ask_for_a_volume();
	small_keyd_end();
}

SWEEP(a_request_waits_or_not, .prepare = two_persons, .give = destroy_red)
SWEEP(a_request_for_a_volume_waits_or_not, .prepare = two_persons, .give = destroy_volume)
SWEEP(what_was_approved_is_done_or_not, .prepare = ask_and_hold, .give = approve)
SWEEP(a_volume_that_was_approved_is_destroyed_or_not, .prepare = ask_for_a_volume, .give = approve)
SWEEP(what_was_cancelled_waits_or_not, .prepare = ask_for_approval, .give = cancel)
SWEEP(requests_are_listed, .prepare = ask_for_approval, .give = list)
SWEEP(requests_are_counted, .prepare = ask_for_delay, .give = status)
SWEEP(what_nobody_approved_expires_or_not, .prepare = ask_for_approval, .give = let_its_time_come)
SWEEP(what_nobody_cancelled_is_done_or_not, .prepare = ask_for_delay, .give = let_its_time_come)
SWEEP(an_emergency_destroys_or_not, .prepare = allow_emergency, .give = destroy_at_once)
SWEEP(a_request_for_a_key_waits_or_not, .prepare = guard_keys, .give = ask_for_the_key)
SWEEP(an_approval_is_stored_or_not, .prepare = ask_to_read_the_key, .give = approve)
SWEEP(an_approval_is_used_or_not, .prepare = may_read_the_key, .give = read_the_key)
SWEEP(a_request_for_a_key_is_listed, .prepare = may_read_the_key, .give = list)
SWEEP(an_unused_approval_expires_or_not, .prepare = may_read_the_key, .give = let_its_time_come)
SWEEP(a_request_for_a_key_is_found_at_the_start, .before_start = leave_another_request)
SWEEP(a_request_is_found_at_the_start, .before_start = leave_a_request)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_waits_or_not),
		cmocka_unit_test(a_request_for_a_volume_waits_or_not),
		cmocka_unit_test(what_was_approved_is_done_or_not),
		cmocka_unit_test(a_volume_that_was_approved_is_destroyed_or_not),
		cmocka_unit_test(what_was_cancelled_waits_or_not),
		cmocka_unit_test(requests_are_listed),
		cmocka_unit_test(requests_are_counted),
		cmocka_unit_test(what_nobody_approved_expires_or_not),
		cmocka_unit_test(what_nobody_cancelled_is_done_or_not),
		cmocka_unit_test(an_emergency_destroys_or_not),
		cmocka_unit_test(a_request_for_a_key_waits_or_not),
		cmocka_unit_test(an_approval_is_stored_or_not),
		cmocka_unit_test(an_approval_is_used_or_not),
		cmocka_unit_test(a_request_for_a_key_is_listed),
		cmocka_unit_test(an_unused_approval_expires_or_not),
		cmocka_unit_test(a_request_for_a_key_is_found_at_the_start),
		cmocka_unit_test(a_request_is_found_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
