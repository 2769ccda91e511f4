/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Whichever call fails while the key store is made, unlocked or gets another root key, it is whole and can be opened. */
#include "sweep.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "../fuzz/lab.h"

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	return ftw->level ? remove(path) : 0;
}

static void empty_store(void)
{
	assert_int_equal(nftw(lab_get()->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

ORDER(init, PROTO_INIT, "file")
ORDER(zeroize, PROTO_ZEROIZE, "")
ORDER(to_file, PROTO_CUSTODY_CHANGE, "file")

static int init_with_passphrase(void)
{
	return sweep_with_passphrase(PROTO_INIT_PASSPHRASE, "passphrase");
}

static int to_passphrase(void)
{
	return sweep_with_passphrase(PROTO_CUSTODY_CHANGE, "passphrase");
}

static int unlock(void)
{
	return sweep_with_passphrase(PROTO_UNLOCK, "");
}

static void begin(void)
{
	assert_int_equal(small_keyd_start(), 0);
	small_keyd_settle();
}

static void move_to_passphrase(void)
{
	begin();
	assert_int_equal(to_passphrase(), PROTO_OK);
	small_keyd_end();
}

static void zeroize_first(void)
{
	begin();
	assert_int_equal(zeroize(), PROTO_OK);
	small_keyd_end();
}

SWEEP(a_store_is_made_or_not, .before_start = empty_store, .give = init)
SWEEP(a_store_with_a_passphrase_is_made_or_not, .before_start = empty_store,
	.give = init_with_passphrase)
SWEEP(a_zeroized_store_is_left_or_not, .before_start = zeroize_first, .give = init,
	.between = "closed 0 waiting")
SWEEP(a_store_gets_a_passphrase_or_not, .give = to_passphrase)
SWEEP(a_store_is_unlocked_or_not, .before_start = move_to_passphrase, .locked = true,
	.give = unlock)
SWEEP(a_store_loses_its_passphrase_or_not, .before_start = move_to_passphrase, .give = to_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_is_made_or_not),
		cmocka_unit_test(a_store_with_a_passphrase_is_made_or_not),
		cmocka_unit_test(a_zeroized_store_is_left_or_not),
		cmocka_unit_test(a_store_gets_a_passphrase_or_not),
		cmocka_unit_test(a_store_is_unlocked_or_not),
		cmocka_unit_test(a_store_loses_its_passphrase_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
