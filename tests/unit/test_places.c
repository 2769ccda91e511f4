/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/places.h: no user stands in the way of another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../../keyd/admin/admin.h"
#include "../../keyd/consumer.h"
#include "../../keyd/places.h"

enum { ADMINS = SESSIONS_OF_ADMINS_MAX, CONSUMERS = SESSIONS_MAX - SESSIONS_OF_ADMINS_MAX };

static struct keyd keyd;
static struct admin admins[SESSIONS_MAX + 1];
static struct consumer consumers[SESSIONS_MAX + 1];

static int make(void **state)
{
	(void)state;
	memset(&keyd, 0, sizeof(keyd));
	memset(admins, 0, sizeof(admins));
	memset(consumers, 0, sizeof(consumers));
	return 0;
}

static struct session *admin_of(uid_t uid)
{
	struct admin *admin = &admins[keyd.session_count];

	admin->session = (struct session){.kind = &admin_kind, .fd = 7, .peer.uid = uid};
	admin->draft.header_fd = -1;
	return &admin->session;
}

static struct session *consumer_of_uid(uid_t uid, bool greeted)
{
	struct consumer *consumer = &consumers[keyd.session_count];

	consumer->session = (struct session){.kind = &consumer_kind, .fd = 7, .peer.uid = uid};
	consumer->greeted = greeted;
	return &consumer->session;
}

/* As server.c does: who was ended goes first. False: no place. */
static bool add(struct session *session)
{
	size_t kept = 0;

	if (!places_find(&keyd, session))
		return false;
	for (size_t i = 0; i < keyd.session_count; i++) {
		if (!keyd.sessions[i]->ending)
			keyd.sessions[kept++] = keyd.sessions[i];
	}
	assert_in_range(keyd.session_count - kept, 0, 1);
	keyd.session_count = kept;
	assert_in_range(keyd.session_count, 0, SESSIONS_MAX - 1);
	keyd.sessions[keyd.session_count++] = session;
	return true;
}

static size_t count_of(const struct session_kind *kind, uid_t uid)
{
	size_t count = 0;

	for (size_t i = 0; i < keyd.session_count; i++)
		count += keyd.sessions[i]->kind == kind && keyd.sessions[i]->peer.uid == uid;
	return count;
}

/* Adds busy ones until no more are taken; how many were. */
static size_t fill(uid_t uid)
{
	size_t taken = 0;

	while (add(consumer_of_uid(uid, true)))
		taken++;
	return taken;
}

static void a_user_gets_what_leaves_as_much_to_others(void **state)
{
	(void)state;
	assert_int_equal(fill(1), CONSUMERS / 2);
	assert_int_equal(fill(2), CONSUMERS / 4);
	assert_int_equal(fill(3), CONSUMERS / 8);
	assert_true(add(admin_of(1))); /* the other socket's places are others */
}

static void who_has_too_many_loses_the_oldest_idle_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < ADMINS / 2; i++)
		assert_true(add(admin_of(1)));
	keyd.sessions[0]->busy = true;
	const struct session *second = keyd.sessions[1];
	struct admin newest = {.session = {.kind = &admin_kind, .fd = 7, .peer.uid = 1}};
	newest.draft.header_fd = -1;
	assert_true(add(&newest.session));
	assert_int_equal(count_of(&admin_kind, 1), ADMINS / 2);
	assert_true(second->ending);
	assert_false(keyd.sessions[0]->ending);
}

static void who_writes_a_header_or_waits_is_not_ended(void **state)
{
	(void)state;
	for (size_t i = 0; i < ADMINS / 2; i++) {
		struct session *session = admin_of(1);
		((struct admin *)session)->draft.header_fd = i % 2 ? 9 : -1;
		assert_true(add(session));
		session->busy = !(i % 2);
	}
	assert_false(add(admin_of(1)));
	assert_true(add(admin_of(2)));
}

/* Users come until all places are taken; one more gets in all the same, at the expense of who has most. */
static void a_full_socket_has_room_for_a_newcomer(void **state)
{
	uid_t uid = 100;

	(void)state;
	for (size_t i = 0; i < ADMINS / 2; i++)
		assert_true(add(admin_of(1)));
	while (keyd.session_count < ADMINS)
		assert_true(add(admin_of(uid++)));
	assert_true(add(admin_of(uid)));
	assert_int_equal(keyd.session_count, ADMINS);
	assert_int_equal(count_of(&admin_kind, 1), ADMINS / 2 - 1);
	assert_int_equal(count_of(&admin_kind, uid), 1);
}

static void strangers_have_few_places_and_lose_them_to_others(void **state)
{
	struct session *last = NULL;

	(void)state;
	for (size_t i = 0; i < SESSIONS_OF_STRANGERS_MAX; i++) {
		last = admin_of((uid_t)(1000 + i));
		last->stranger = true;
		assert_true(add(last));
	}
	const struct session *oldest = keyd.sessions[0];
	last = admin_of(5000);
	last->stranger = true;
	assert_true(add(last));
	assert_true(oldest->ending);
	assert_int_equal(keyd.session_count, SESSIONS_OF_STRANGERS_MAX);
}

static void each_user_has_one_turn_in_a_round(void **state)
{
	struct pollfd polls[SESSIONS_MAX] = {{0}};
	bool turn[SESSIONS_MAX];
	unsigned served[6] = {0};

	(void)state;
	/* 0 to 3: one user; 4: the same user on the other socket; 5: another user */
	for (int i = 0; i < 4; i++)
		assert_true(add(consumer_of_uid(1, true)));
	assert_true(add(admin_of(1)));
	assert_true(add(consumer_of_uid(2, true)));
	for (size_t i = 0; i < 6; i++)
		polls[i].revents = POLLIN;
	for (int round = 0; round < 8; round++) {
		places_turns(&keyd, polls, turn);
		assert_int_equal(turn[0] + turn[1] + turn[2] + turn[3], 1);
		assert_true(turn[4]);
		assert_true(turn[5]);
		for (size_t i = 0; i < 6; i++) {
			served[i] += turn[i];
			if (turn[i])
				keyd.sessions[i]->served_at = ++keyd.served;
		}
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(served[i], 2);
}

static void who_has_nothing_to_say_has_no_turn(void **state)
{
	struct pollfd polls[SESSIONS_MAX] = {{0}};
	bool turn[SESSIONS_MAX];

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_true(add(consumer_of_uid(1, true)));
		polls[i].revents = i ? POLLIN : 0;
	}
	keyd.sessions[1]->busy = true;
	keyd.sessions[2]->ending = true;
	places_turns(&keyd, polls, turn);
	assert_false(turn[0] || turn[1] || turn[2]);
	assert_true(turn[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_user_gets_what_leaves_as_much_to_others, make),
		cmocka_unit_test_setup(who_has_too_many_loses_the_oldest_idle_one, make),
		cmocka_unit_test_setup(who_writes_a_header_or_waits_is_not_ended, make),
		cmocka_unit_test_setup(a_full_socket_has_room_for_a_newcomer, make),
		cmocka_unit_test_setup(strangers_have_few_places_and_lose_them_to_others, make),
		cmocka_unit_test_setup(each_user_has_one_turn_in_a_round, make),
		cmocka_unit_test_setup(who_has_nothing_to_say_has_no_turn, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
