/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Nobody fills the audit log, or hides in the noise of somebody else: repeats are counted, and each user has a budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "../../keyd/common/clock.h"
#include "../../keyd/records/audit.h"
#include "scratch.h"

enum { BURST = 30, ALICE = 1001, BOB = 1002 };

static struct audit audit;
static struct repeats repeats;
static int dir_fd = -1;

static int make_log(void **state)
{
	if (scratch_make(state))
		return -1;
	memset(&repeats, 0, sizeof(repeats));
	dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (audit_log_open(&audit, dir_fd, NULL))
		return -1;
	audit.repeats->fetch_burst = repeats.fetch_burst = BURST;
	audit.repeats->fetch_each_ms = repeats.fetch_each_ms = 10 * 1000;
	return 0;
}

static int remove_log(void **state)
{
	audit_log_close(&audit);
	(void)close(dir_fd);
	return scratch_remove(state);
}

static int happen(
	enum repeat_budget budget, uid_t uid, pid_t pid, const char *volume, const char *path)
{
	const struct peer by = {.uid = uid, .pid = pid};

	return audit_append_repeat(&audit,
		&(struct audit_event){.event = "attach",
			.by = &by,
			.level = "red",
			.volume = volume,
			.path = path,
			.result = budget == REPEAT_FETCH ? "ok" : "denied"},
		budget);
}

static int attach(const char *volume)
{
	return happen(REPEAT_FETCH, ALICE, 7, volume, "/red.img");
}

static void decide(uid_t uid, const char *level)
{
	const struct peer by = {.uid = uid, .pid = 9};

	assert_int_equal(
		audit_append(&audit,
			&(struct audit_event){
				.event = "decision", .by = &by, .level = level, .result = "ok"}),
		0);
}

static uint64_t records(void)
{
	return audit.next_seq - 1;
}

/* How often word is in the log. */
static unsigned said(const char *word)
{
	size_t len;
	char *text = scratch_read(scratch_path(AUDIT_FILE), &len);
	unsigned n = 0;

	assert_non_null(text);
	for (char *at = text; (at = strstr(at, word)); at++)
		n++;
	free(text);
	return n;
}

static void a_repeat_is_counted_and_told_before_the_next_decision_of_its_user(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(attach("v"), 0);
	assert_int_equal(records(), 1);
	decide(BOB, "blue");
	assert_int_equal(said("more like record"), 0);
	decide(ALICE, "blue");
	assert_int_equal(records(), 4);
	assert_int_equal(said("\"uid\":1001,\"pid\":7,\"subject\":\"v\",\"level\":\"red\","
			      "\"detail\":\"999 more like record 1\",\"result\":\"ok\""),
		1);
}

static void a_decision_about_the_level_makes_the_next_one_new(void **state)
{
	(void)state;
	assert_int_equal(attach("v"), 0);
	assert_int_equal(attach("v"), 0);
	decide(BOB, "red");
	assert_int_equal(said("\"1 more like record 1\""), 1);
	assert_int_equal(attach("v"), 0);
	assert_int_equal(records(), 4);
}

static void what_differs_is_no_repeat(void **state)
{
	(void)state;
	assert_int_equal(happen(REPEAT_FETCH, ALICE, 7, "v", "/a"), 0);
	assert_int_equal(happen(REPEAT_FETCH, ALICE, 8, "v", "/a"), 0);
	assert_int_equal(happen(REPEAT_FETCH, ALICE, 7, "w", "/a"), 0);
	assert_int_equal(happen(REPEAT_FETCH, ALICE, 7, "v", "/b"), 0);
	assert_int_equal(happen(REPEAT_FETCH, BOB, 7, "v", "/a"), 0);
	assert_int_equal(records(), 5);
	/* A refusal permits nothing: every keyadm is another process. */
	assert_int_equal(happen(REPEAT_REFUSAL, ALICE, 7, "v", "/a"), 0);
	assert_int_equal(happen(REPEAT_REFUSAL, ALICE, 8, "v", "/b"), 0);
	assert_int_equal(records(), 6);
}

