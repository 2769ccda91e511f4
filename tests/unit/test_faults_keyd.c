/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Whichever call fails while keyd does what it was asked, what it answers is so: sweep.h. */
#include <string.h>

#include "sweep.h"

#include "../fuzz/lab.h"

ORDER(status, PROTO_STATUS, "")
ORDER(create_level, PROTO_LEVEL_CREATE, "new")
ORDER(list_levels, PROTO_LEVEL_LIST, "")
ORDER(show_red, PROTO_LEVEL_SHOW, "red")
ORDER(show_gone, PROTO_LEVEL_SHOW, "gone")
ORDER(suspend_red, PROTO_LEVEL_SUSPEND, "red")
ORDER(resume_blue, PROTO_LEVEL_RESUME, "blue")
ORDER(destroy_red, PROTO_LEVEL_DESTROY, "red")
ORDER(list_volumes, PROTO_VOLUME_LIST, "")
ORDER(show_volume, PROTO_VOLUME_SHOW, lab_get()->volume)
ORDER(volume_key, PROTO_VOLUME_KEY, lab_get()->volume)
ORDER(destroy_volume, PROTO_VOLUME_DESTROY, lab_get()->volume)
ORDER(read_log, PROTO_AUDIT, "")
ORDER(verify_log, PROTO_AUDIT_VERIFY, "")
ORDER(certificate, PROTO_CERTIFICATE, "gone")
ORDER(list_requests, PROTO_REQUEST_LIST, "")
ORDER(zeroize, PROTO_ZEROIZE, "")
ORDER(change_root, PROTO_CUSTODY_CHANGE, "file")
ORDER(ledger, PROTO_LEDGER, "")

static int create_volume(void)
{
	struct proto_msg msg = {.type = PROTO_VOLUME_CREATE, .serial = 1};

	msg.volume_create.size_bytes = 1 << 20;
	msg.volume_create.sector_bytes = 4096;
	(void)strcpy(msg.volume_create.level, "red");
	(void)strcpy(msg.volume_create.cipher, "aes-cbc-essiv:sha256");
	(void)strcpy(msg.volume_create.path, "/new.img");
	int made = small_keyd_ask(SMALL_ADMIN, &msg);
	return made == PROTO_OK ? small_keyd_order(PROTO_VOLUME_COMMIT, "") : made;
}

