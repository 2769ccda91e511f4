/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "revocation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"

enum {
	KILLED_MS = 5000, /* for the end of processes; one in the middle of I/O may take its time */
	EXCUSES_MAX = 10, /* so many times revoke-timeout may be added, once for each delay */
};

static struct revocation_target *find_target(
	struct revocation *rev, const struct consumer *consumer)
{
	for (size_t i = 0; i < rev->target_count; i++) {
		if (rev->targets[i].consumer == consumer)
			return &rev->targets[i];
	}
	return NULL;
}

static struct revocation_target *add_target(struct revocation *rev, struct consumer *consumer)
{
	if (rev->target_count == sizeof(rev->targets) / sizeof(rev->targets[0]))
		return NULL;
	struct revocation_target *target = &rev->targets[rev->target_count++];
	*target = (struct revocation_target){
		.consumer = consumer,
		.peer = {.pid = consumer->session.peer.pid, .uid = consumer->session.peer.uid},
	};
	target->peer.pidfd = -1;
	return target;
}

static void remove_target(struct revocation *rev, struct revocation_target *target)
{
	*target = rev->targets[--rev->target_count];
}

/* A process that never may have the level's keys has nothing to wipe, and need not know of it. */
static bool may_hold(
	const struct keyd *keyd, const struct revocation *rev, const struct consumer *consumer)
{
	if (consumer_holds(consumer, &rev->scope))
		return true;
	return rev->reason != PROTO_REASON_RESIZE &&
	       policy_may_fetch(
		       &keyd->config.policy, &consumer->session.peer, rev->scope.level->name);
}

static void answer(struct revocation_target *target, enum certificate_answer what, uint32_t wiped)
{
	target->answered = true;
	target->answer = what;
	target->wiped = wiped;
	target->scrubs = target->consumer && target->consumer->scrubs;
	target->consumer = NULL;
}

/* A consumer that has no room for it is cut off, and told when it comes back. */
static void tell(struct keyd *keyd, const struct revocation *rev, struct consumer *consumer)
{
	struct proto_msg msg = {.type = rev->type, .serial = rev->serial};

	msg.revoke.reason = rev->reason;
	memcpy(msg.revoke.level, rev->scope.level->name, sizeof(msg.revoke.level));
	if (rev->scope.volume)
		memcpy(msg.revoke.uuid, rev->scope.volume->uuid, sizeof(msg.revoke.uuid));
	if (rev->type == PROTO_REVOKE)
		consumer_note_revoke(consumer, &rev->scope, rev->serial);
	(void)session_send(keyd, &consumer->session, &msg, -1);
}

/* Until then a tgtd may come back to a keyd that has just started, with keys that it holds. */
static int64_t settled_ms(const struct keyd *keyd, const struct revocation *rev)
{
	return rev->type == PROTO_REVOKE ? keyd->settle_until_ms : 0;
}

/* Whoever loses the key has no use for a new size, nor for the key: what gives either back ends as it stands. */
static void end_restores(struct keyd *keyd, const struct revocation *by)
{
	for (struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		if (rev->type == PROTO_RESTORE && rev->scope.level == by->scope.level &&
			(!by->scope.volume || rev->scope.volume == by->scope.volume))
			rev->deadline_ms = 0;
	}
}

void revocation_start(struct keyd *keyd, struct revocation *rev)
{
	if (rev->type == PROTO_REVOKE)
		end_restores(keyd, rev);
	rev->serial = ++keyd->next_serial;
	rev->target_count = 0;
	rev->excused_ms = 0;
	rev->deadline_ms = clock_now_ms() + (int64_t)keyd->config.revoke_timeout_s * 1000;
	if (rev->deadline_ms < settled_ms(keyd, rev))
		rev->deadline_ms = settled_ms(keyd, rev);
	rev->next = keyd->revocations;
	keyd->revocations = rev;

	for (size_t i = 0; i < keyd->session_count; i++) {
		struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (!consumer)
			continue;
		/* Everyone who is connected: after a restart of keyd one may hold keys that it has
		 * not told this keyd of yet. */
		bool connected = consumer->session.fd >= 0 && consumer->greeted;
		bool holds = (rev->type == PROTO_REVOKE || rev->reason == PROTO_REASON_RESIZE) &&
			     consumer_holds(consumer, &rev->scope);
		if (connected ? !may_hold(keyd, rev, consumer) : !holds)
			continue;
		(void)add_target(rev, consumer); /* there is room for every session */
		if (connected)
			tell(keyd, rev, consumer);
	}
}

