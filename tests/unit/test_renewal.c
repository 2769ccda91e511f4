/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Another key for a volume: it takes the old one's place, with a header of its own, and no other comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>
#include <libcryptsetup.h>

#include "../../keyd/common/secret.h"
#include "../../keyd/destroy/erasure.h"
#include "../../keyd/store/keystore.h"
#include "scratch.h"

static struct keystore ks; /* in scratch/s */
static char uuid[PROTO_UUID_BYTES], key_file[512], old_file[512];
static uint8_t *key; /* the volume's, as it was asked for last */

/* As the transaction writes it: the last part is what the loader needs. */
static const char body[] =
	"{\"type\":\"x\",\"sanitization\":3,\"volumes\":[{\"path\":\"/srv/a\"}]}";

static struct volume *find(void)
{
	struct volume *volume = keystore_volume(&ks, uuid);

	assert_non_null(volume);
	return volume;
}

static struct volume *reopen(void)
{
	keystore_close(&ks);
	assert_int_equal(keystore_open(&ks, scratch_path("s"), NULL), 0);
	return find();
}

static void copy(const char *from, const char *to)
{
	size_t len;
	char *data = scratch_read(from, &len);

	assert_non_null(data);
	assert_int_equal(scratch_write(to, data, len), 0);
	free(data);
}

static int make_volume(void **state)
{
	const struct volume_spec spec = {"/srv/a", cipher_default(), 512, 1024 * 1024};
	struct volume_draft draft;
	struct volume *volume;
	struct level *level;

	key = secret_alloc(CIPHER_KEY_MAX);
	if (!key || scratch_make(state) || keystore_open(&ks, scratch_path("s"), NULL) ||
		keystore_init(&ks, "file", NULL) || keystore_level_create(&ks, "l", &level) ||
		keystore_volume_prepare(&ks, level, &spec, &draft) ||
		keystore_volume_commit(&ks, &draft, &volume))
		return -1;
	memcpy(uuid, volume->uuid, sizeof(uuid));
	(void)snprintf(key_file, sizeof(key_file), "%s/s/levels/l/volumes/%s.key", scratch, uuid);
	(void)snprintf(old_file, sizeof(old_file), "%s/old", scratch);
	copy(key_file, old_file);
	return 0;
}

static int remove_volume(void **state)
{
	secret_free(key);
	keystore_close(&ks);
	return scratch_remove(state);
}

static void say(enum record_state state)
{
	const struct scope scope = {.level = find()->level, .volume = find()};

	assert_int_equal(erasure_write_sanitize(&ks, &scope, state, body), 0);
}

static void renew(void)
{
	struct volume_renewal renewal;

	assert_int_equal(keystore_renewal_prepare(&ks, find(), &renewal), 0);
	assert_int_equal(keystore_renewal_commit(&ks, find(), &renewal), 0);
	keystore_renewal_discard(&renewal);
}

static bool fits(int fd, const uint8_t *with)
{
	struct crypt_device *cd;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
	assert_string_equal(crypt_get_uuid(cd), uuid);
	int rc = crypt_volume_key_verify(cd, (const char *)with, cipher_default()->key_bytes);
	crypt_free(cd);
	return rc >= 0;
}

static void another_key_takes_the_place(void **state)
{
	char before[FINGERPRINT_BYTES];
	uint8_t old[CIPHER_KEY_MAX];
	int fd = -1;

	(void)state;
	memcpy(before, find()->fingerprint, sizeof(before));
	assert_int_equal(keystore_volume_key(&ks, find(), key), 0);
	memcpy(old, key, sizeof(old));
	renew();
	assert_string_not_equal(find()->fingerprint, before);
	assert_true(find()->header_due);
	assert_int_equal(keystore_volume_key(&ks, find(), key), 0);
	assert_memory_not_equal(key, old, 32);
	assert_int_equal(keystore_volume_header(find(), key, &fd), 0);
	assert_true(fits(fd, key));
	assert_false(fits(fd, old));
}