static void a_count_is_told_at_the_end_of_a_window_and_windows_grow(void **state)
{
	int64_t now_ms = clock_now_ms(), end_ms;
	unsigned told = 0;

	(void)state;
	assert_int_equal(attach("v"), 0);
	for (int64_t day_ms = (int64_t)24 * 3600 * 1000, t = now_ms; t < now_ms + day_ms;
		t = end_ms) {
		assert_int_equal(attach("v"), 0);
		end_ms = audit_tick(&audit, t);
		assert_true(end_ms > t && end_ms - t <= REPEAT_WINDOW_MAX_MS);
		assert_int_equal(audit_tick(&audit, end_ms - 1), end_ms);
		told++;
	}
	assert_true(told < 110);
	assert_true(records() <= told + 1);
	/* Nobody repeats it any more: it is forgotten. */
	now_ms += (int64_t)48 * 3600 * 1000;
	end_ms = audit_tick(&audit, now_ms);
	assert_int_equal(audit_tick(&audit, end_ms), 0);
	uint64_t before = records();
	assert_int_equal(attach("v"), 0);
	assert_int_equal(records(), before + 1);
}

static void at_the_end_every_count_is_told(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(attach("v"), 0);
		assert_int_equal(attach("w"), 0);
	}
	audit_tell_repeats(&audit);
	assert_int_equal(said("2 more like record 1"), 1);
	assert_int_equal(said("2 more like record 2"), 1);
	audit_tell_repeats(&audit);
	assert_int_equal(records(), 4);
}

static void a_count_that_cannot_be_written_is_not_lost(void **state)
{
	(void)state;
	assert_int_equal(attach("v"), 0);
	assert_int_equal(attach("v"), 0);
	audit.unusable = true;
	audit_tell_repeats(&audit);
	(void)audit_tick(&audit, clock_now_ms() + 2 * REPEAT_WINDOW_MS);
	audit.unusable = false;
	assert_int_equal(attach("v"), 0);
	audit_tell_repeats(&audit);
	assert_int_equal(said("2 more like record 1"), 1);
}

/* Another path each time: nothing is collapsed. */
static void a_loop_of_attaching_stays_within_its_budget(void **state)
{
	char path[32];
	int refused = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(path, sizeof(path), "/%d", i);
		int rc = happen(REPEAT_FETCH, ALICE, 7, "v", path);
		assert_true(!rc || rc == -EBUSY);
		refused += rc != 0;
	}
	assert_true(refused > 19000);
	assert_true(audit.size_bytes < 1000 * 700);
	/* Nobody else is slower for it, */
	assert_int_equal(happen(REPEAT_FETCH, BOB, 8, "v", "/red.img"), 0);
	/* and an administrator's order to ask again gives everybody a new budget. */
	assert_int_equal(happen(REPEAT_FETCH, ALICE, 7, "v", "/new"), -EBUSY);
	repeats_renew_fetches(audit.repeats);
	assert_int_equal(happen(REPEAT_FETCH, ALICE, 7, "v", "/new"), 0);
}

static void what_is_left_out_is_counted(void **state)
{
	char volume[32];

	(void)state;
	for (int i = 0; i < 100; i++) {
		(void)snprintf(volume, sizeof(volume), "v%d", i);
		(void)happen(REPEAT_STRANGER, ALICE, 7, volume, NULL);
	}
	assert_true(records() >= 20 && records() < 40);
	uint64_t left_out = 100 - records();
	char detail[64];
	(void)snprintf(detail, sizeof(detail), "\"detail\":\"%llu requests of this user\"",
		(unsigned long long)left_out);
	(void)audit_tick(&audit, clock_now_ms() + (int64_t)3600 * 1000);
	assert_int_equal(said("left-out"), 1);
	assert_int_equal(said(detail), 1);
}

