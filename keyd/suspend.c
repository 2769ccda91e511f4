/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "suspend.h"

#include <errno.h>
#include <stdlib.h>

#include "inventory.h"
#include "revocation.h"

struct suspension {
	struct revocation rev; /* first */
	struct admin_waiting waiting;
	struct peer requester; /* for the audit log; owns nothing */
};

static void record(
	struct keyd *keyd, const struct suspension *s, const char *missing, const char *result)
{
	/* The level is suspended whether or not this can be written. */
	if (audit_append(&keyd->audit, &(struct audit_event){.event = "level-suspend-revoked",
					       .by = &s->requester,
					       .level = s->rev.scope.level->name,
					       .detail = missing,
					       .result = result}))
		return;
}

static void on_revoked(struct keyd *keyd, struct revocation *rev)
{
	struct suspension *s = (struct suspension *)rev;
	struct level *level = rev->scope.level;
	char names[PROTO_MESSAGE_BYTES - 128];

	size_t missing = revocation_missing(rev, names, sizeof(names));
	size_t acknowledged = revocation_acknowledged(rev);
	record(keyd, s, names, missing ? "unproven" : "ok");
	struct json_object *json = inventory_level(keyd, level, true);
	if (level->state != KEY_SUSPENDED)
		admin_answer_waiting(keyd, &s->waiting, PROTO_DESTROYED, json,
			"level %s is not only suspended: its destruction began meanwhile",
			level->name);
	else if (missing)
		admin_answer_waiting(keyd, &s->waiting, PROTO_UNPROVEN, json,
			"level %s is suspended, but %zu did not acknowledge: %s; end them or "
			"suspend again",
			level->name, missing, names);
	else
		admin_answer_waiting(keyd, &s->waiting, PROTO_OK, json,
			"level %s is suspended; %zu acknowledged", level->name, acknowledged);
	free(s);
}

static void on_restored(struct keyd *keyd, struct revocation *rev)
{
	struct suspension *s = (struct suspension *)rev;
	struct level *level = rev->scope.level;
	char names[PROTO_MESSAGE_BYTES - 128];

	size_t missing = revocation_missing(rev, names, sizeof(names));
	struct json_object *json = inventory_level(keyd, level, true);
	if (level->state != KEY_ACTIVE)
		admin_answer_waiting(keyd, &s->waiting,
			level->state == KEY_SUSPENDED ? PROTO_SUSPENDED : PROTO_DESTROYED, json,
			"level %s is not active: it was %s while its LUNs came back", level->name,
			level->state == KEY_SUSPENDED ? "suspended again" : "destroyed");
	else if (missing)
		admin_answer_waiting(keyd, &s->waiting, PROTO_UNPROVEN, json,
			"level %s is active, but %zu did not confirm to have its keys back: %s; "
			"look into its log",
			level->name, missing, names);
	else
		admin_answer_waiting(
			keyd, &s->waiting, PROTO_OK, json, "level %s is active", level->name);
	free(s);
}

static int start(struct keyd *keyd, struct suspension *s, struct level *level, struct admin *admin,
	uint32_t serial)
{
	if (!s)
		return -ENOMEM;
	s->rev.scope.level = level;
	s->rev.reason = PROTO_REASON_SUSPEND;
	s->requester = (struct peer){
		.pid = admin->session.peer.pid,
		.uid = admin->session.peer.uid,
		.pidfd = -1,
	};
	repeats_renew_fetches(
		keyd->audit.repeats); /* every tgtd of the level asks again after this */
	admin_wait(admin, &s->waiting, serial);
	revocation_start(keyd, &s->rev); /* done() frees s */
	return 0;
}

static struct suspension *new_suspension(
	uint16_t type, void (*done)(struct keyd *keyd, struct revocation *rev))
{
	struct suspension *s = calloc(1, sizeof(*s));
	if (s) {
		s->rev.type = type;
		s->rev.done = done;
	}
	return s;
}

int suspend_start(struct keyd *keyd, struct level *level, struct admin *admin, uint32_t serial)
{
	return start(keyd, new_suspension(PROTO_REVOKE, on_revoked), level, admin, serial);
}

int resume_start(struct keyd *keyd, struct level *level, struct admin *admin, uint32_t serial)
{
	return start(keyd, new_suspension(PROTO_RESTORE, on_restored), level, admin, serial);
}
