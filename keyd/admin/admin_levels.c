/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Admin requests about levels. */
#include <errno.h>
#include <string.h>

#include "admin_requests.h"
#include "inventory.h"
#include "revocation.h"
#include "suspend.h"
#include "text.h"
#include "token.h"

bool request_level_is_unfit(struct request *r, const struct level *level)
{
	char when[TEXT_TIME_BYTES];

	if (level->state == KEY_DESTROYED) {
		text_time(when, level->destroyed_at);
		request_answer(r, PROTO_DESTROYED, NULL,
			"already destroyed on %s; see keyadm level show %s", when, level->name);
	} else if (level->state == KEY_DESTROYING) {
		request_answer(r, PROTO_DESTROYED, NULL,
			"level %s is half destroyed: finish with keyadm level destroy %s",
			level->name, level->name);
	} else if (level->state == KEY_DAMAGED) {
		request_answer(r, PROTO_DAMAGED, NULL,
			"the key of level %s is damaged: put level.key back from a backup and "
			"restart keyd",
			level->name);
	} else {
		return false;
	}
	return true;
}

static void answer_level(struct request *r, const struct level *level, const char *done)
{
	request_answer(r, PROTO_OK, inventory_level(r->keyd, level, true), "level %s is %s",
		level->name, done);
}

static void answer_failure(struct request *r, const char *event, struct level *level, int rc)
{
	request_audit_failure(r, event, level->name, NULL, rc);
	if (rc == -EBADMSG)
		(void)request_level_is_unfit(r, level); /* it is marked damaged now */
	else
		request_answer(r, PROTO_FAILED, NULL,
			"cannot store the new state of level %s, and a restart may find the old or "
			"the new one: %s",
			level->name, token_strerror(rc));
}

void request_level_create(struct request *r)
{
	const char *name = r->msg.level.level;
	struct level *level;

	if (!request_store_is_open(r))
		return;
	if (!text_is_level_name(name)) {
		request_answer(r, PROTO_INVALID, NULL,
			"a level's name is 1 to 63 of A-Z a-z 0-9 . _ - and starts with none of . "
			"-");
		return;
	}
	if (text_names_uuid(name)) {
		request_answer(r, PROTO_INVALID, NULL,
			"level %s was not made: a name in the form of a UUID would be taken for a "
			"volume: choose another name",
			name);
		return;
	}
	if (keystore_level(&r->keyd->store, name)) {
		request_answer(r, PROTO_EXISTS, NULL,
			"level %s exists or existed: names are not used again", name);
		return;
	}
	if (!request_audit_before(r, "level-create", name, NULL, NULL))
		return;
	int rc = keystore_level_create(&r->keyd->store, name, &level);
	if (rc) {
		request_audit_failure(r, "level-create", name, NULL, rc);
		request_answer(r, PROTO_FAILED, NULL, "cannot make level %s: %s", name,
			rc == -ENOSPC ? "too many levels, or no space" : token_strerror(rc));
		return;
	}
	answer_level(r, level, "created");
}

void request_level_list(struct request *r)
{
	if (request_store_is_open(r)) /* else an empty list would be a lie */
		request_answer(r, PROTO_OK, inventory_levels(r->keyd), "%s", "");
}

void request_level_show(struct request *r)
{
	const struct level *level = request_find_level(r);

	if (level)
		request_answer(r, PROTO_OK, inventory_level(r->keyd, level, true), "%s", "");
}

/* True, and answered, when the level cannot be suspended or resumed. */
static bool is_not_to_change(struct request *r, enum operation wanted, struct level *level)
{
	return request_is_in_the_way(r, wanted, &(struct scope){.level = level}) ||
	       request_level_is_unfit(r, level);
}

void request_level_suspend(struct request *r)
{
	struct level *level = request_find_level(r);
	int rc = 0;

	if (!level || is_not_to_change(r, OPERATION_SUSPEND, level))
		return;
	if (!request_audit_before(r, "level-suspend", level->name, NULL, NULL))
		return;
	/* A suspended level is revoked once more: somebody may not have acknowledged last time. */
	if (level->state == KEY_ACTIVE)
		rc = keystore_level_set_state(&r->keyd->store, level, KEY_SUSPENDED);
	if (!rc)
		rc = suspend_start(r->keyd, level, r->admin, r->msg.serial);
	if (rc)
		answer_failure(r, "level-suspend", level, rc);
}

void request_level_resume(struct request *r)
{
	struct level *level = request_find_level(r);
	int rc = 0;

	if (!level || is_not_to_change(r, OPERATION_RESUME, level))
		return;
	if (!request_audit_before(r, "level-resume", level->name, NULL, NULL))
		return;
	if (level->state != KEY_ACTIVE)
		rc = keystore_level_set_state(&r->keyd->store, level, KEY_ACTIVE);
	if (rc) {
		answer_failure(r, "level-resume", level, rc);
		return;
	}
	rc = resume_start(r->keyd, level, r->admin, r->msg.serial);
	if (rc)
		answer_failure(r, "level-resume", level, rc);
}

void request_level_destroy(struct request *r)
{
	const struct scope scope = {.level = request_find_level(r)};

	if (!scope.level || request_is_in_the_way(r, OPERATION_DESTROY_LEVEL, &scope))
		return;
	/* What is damaged or half destroyed can still be destroyed. */
	if (scope.level->state == KEY_DESTROYED && request_level_is_unfit(r, scope.level))
		return;
	request_destroy(r, &scope);
}