/* The file is as long as keyd is told: the lab has none. */
static int grow_volume(void)
{
	struct proto_msg msg = {.type = PROTO_VOLUME_RESIZE, .serial = 1};

	msg.volume_resize.size_bytes = 2 << 20;
	msg.volume_resize.commit = 1;
	(void)strcpy(msg.volume_resize.id, lab_get()->volume);
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

static int relocate_volume(void)
{
	struct proto_msg msg = {.type = PROTO_VOLUME_RELOCATE, .serial = 1};

	(void)strcpy(msg.volume_relocate.uuid, lab_get()->volume);
	(void)strcpy(msg.volume_relocate.path, "/new.img");
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

/* The record is of another path: the tgtd's, which has the volume, counts. */
static int attach_elsewhere(void)
{
	struct proto_msg msg = {.type = PROTO_ATTACH, .serial = 2};

	(void)strcpy(msg.attach.path, "/moved.img");
	memcpy(msg.attach.uuid, lab_get()->volume, sizeof(lab_get()->volume));
	return small_keyd_ask(SMALL_TGTD, &msg);
}

/* A path that is not learned costs no key: the answer alone does not tell. */
static int attach_and_learn(void)
{
	int status = attach_elsewhere();

	if (status == PROTO_OK && !keystore_volume_at(&small_keyd.store, "/moved.img", 0))
		return PROTO_FAILED;
	return status;
}

/* Whatever changes something, or gives a key out. */
static void a_path_names_no_volume(void **state)
{
	struct proto_msg resize = {.type = PROTO_VOLUME_RESIZE, .serial = 1};
	struct proto_msg emergency = {.type = PROTO_DESTROY_EMERGENCY, .serial = 1};

	(void)state;
	small_keyd_reset();
	assert_int_equal(small_keyd_start(), 0);
	(void)strcpy(resize.volume_resize.id, "/red.img");
	(void)strcpy(emergency.emergency.id, "/red.img");
	assert_int_equal(small_keyd_order(PROTO_VOLUME_SHOW, "/red.img"), PROTO_OK);
	assert_int_equal(small_keyd_order(PROTO_VOLUME_KEY, "/red.img"), PROTO_INVALID);
	assert_int_equal(small_keyd_order(PROTO_VOLUME_DESTROY, "/red.img"), PROTO_INVALID);
	assert_int_equal(small_keyd_ask(SMALL_ADMIN, &resize), PROTO_INVALID);
	assert_int_equal(small_keyd_ask(SMALL_ADMIN, &emergency), PROTO_INVALID);
	assert_int_equal(relocate_volume(), PROTO_OK);
	assert_non_null(keystore_volume_at(&small_keyd.store, "/new.img", 0));
	sweep_greet();
	assert_int_equal(attach_elsewhere(), PROTO_OK); /* and is learned */
	assert_non_null(keystore_volume_at(&small_keyd.store, "/moved.img", 0));
	assert_int_equal(relocate_volume(), PROTO_OK);
	assert_int_equal(attach_elsewhere(), PROTO_OK); /* but not as often as a tgtd likes */
	assert_non_null(keystore_volume_at(&small_keyd.store, "/new.img", 0));
	small_keyd_end();
}

SWEEP(keyd_tells_its_state, .prepare = sweep_hold, .give = status)
SWEEP(a_level_is_made_or_not, .give = create_level)
SWEEP(levels_are_listed, .prepare = sweep_hold, .give = list_levels)
SWEEP(a_level_is_shown, .give = show_red)
SWEEP(a_destroyed_level_is_shown, .give = show_gone)
SWEEP(a_level_is_suspended_or_not, .prepare = sweep_hold, .give = suspend_red)
SWEEP(a_level_is_resumed_or_not, .prepare = sweep_hold, .give = resume_blue)
SWEEP(a_level_is_destroyed_or_not, .prepare = sweep_hold, .give = destroy_red)
SWEEP(volumes_are_listed, .give = list_volumes)
SWEEP(a_volume_is_shown, .prepare = sweep_hold, .give = show_volume)
SWEEP(a_volume_is_made_or_not, .give = create_volume)
SWEEP(a_volume_grows_or_not, .give = grow_volume)
SWEEP(a_volume_moves_or_not, .give = relocate_volume)
SWEEP(a_tgtd_tells_where_a_volume_is, .prepare = sweep_greet, .give = attach_and_learn)
SWEEP(a_key_is_given_out_or_not, .give = volume_key)
SWEEP(a_volume_is_destroyed_or_not, .prepare = sweep_hold, .give = destroy_volume)
SWEEP(the_log_is_read, .give = read_log)
SWEEP(the_log_is_verified, .give = verify_log)
SWEEP(a_certificate_is_shown, .give = certificate)
SWEEP(requests_are_listed, .give = list_requests)
SWEEP(the_root_key_is_changed_or_not, .give = change_root)
SWEEP(the_ledger_is_read, .give = ledger)
SWEEP(a_tgtd_is_greeted, .give = sweep_hello)
SWEEP(a_tgtd_gets_its_key_or_not, .prepare = sweep_greet, .give = sweep_attach)
SWEEP(a_store_is_zeroized_or_not, .prepare = sweep_hold, .give = zeroize)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keyd_tells_its_state),
		cmocka_unit_test(a_level_is_made_or_not),
		cmocka_unit_test(levels_are_listed),
		cmocka_unit_test(a_level_is_shown),
		cmocka_unit_test(a_destroyed_level_is_shown),
		cmocka_unit_test(a_level_is_suspended_or_not),
		cmocka_unit_test(a_level_is_resumed_or_not),
		cmocka_unit_test(a_level_is_destroyed_or_not),
		cmocka_unit_test(volumes_are_listed),
		cmocka_unit_test(a_volume_is_shown),
		cmocka_unit_test(a_volume_is_made_or_not),
		cmocka_unit_test(a_volume_grows_or_not),
		cmocka_unit_test(a_path_names_no_volume),
		cmocka_unit_test(a_volume_moves_or_not),
		cmocka_unit_test(a_tgtd_tells_where_a_volume_is),
		cmocka_unit_test(a_key_is_given_out_or_not),
		cmocka_unit_test(a_volume_is_destroyed_or_not),
		cmocka_unit_test(the_log_is_read),
		cmocka_unit_test(the_log_is_verified),
		cmocka_unit_test(a_certificate_is_shown),
		cmocka_unit_test(requests_are_listed),
		cmocka_unit_test(the_root_key_is_changed_or_not),
		cmocka_unit_test(the_ledger_is_read),
		cmocka_unit_test(a_tgtd_is_greeted),
		cmocka_unit_test(a_tgtd_gets_its_key_or_not),
		cmocka_unit_test(a_store_is_zeroized_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