static void what_is_only_prepared_changes_nothing(void **state)
{
	struct volume_renewal renewal;
	char before[FINGERPRINT_BYTES];

	(void)state;
	memcpy(before, find()->fingerprint, sizeof(before));
	assert_int_equal(keystore_renewal_prepare(&ks, find(), &renewal), 0);
	keystore_renewal_discard(&renewal);
	assert_string_equal(find()->fingerprint, before);
	assert_false(find()->header_due);
	assert_int_equal(keystore_volume_key(&ks, reopen(), key), 0);
}

static void the_header_is_the_same_for_all_and_cannot_be_changed(void **state)
{
	int first = -1, second = -1;

	(void)state;
	renew();
	assert_int_equal(keystore_volume_key(&ks, find(), key), 0);
	assert_int_equal(keystore_volume_header(find(), key, &first), 0);
	assert_int_equal(keystore_volume_header(find(), key, &second), 0);
	assert_int_equal(first, second);
	assert_int_equal(pwrite(first, "x", 1, 0), -1);
	assert_int_equal(ftruncate(first, 0), -1);
	keystore_forget_header(find());
	assert_false(find()->header_due);
}

static void a_header_that_is_due_is_due_after_a_restart(void **state)
{
	int fd = -1;

	(void)state;
	renew();
	say(RECORD_HEADER_DUE);
	const struct volume *volume = reopen();
	assert_int_equal(volume->state, KEY_ACTIVE);
	assert_true(volume->header_due);
	assert_int_equal(volume->sanitized, 3);
	assert_int_equal(keystore_volume_key(&ks, find(), key), 0);
	assert_int_equal(keystore_volume_header(find(), key, &fd), 0);
	assert_true(fits(fd, key));
	say(RECORD_RENEWED);
	assert_false(reopen()->header_due);
	assert_int_equal(find()->state, KEY_ACTIVE);
}

static void no_key_leaves_while_it_is_being_replaced(void **state)
{
	static const enum record_state states[] = {RECORD_REVOKING, RECORD_ERASING};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		say(states[i]);
		const struct volume *volume = reopen();
		assert_int_equal(keystore_volume_state(volume), KEY_SANITIZING);
		assert_string_equal(volume->path, "/srv/a");
		assert_ptr_equal(volume->cipher, cipher_default());
		assert_int_equal(volume->sector_bytes, 512);
		assert_int_equal(volume->size_bytes, 1024 * 1024);
	}
	assert_int_equal(unlink(key_file), 0); /* erased: the statement knows enough */
	assert_int_equal(reopen()->state, KEY_SANITIZING);
	renew();
	say(RECORD_HEADER_DUE);
	assert_int_equal(reopen()->state, KEY_ACTIVE);
}

static void an_older_key_file_does_not_come_back(void **state)
{
	(void)state;
	renew();
	say(RECORD_RENEWED);
	assert_int_equal(reopen()->state, KEY_ACTIVE);
	copy(old_file, key_file);
	assert_int_equal(
		keystore_volume_key(&ks, find(), key), -EBADMSG); /* under a running keyd */
	assert_int_equal(reopen()->state, KEY_DAMAGED);
}

static void a_damaged_statement_keeps_the_key_in(void **state)
{
	char file[512];
	size_t len;

	(void)state;
	say(RECORD_RENEWED);
	(void)snprintf(file, sizeof(file), "%s/s/levels/l/volumes/%s.sanitize", scratch, uuid);
	char *data = scratch_read(file, &len);
	assert_non_null(data);
	data[len / 2] ^= 1;
	assert_int_equal(scratch_write(file, data, len), 0);
	free(data);
	assert_int_equal(reopen()->state, KEY_DAMAGED);
	assert_int_equal(find()->level->state, KEY_ACTIVE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_volume, remove_volume)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_key_takes_the_place),
		TEST(what_is_only_prepared_changes_nothing),
		TEST(the_header_is_the_same_for_all_and_cannot_be_changed),
		TEST(a_header_that_is_due_is_due_after_a_restart),
		TEST(no_key_leaves_while_it_is_being_replaced),
		TEST(an_older_key_file_does_not_come_back),
		TEST(a_damaged_statement_keeps_the_key_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