void revocation_on_hello(struct keyd *keyd, struct consumer *consumer)
{
	for (struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		if (rev->type == PROTO_RESTORE && !find_target(rev, consumer))
			continue; /* it is about to ask anyway */
		if (!find_target(rev, consumer) && !may_hold(keyd, rev, consumer))
			continue;
		if (!find_target(rev, consumer) && !add_target(rev, consumer)) {
			log_warning("too many consumers come and go: cutting off pid %d",
				(int)consumer->session.peer.pid);
			consumer->session.ending = true;
			return;
		}
		tell(keyd, rev, consumer);
	}
}

void revocation_replace(struct keyd *keyd, struct consumer *former, struct consumer *consumer)
{
	for (struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		struct revocation_target *target = find_target(rev, former);
		if (target && find_target(rev, consumer))
			remove_target(rev, target);
		else if (target)
			target->consumer = consumer;
	}
}

bool revocation_on_ack(struct keyd *keyd, struct consumer *consumer, uint16_t type, uint32_t serial,
	uint32_t wiped)
{
	struct revocation *rev = keyd->revocations;

	while (rev && (rev->serial != serial || rev->type != type))
		rev = rev->next;
	struct revocation_target *target = rev ? find_target(rev, consumer) : NULL;
	if (!target)
		return false;
	answer(target, CERTIFICATE_ACKNOWLEDGED, wiped);
	if (type == PROTO_REVOKE)
		consumer_drop_held(consumer, &rev->scope);
	return true;
}

void revocation_on_exit(struct keyd *keyd, struct consumer *consumer)
{
	for (struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		struct revocation_target *target = find_target(rev, consumer);
		if (target)
			answer(target, target->killed ? CERTIFICATE_KILLED : CERTIFICATE_EXITED, 0);
	}
}

bool revocation_on_close(struct keyd *keyd, struct consumer *consumer)
{
	bool waits = false;

	for (struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		struct revocation_target *target = find_target(rev, consumer);
		if (target && target->killed)
			waits = true;
		else if (target && !consumer_holds(consumer, &rev->scope))
			remove_target(rev, target);
	}
	return waits;
}

static bool all_answered(const struct revocation *rev)
{
	for (size_t i = 0; i < rev->target_count; i++) {
		if (!rev->targets[i].answered)
			return false;
	}
	return true;
}

bool revocation_under_way(const struct keyd *keyd, const struct volume *volume)
{
	for (const struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		if (rev->reason != PROTO_REASON_RESIZE &&
			(rev->scope.volume ? rev->scope.volume == volume
					   : rev->scope.level == volume->level))
			return true;
	}
	return false;
}

bool revocation_resizes(const struct keyd *keyd, const struct volume *volume)
{
	for (const struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		if (rev->reason == PROTO_REASON_RESIZE && rev->scope.volume == volume)
			return true;
	}
	return false;
}

static void record_kill(
	struct keyd *keyd, const struct revocation *rev, const struct peer *peer, int rc)
{
	char detail[64];

	log_warning("tgtd pid %d uid %u does not answer: %s", (int)peer->pid, (unsigned)peer->uid,
		rc ? strerror(-rc) : "killed");
	(void)snprintf(detail, sizeof(detail), "pid %d uid %u does not answer", (int)peer->pid,
		(unsigned)peer->uid);
	if (audit_append(&keyd->audit,
		    &(struct audit_event){.event = "kill",
			    .level = rev->scope.level->name,
			    .volume = rev->scope.volume ? rev->scope.volume->uuid : NULL,
			    .detail = detail,
			    .result = rc ? "failed" : "ok"}))
		log_error("that a tgtd was killed is not in the audit log");
}

static void kill_target(struct keyd *keyd, struct revocation *rev, struct revocation_target *target)
{
	const struct peer *peer = &target->consumer->session.peer;

	int rc = peer_kill(peer);
	if (rc == -ESRCH) {
		answer(target, CERTIFICATE_EXITED, 0);
		return;
	}
	target->killed = !rc;
	target->unkilled = rc != 0;
	if (rc && !rev->kill_error)
		rev->kill_error = rc;
	record_kill(keyd, rev, peer, rc);
}

/* The time is up: those that did not answer are killed, and have some more time to end. */
static void kill_silent(struct keyd *keyd, struct revocation *rev, int64_t now_ms)
{
	if (!rev->kill_silent || rev->killing)
		return;
	rev->killing = true;
	for (size_t i = 0; i < rev->target_count; i++) {
		if (!rev->targets[i].answered)
			kill_target(keyd, rev, &rev->targets[i]);
	}
	rev->deadline_ms = now_ms + KILLED_MS;
}

/* Its answer may lie in a socket: its own, or one that it has just opened. */
static bool may_have_answered(const struct keyd *keyd, const struct revocation_target *target)
{
	if (target->answered)
		return false;
	const struct session *session = &target->consumer->session;
	return session->fd >= 0 ? session->unread : keyd->newcomers;
}

