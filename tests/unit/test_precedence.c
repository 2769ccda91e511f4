/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyd/precedence.h: what may begin while something else is under way. keyd does what the table says for each pair of
 * operations, with a tgtd that acknowledges nothing; and no key survives a destruction that overtook something.
 */
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/lab.h"
#include "precedence.h"

#define RED    "red"
#define VOLUME lab_get()->volume

static int resize(enum small_peer who)
{
	struct proto_msg msg = {.type = PROTO_VOLUME_RESIZE, .serial = 1};

	msg.volume_resize.size_bytes = 2 << 20;
	msg.volume_resize.commit = 1;
	(void)strcpy(msg.volume_resize.id, VOLUME);
	return small_keyd_ask(who, &msg);
}

static int sanitize(enum small_peer who)
{
	struct proto_msg msg = {.type = PROTO_SANITIZE, .serial = 3};

	(void)who;
	memcpy(msg.sanitize.uuid, lab_get()->volume, sizeof(lab_get()->volume));
	return small_keyd_ask(SMALL_TGTD, &msg);
}

static int order(enum small_peer who, uint16_t type, const char *name)
{
	struct proto_msg msg = {.type = type, .serial = 1};

	(void)snprintf(msg.level.level, sizeof(msg.level.level), "%s", name);
	return small_keyd_ask(who, &msg);
}

static int suspend(enum small_peer who)
{
	return order(who, PROTO_LEVEL_SUSPEND, RED);
}

static int resume(enum small_peer who)
{
	return order(who, PROTO_LEVEL_RESUME, RED);
}

static int destroy_volume(enum small_peer who)
{
	return order(who, PROTO_VOLUME_DESTROY, VOLUME);
}

static int destroy_level(enum small_peer who)
{
	return order(who, PROTO_LEVEL_DESTROY, RED);
}

static int create(enum small_peer who)
{
	struct proto_msg msg = {.type = PROTO_VOLUME_CREATE, .serial = 1};

	msg.volume_create.size_bytes = 1 << 20;
	msg.volume_create.sector_bytes = 4096;
	(void)strcpy(msg.volume_create.level, RED);
	(void)strcpy(msg.volume_create.cipher, "aes-cbc-essiv:sha256");
	(void)strcpy(msg.volume_create.path, "/new.img");
	return small_keyd_ask(who, &msg);
}

static int export_level(enum small_peer who)
{
	struct proto_msg msg = {.type = PROTO_EXPORT, .serial = 1};

	(void)strcpy(msg.export.level, RED);
	(void)strcpy((char *)msg.export.passphrase.bytes, "correct horse");
	msg.export.passphrase.len_bytes = 13;
	return small_keyd_ask(who, &msg);
}

static int custody(enum small_peer who)
{
	return order(who, PROTO_CUSTODY_CHANGE, "file");
}

static int (*const begin[OPERATIONS])(enum small_peer who) = {
	[OPERATION_RESIZE] = resize,
	[OPERATION_SANITIZE] = sanitize,
	[OPERATION_RESUME] = resume,
	[OPERATION_SUSPEND] = suspend,
	[OPERATION_DESTROY_VOLUME] = destroy_volume,
	[OPERATION_DESTROY_LEVEL] = destroy_level,
	[OPERATION_CREATE] = create,
	[OPERATION_EXPORT] = export_level,
	[OPERATION_IMPORT] = NULL, /* has its own test: only a destroyed level can be in its way */
	[OPERATION_CUSTODY] = custody,
};

static bool destroys(enum operation operation)
{
	return operation == OPERATION_DESTROY_VOLUME || operation == OPERATION_DESTROY_LEVEL;
}

/* A tgtd has the key and acknowledges nothing more, and so held does not end. */
static void hold(enum operation held)
{
	struct proto_msg grows = {.type = PROTO_GROWS};

	small_keyd_reset();
	assert_int_equal(small_keyd_start(), 0);
	small_keyd.config.policy.rules.sanitize = 1;
	sweep_greet();
	(void)small_keyd_ask(SMALL_TGTD, &grows);
	assert_int_equal(sweep_attach(), PROTO_OK);
	if (held == OPERATION_RESUME)
		assert_int_equal(suspend(SMALL_ADMIN), PROTO_OK);
	small_keyd_silence(true);
	assert_int_equal(begin[held](SMALL_ADMIN), -1);
}

static void check_pair(enum operation held, enum operation wanted)
{
	hold(held);
	int status = begin[wanted](SMALL_SECOND_ADMIN);
	bool refused = status == PROTO_BUSY || status == PROTO_SUSPENDED ||
		       status == PROTO_NOT_FOUND || status == PROTO_DESTROYED;
	bool busy = precedence_of(held, wanted) == PRECEDENCE_BUSY;
	if (busy ? !refused : status > PROTO_OK)
		fail_msg("operation %d while %d: %s: %s", wanted, held,
			status < 0 ? "waits" : proto_status_name((uint32_t)status),
			small_keyd_said());
	const struct volume *volume = keystore_volume(&small_keyd.store, VOLUME);
	if (destroys(held) || (destroys(wanted) && !busy))
		assert_int_equal(keystore_volume_state(volume), KEY_DESTROYING); /* at once */
}