static void a_strangers_noise_hides_no_refusal_of_anybody_else(void **state)
{
	char volume[32];

	(void)state;
	for (uid_t uid = 5000; uid < 5200; uid++) {
		for (int i = 0; i < 50; i++) {
			(void)snprintf(volume, sizeof(volume), "v%d", i);
			(void)happen(REPEAT_STRANGER, uid, 7, volume, NULL);
		}
	}
	assert_true(records() < 200);
	uint64_t before = records();
	assert_int_equal(happen(REPEAT_FREE, BOB, 7, "key", NULL), 0);
	assert_int_equal(happen(REPEAT_REFUSAL, ALICE, 7, "key", NULL), 0);
	assert_int_equal(records(), before + 2);
}

static void a_share_is_earned_again_with_time(void **state)
{
	struct repeat_share *share;
	int64_t now_ms = 1000000;

	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_true(repeats_take_share(&repeats, REPEAT_FETCH, ALICE, now_ms, &share));
	assert_false(repeats_take_share(&repeats, REPEAT_FETCH, ALICE, now_ms, &share));
	assert_int_equal(share->left_out, 1);
	now_ms += 10 * 1000;
	assert_true(repeats_take_share(&repeats, REPEAT_FETCH, ALICE, now_ms, &share));
	assert_false(repeats_take_share(&repeats, REPEAT_FETCH, ALICE, now_ms, &share));
	assert_true(repeats_take_share(&repeats, REPEAT_FETCH, BOB, now_ms, &share));
}

static void users_beyond_the_table_share_one_budget(void **state)
{
	struct repeat_share *share;
	unsigned taken = 0;

	(void)state;
	for (uid_t uid = 1; uid <= REPEAT_USERS_MAX; uid++)
		assert_true(repeats_take_share(&repeats, REPEAT_REFUSAL, uid, 1000, &share));
	for (uid_t uid = 5000; uid < 6000; uid++)
		taken += repeats_take_share(&repeats, REPEAT_REFUSAL, uid, 1000, &share);
	assert_int_equal(taken, 20);
	assert_int_equal(share->left_out, 980);
	/* Those who have one keep it. */
	assert_true(repeats_take_share(&repeats, REPEAT_REFUSAL, 1, 1000, &share));
}

static void a_user_with_many_volumes_loses_his_own_oldest_first(void **state)
{
	char volume[32];

	(void)state;
	audit.repeats->fetch_burst = 10000;
	audit.repeats->fetch_each_ms = 10 * 1000;
	assert_int_equal(happen(REPEAT_FETCH, BOB, 8, "v", "/v"), 0);
	for (int i = 0; i < 2 * REPEATS_MAX; i++) {
		(void)snprintf(volume, sizeof(volume), "v%d", i);
		assert_int_equal(attach(volume), 0);
		if (!i) /* the first to lose its place has a count */
			assert_int_equal(attach(volume), 0);
	}
	assert_int_equal(said("1 more like record 2"), 1);
	uint64_t before = records();
	assert_int_equal(happen(REPEAT_FETCH, BOB, 8, "v", "/v"), 0);
	assert_int_equal(records(), before);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, make_log, remove_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_repeat_is_counted_and_told_before_the_next_decision_of_its_user),
		LOG_TEST(a_decision_about_the_level_makes_the_next_one_new),
		LOG_TEST(what_differs_is_no_repeat),
		LOG_TEST(a_count_is_told_at_the_end_of_a_window_and_windows_grow),
		LOG_TEST(at_the_end_every_count_is_told),
		LOG_TEST(a_count_that_cannot_be_written_is_not_lost),
		LOG_TEST(a_loop_of_attaching_stays_within_its_budget),
		LOG_TEST(what_is_left_out_is_counted),
		LOG_TEST(a_strangers_noise_hides_no_refusal_of_anybody_else),
		LOG_TEST(a_share_is_earned_again_with_time),
		LOG_TEST(users_beyond_the_table_share_one_budget),
		LOG_TEST(a_user_with_many_volumes_loses_his_own_oldest_first),
	};
	return cmocka_run_group_tests_name("repeats", tests, NULL, NULL);
}