static bool is_overdue(const struct keyd *keyd, const struct revocation *rev, int64_t now_ms)
{
	if (now_ms < rev->deadline_ms)
		return false;
	for (size_t i = 0; i < rev->target_count; i++) {
		if (may_have_answered(keyd, &rev->targets[i]) &&
			now_ms < rev->deadline_ms + UNREAD_MS)
			return false;
	}
	return true;
}

static bool is_settled(const struct keyd *keyd, const struct revocation *rev, int64_t now_ms)
{
	int64_t until_ms = settled_ms(keyd, rev);

	return now_ms >= until_ms + (until_ms && keyd->newcomers ? UNREAD_MS : 0);
}

static bool only_unkilled_left(const struct revocation *rev)
{
	for (size_t i = 0; i < rev->target_count; i++) {
		if (!rev->targets[i].answered && !rev->targets[i].unkilled)
			return false;
	}
	return rev->killing;
}

static bool can_end(const struct keyd *keyd, const struct revocation *rev, int64_t now_ms)
{
	if (is_overdue(keyd, rev, now_ms) || only_unkilled_left(rev))
		return true;
	return is_settled(keyd, rev, now_ms) && all_answered(rev);
}

static void end(struct keyd *keyd, struct revocation **link)
{
	struct revocation *rev = *link;

	*link = rev->next;
	rev->next = NULL;
	for (size_t i = 0; i < rev->target_count; i++) {
		if (rev->targets[i].answered)
			continue;
		if (rev->type == PROTO_REVOKE) /* keys that it never took it gets no more */
			consumer_wipe_slots(rev->targets[i].consumer, &rev->scope);
		answer(&rev->targets[i], CERTIFICATE_UNACKNOWLEDGED, 0);
	}
	rev->done(keyd, rev);
}

void revocation_excuse(struct keyd *keyd, int64_t since_ms, int64_t absent_ms)
{
	int64_t timeout_ms = (int64_t)keyd->config.revoke_timeout_s * 1000;

	for (struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		int64_t left_ms = EXCUSES_MAX * timeout_ms - rev->excused_ms;
		int64_t more_ms = absent_ms < timeout_ms ? absent_ms : timeout_ms;
		if (rev->deadline_ms <= since_ms)
			continue; /* overdue before, or ended by another operation */
		if (more_ms > left_ms)
			more_ms = left_ms;
		rev->deadline_ms += more_ms;
		rev->excused_ms += more_ms;
	}
}

int64_t revocation_tick(struct keyd *keyd, int64_t now_ms)
{
	int64_t next_ms = 0;

	for (struct revocation **link = &keyd->revocations; *link;) {
		if (is_overdue(keyd, *link, now_ms))
			kill_silent(keyd, *link, now_ms);
		if (can_end(keyd, *link, now_ms)) {
			end(keyd, link);
			continue;
		}
		int64_t due_ms =
			all_answered(*link) ? settled_ms(keyd, *link) : (*link)->deadline_ms;
		if (!next_ms || due_ms < next_ms)
			next_ms = due_ms;
		link = &(*link)->next;
	}
	return next_ms;
}

size_t revocation_missing(const struct revocation *rev, char *text, size_t cap)
{
	size_t missing = 0, used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < rev->target_count; i++) {
		const struct revocation_target *target = &rev->targets[i];
		if (target->answer != CERTIFICATE_UNACKNOWLEDGED)
			continue;
		int n = snprintf(text + used, cap - used, "%stgtd pid %d uid %u",
			missing ? ", " : "", (int)target->peer.pid, (unsigned)target->peer.uid);
		if (n > 0 && (size_t)n < cap - used)
			used += (size_t)n;
		else
			text[used] = '\0'; /* whole names only; the count tells the rest */
		missing++;
	}
	return missing;
}

size_t revocation_acknowledged(const struct revocation *rev)
{
	size_t count = 0;

	for (size_t i = 0; i < rev->target_count; i++) {
		if (rev->targets[i].answer == CERTIFICATE_ACKNOWLEDGED)
			count++;
	}
	return count;
}

int revocation_certify(const struct revocation *rev, struct json_object *certificate)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < rev->target_count; i++) {
		const struct revocation_target *target = &rev->targets[i];
		rc = certificate_add_answer(
			certificate, target->answer, &target->peer, target->wiped, target->scrubs);
	}
	return rc;
}

void revocation_forget(struct keyd *keyd, const struct revocation *rev)
{
	struct revocation **link = &keyd->revocations;

	while (*link && *link != rev)
		link = &(*link)->next;
	if (*link)
		*link = rev->next;
}