/* keyd ends what is under way, or is killed and does so after a start. */
static void check_end(enum operation held, enum operation wanted, bool killed)
{
	check_pair(held, wanted);
	if (killed) {
		small_keyd_end();
		assert_int_equal(small_keyd_start(), 0);
	}
	small_keyd_silence(false);
	small_keyd_settle();
	assert_null(small_keyd.revocations);
	assert_null(small_keyd.destroys);
	assert_null(small_keyd.sanitizes);
	const struct volume *volume = keystore_volume(&small_keyd.store, VOLUME);
	bool level = held == OPERATION_DESTROY_LEVEL ||
		     (wanted == OPERATION_DESTROY_LEVEL &&
			     precedence_of(held, wanted) != PRECEDENCE_BUSY);
	assert_int_equal(volume->level->state == KEY_DESTROYED, level);
	if (level || destroys(held) || (destroys(wanted) && !killed))
		assert_int_equal(keystore_volume_state(volume), KEY_DESTROYED);
	assert_true(small_keyd_audit_holds());
	small_keyd_end();
}

static void keyd_does_what_the_table_says(void **state)
{
	(void)state;
	for (unsigned held = 0; held < OPERATIONS_HELD; held++) {
		for (unsigned wanted = 0; wanted < OPERATIONS; wanted++) {
			if (!begin[wanted])
				continue;
			check_end((enum operation)held, (enum operation)wanted, false);
			check_end((enum operation)held, (enum operation)wanted, true);
		}
	}
}

static void nothing_but_a_destruction_refuses_one(void **state)
{
	(void)state;
	for (unsigned held = 0; held < OPERATIONS_HELD; held++) {
		bool destruction = destroys((enum operation)held);
		assert_int_equal(precedence_of((enum operation)held, OPERATION_DESTROY_VOLUME) ==
					 PRECEDENCE_BUSY,
			destruction);
		assert_int_equal(precedence_of((enum operation)held, OPERATION_DESTROY_LEVEL) ==
					 PRECEDENCE_BUSY,
			held == OPERATION_DESTROY_LEVEL);
	}
}

static void what_a_client_does_refuses_no_suspension(void **state)
{
	(void)state;
	assert_int_not_equal(precedence_of(OPERATION_SANITIZE, OPERATION_SUSPEND), PRECEDENCE_BUSY);
	assert_int_not_equal(precedence_of(OPERATION_RESIZE, OPERATION_SUSPEND), PRECEDENCE_BUSY);
	assert_int_not_equal(precedence_of(OPERATION_RESUME, OPERATION_SUSPEND), PRECEDENCE_BUSY);
}

static void a_level_is_not_imported_into_while_it_is_in_use(void **state)
{
	(void)state;
	for (unsigned held = 0; held < OPERATIONS_HELD; held++)
		assert_int_equal(
			precedence_of((enum operation)held, OPERATION_IMPORT), PRECEDENCE_BUSY);
}

/* The next sanitization of a client that repeats them waits until the administrator had his chance. */
static void an_administrator_who_was_refused_comes_next(void **state)
{
	(void)state;
	hold(OPERATION_SANITIZE);
	assert_int_equal(custody(SMALL_SECOND_ADMIN), PROTO_BUSY);
	small_keyd_silence(false);
	small_keyd_settle();
	assert_int_equal(sweep_attach(), PROTO_OK);
	assert_int_equal(sanitize(SMALL_TGTD), PROTO_BUSY);
	assert_int_equal(custody(SMALL_SECOND_ADMIN), PROTO_OK);
	small_keyd_end();
}

/* A volume that was being destroyed has its own certificate, though its level was destroyed meanwhile. */
static void a_volume_ends_before_its_level(void **state)
{
	char *text = NULL;

	(void)state;
	check_pair(OPERATION_DESTROY_VOLUME, OPERATION_DESTROY_LEVEL);
	small_keyd_silence(false);
	small_keyd_settle();
	struct volume *volume = keystore_volume(&small_keyd.store, VOLUME);
	const struct scope one = {.level = volume->level, .volume = volume};
	const struct scope all = {.level = volume->level};
	assert_int_equal(erasure_read_certificate(&small_keyd.store, &one, &text), 0);
	free(text);
	assert_int_equal(erasure_read_certificate(&small_keyd.store, &all, &text), 0);
	assert_non_null(strstr(text, "\"passed\""));
	free(text);
	small_keyd_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_but_a_destruction_refuses_one),
		cmocka_unit_test(what_a_client_does_refuses_no_suspension),
		cmocka_unit_test(a_level_is_not_imported_into_while_it_is_in_use),
		cmocka_unit_test(keyd_does_what_the_table_says),
		cmocka_unit_test(an_administrator_who_was_refused_comes_next),
		cmocka_unit_test(a_volume_ends_before_its_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
