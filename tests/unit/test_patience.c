/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd reads what lies in its sockets before it calls a peer late, and its own delays count against nobody. */
#include "sweep.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "admin.h"
#include "clock.h"
#include "helper.h"
#include "revocation.h"

/* A suspension waits for a tgtd that holds the key and says nothing. */
static void begin_waiting(void)
{
	small_keyd_reset();
	assert_int_equal(small_keyd_start(), 0);
	sweep_hold();
	small_keyd_silence(true);
	assert_int_equal(small_keyd_order(PROTO_LEVEL_SUSPEND, "red"), -1);
	assert_non_null(small_keyd.revocations);
}

static void end(void)
{
	small_keyd_silence(false);
	small_keyd_settle();
	small_keyd_end();
}

static void acknowledge(void)
{
	const struct proto_msg ack = {
		.type = PROTO_REVOKE_ACK, .serial = small_keyd.revocations->serial};

	small_keyd_send(SMALL_TGTD, &ack);
}

static size_t holders(void)
{
	size_t held = 0;

	for (size_t i = 0; i < small_keyd.session_count; i++) {
		const struct consumer *consumer = consumer_of(small_keyd.sessions[i]);
		held += consumer ? consumer->held_count : 0;
	}
	return held;
}

/* Of how the suspension ended, or after it. */
static bool is_on_record(const char *what)
{
	char text[65536];

	ssize_t len = pread(small_keyd.audit.fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	const char *revoked = strstr(text, "level-suspend-revoked");
	return revoked && strstr(revoked, what);
}

/* It passes after keyd's last look at its sockets. */
static int64_t passed_deadline(void)
{
	int64_t deadline_ms = clock_now_ms() + 1;

	while (clock_now_ms() <= deadline_ms)
		;
	return deadline_ms;
}

/* The deadline passes while the answer lies in the socket. */
static void an_answer_that_was_not_read_yet_counts(void **state)
{
	(void)state;
	begin_waiting();
	acknowledge();
	small_keyd.revocations->deadline_ms = passed_deadline();
	small_keyd_settle();
	assert_null(small_keyd.revocations);
	assert_int_equal(holders(), 0);
	assert_false(is_on_record("\"result\":\"unproven\""));
	assert_false(is_on_record("revoke-ack-late"));
	end();
}

/* So does one behind many other messages: they are read one a round. */
static void an_answer_behind_others_counts(void **state)
{
	const struct proto_msg ping = {.type = PROTO_PING, .serial = 9};

	(void)state;
	begin_waiting();
	for (int i = 0; i < 50; i++)
		small_keyd_send(SMALL_TGTD, &ping);
	acknowledge();
	small_keyd.revocations->deadline_ms = passed_deadline();
	small_keyd_settle();
	assert_null(small_keyd.revocations);
	assert_false(is_on_record("\"result\":\"unproven\""));
	end();
}

static void nobody_puts_the_verdict_off_by_sending_on(void **state)
{
	const struct proto_msg ping = {.type = PROTO_PING, .serial = 9};

	(void)state;
	begin_waiting();
	for (int i = 0; i < 50; i++)
		small_keyd_send(SMALL_TGTD, &ping);
	small_keyd.revocations->deadline_ms = clock_now_ms() - 2 * UNREAD_MS;
	small_keyd_settle();
	assert_null(small_keyd.revocations);
	assert_true(is_on_record("\"result\":\"unproven\""));
	end();
}

static void a_delay_of_keyd_gives_everybody_more_time(void **state)
{
	(void)state;
	begin_waiting();
	small_keyd.revocations->deadline_ms = clock_now_ms();
	small_keyd_was_absent(3600 * 1000);
	small_keyd_settle();
	assert_non_null(small_keyd.revocations);
	assert_true(small_keyd.revocations->excused_ms <=
		    (int64_t)small_keyd.config.revoke_timeout_s * 1000);
	end();
}

static void delays_do_not_add_up_without_end(void **state)
{
	(void)state;
	begin_waiting();
	for (int i = 0; i < 100; i++) {
		small_keyd_was_absent(3600 * 1000);
		small_keyd_settle();
	}
	assert_int_equal(small_keyd.revocations->excused_ms,
		(int64_t)small_keyd.config.revoke_timeout_s * 1000 * 10);
	end();
}

/* The deadline of the first message passes while the message lies in the socket. */
static void a_greeting_that_was_not_read_yet_counts(void **state)
{
	(void)state;
	small_keyd_reset();
	assert_int_equal(small_keyd_start(), 0);
	small_keyd.sessions[0]->deadline_ms = passed_deadline();
	assert_int_equal(sweep_hello(), PROTO_OK);
	end();
}

static void a_silent_stranger_is_still_cut_off(void **state)
{
	(void)state;
	small_keyd_reset();
	assert_int_equal(small_keyd_start(), 0);
	size_t before = small_keyd.session_count;
	small_keyd.sessions[0]->deadline_ms = passed_deadline();
	small_keyd_settle();
	assert_int_equal(small_keyd.session_count, before - 1);
	end();
}

/* ---- Long work on the helper's thread ----------------------------------------------------------------------------- */

/* Work that lasts until the test says so. */
struct long_job {
	struct helper_job job; /* first */
	int gate[2];
	bool done;
};

static void wait_at_gate(struct helper_job *job)
{
	char byte;

	(void)!read(((struct long_job *)job)->gate[0], &byte, 1);
}

static void note_done(struct keyd *keyd, struct helper_job *job)
{
	(void)keyd;
	((struct long_job *)job)->done = true;
}

static void drop_it(struct helper_job *job)
{
	(void)job;
}

enum { SECOND_UID = 4711 }; /* of SMALL_SECOND_ADMIN */

static void begin_long_job(struct long_job *job)
{
	small_keyd_reset();
	assert_int_equal(small_keyd_start(), 0);
	assert_int_equal(helper_open(&small_keyd), 0);
	*job = (struct long_job){.job = {.uid = SECOND_UID,
					 .work = wait_at_gate,
					 .done = note_done,
					 .drop = drop_it}};
	assert_int_equal(pipe(job->gate), 0);
	helper_begin(&small_keyd, &job->job);
}

static void wait_for_helper(void)
{
	struct pollfd poll_fd = {.fd = helper_fd(&small_keyd), .events = POLLIN};

	(void)poll(&poll_fd, 1, 100);
	small_keyd_settle();
}

static void close_gate(struct long_job *job)
{
	(void)close(job->gate[0]);
	(void)close(job->gate[1]);
	small_keyd_end();
}

static void keyd_serves_while_it_reads_a_long_log(void **state)
{
	struct long_job job;

	(void)state;
	begin_long_job(&job);
	assert_int_equal(small_keyd_order(PROTO_AUDIT_VERIFY, ""), -1); /* in line */
	assert_int_equal(sweep_hello(), PROTO_OK);
	assert_int_equal(sweep_attach(), PROTO_OK);
	assert_false(job.done);
	assert_int_equal(write(job.gate[1], "x", 1), 1);
	const struct admin *admin = (const struct admin *)small_keyd.sessions[1];
	while (admin->waiting)
		wait_for_helper();
	assert_true(job.done);
	close_gate(&job);
}

static void who_goes_away_leaves_the_work_behind(void **state)
{
	struct long_job job;

	(void)state;
	begin_long_job(&job);
	assert_int_equal(small_keyd_order(PROTO_AUDIT_VERIFY, ""), -1);
	small_keyd.sessions[1]->ending = true;
	small_keyd_settle();
	assert_int_equal(write(job.gate[1], "x", 1), 1);
	while (!job.done)
		wait_for_helper();
	close_gate(&job);
}

static void a_user_has_one_job_at_a_time(void **state)
{
	const struct proto_msg verify = {.type = PROTO_AUDIT_VERIFY, .serial = 2};
	struct long_job job;

	(void)state;
	begin_long_job(&job);
	assert_int_equal(small_keyd_ask(SMALL_SECOND_ADMIN, &verify), PROTO_BUSY);
	assert_int_equal(small_keyd_ask(SMALL_ADMIN, &verify), -1);
	assert_int_equal(write(job.gate[1], "x", 1), 1);
	while (!job.done)
		wait_for_helper();
	close_gate(&job);
}

static void keyd_stops_with_work_under_way(void **state)
{
	struct long_job job;

	(void)state;
	begin_long_job(&job);
	assert_int_equal(small_keyd_order(PROTO_AUDIT_VERIFY, ""), -1);
	assert_int_equal(write(job.gate[1], "x", 1), 1);
	close_gate(&job);
	assert_false(job.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_that_was_not_read_yet_counts),
		cmocka_unit_test(an_answer_behind_others_counts),
		cmocka_unit_test(nobody_puts_the_verdict_off_by_sending_on),
		cmocka_unit_test(a_delay_of_keyd_gives_everybody_more_time),
		cmocka_unit_test(delays_do_not_add_up_without_end),
		cmocka_unit_test(a_greeting_that_was_not_read_yet_counts),
		cmocka_unit_test(a_silent_stranger_is_still_cut_off),
		cmocka_unit_test(keyd_serves_while_it_reads_a_long_log),
		cmocka_unit_test(who_goes_away_leaves_the_work_behind),
		cmocka_unit_test(a_user_has_one_job_at_a_time),
		cmocka_unit_test(keyd_stops_with_work_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
