/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/store/keystore_backup.h: a level goes from one store to another, whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "erasure.h"
#include "keystore_backup.h"
#include "secret.h"
#include "scratch.h"
#include "zeroize_medium.h"

static struct keystore here, there; /* scratch/here, scratch/there */
static uint8_t *package;
static size_t package_len;

static void reopen(struct keystore *ks, const char *name)
{
	keystore_close(ks);
	assert_int_equal(keystore_open(ks, scratch_path(name), NULL), 0);
}

static struct volume *add_volume(struct level *level, const char *path, const char *cipher)
{
	const struct volume_spec spec = {
		.path = path,
		.cipher = cipher_find(cipher),
		.sector_bytes = 4096,
		.size_bytes = 1024 * 1024,
	};
	struct volume_draft draft;
	struct volume *volume = NULL;

	assert_int_equal(keystore_volume_prepare(&here, level, &spec, &draft), 0);
	assert_int_equal(keystore_volume_commit(&here, &draft, &volume), 0);
	return volume;
}

/* Level red of store here, with two volumes, in package. */
static void export_red(void)
{
	struct level *red = keystore_level(&here, "red");
	struct package_head head = {.id = "exp-0123456789abcdef", .levels = 1};
	struct package_writer w = {.cap_bytes = 64 * 1024};
	const struct volume *bad;

	secret_free(package);
	w.bytes = package = secret_alloc(w.cap_bytes);
	assert_non_null(package);
	assert_int_equal(package_begin(&w, &head), 0);
	assert_int_equal(keystore_export_level(&here, red, &w, &bad), 0);
	assert_int_equal(package_end(&w), 0);
	package_len = w.used_bytes;
	assert_int_equal(package_check(package, package_len), 0);
}

static int make_stores(void **state)
{
	struct level *red;

	if (scratch_make(state) || keystore_open(&here, scratch_path("here"), NULL) ||
		keystore_init(&here, "file", NULL) ||
		keystore_open(&there, scratch_path("there"), NULL) ||
		keystore_init(&there, "file", NULL) || keystore_level_create(&here, "red", &red))
		return -1;
	(void)add_volume(red, "/srv/a", "aes-cbc-essiv:sha256");
	(void)add_volume(red, "/srv/b", "aes-xts-plain64");
	export_red();
	return 0;
}

static int remove_stores(void **state)
{
	secret_free(package);
	package = NULL;
	keystore_close(&here);
	keystore_close(&there);
	return scratch_remove(state);
}

static void open_red(struct package_reader *r, struct package_level *from)
{
	struct package_head head;

	assert_int_equal(package_open(r, package, package_len, &head), 0);
	assert_int_equal(package_next_level(r, from), 0);
}

static enum import_obstacle obstacle(struct keystore *ks, bool force)
{
	struct package_level from;
	const struct volume *volume;
	struct package_reader r;

	open_red(&r, &from);
	return keystore_import_obstacle(ks, &from, r, force, &volume);
}

static int import_red(struct keystore *ks, struct level **level)
{
	struct package_level from;
	struct package_reader r;

	open_red(&r, &from);
	return keystore_import_level(ks, &from, &r, level);
}

static void assert_same_key(const char *path)
{
	struct volume *one = keystore_volume_at(&here, path, 0),
		      *other = keystore_volume_at(&there, path, 0);
	uint8_t *key = secret_alloc(CIPHER_KEY_MAX), *same = secret_alloc(CIPHER_KEY_MAX);

	assert_non_null(one);
	assert_non_null(other);
	assert_string_equal(one->uuid, other->uuid);
	assert_string_equal(one->fingerprint, other->fingerprint);
	assert_int_equal(other->size_bytes, 1024 * 1024);
	assert_int_equal(other->data_offset_bytes, one->data_offset_bytes);
	assert_int_equal(keystore_volume_key(&here, one, key), 0);
	assert_int_equal(keystore_volume_key(&there, other, same), 0);
	assert_memory_equal(key, same, one->cipher->key_bytes);
	secret_free(key);
	secret_free(same);
}

static void a_level_comes_back_in_another_store(void **state)
{
	struct level *red = NULL;

	(void)state;
	assert_int_equal(obstacle(&there, false), IMPORT_FREE);
	assert_int_equal(import_red(&there, &red), 0);
	assert_ptr_equal(red, keystore_level(&there, "red"));
	for (int restarted = 0; restarted < 2; restarted++) {
		red = keystore_level(&there, "red");
		assert_int_equal(red->state, KEY_ACTIVE);
		assert_int_equal(red->volume_count, 2);
		assert_string_equal(red->fingerprint, keystore_level(&here, "red")->fingerprint);
		assert_same_key("/srv/a");
		assert_same_key("/srv/b");
		reopen(&there, "there");
	}
}

static void a_suspended_level_stays_suspended(void **state)
{
	struct level *red = keystore_level(&here, "red");

	(void)state;
	assert_int_equal(keystore_level_set_state(&here, red, KEY_SUSPENDED), 0);
	export_red();
	assert_int_equal(import_red(&there, &red), 0);
	assert_int_equal(red->state, KEY_SUSPENDED);
	reopen(&there, "there");
	assert_int_equal(keystore_level(&there, "red")->state, KEY_SUSPENDED);
}

static void a_damaged_key_is_not_exported(void **state)
{
	struct package_writer w = {.cap_bytes = 64 * 1024};
	struct level *red = keystore_level(&here, "red");
	const struct volume *bad = NULL;
	char name[256];

	(void)state;
	(void)snprintf(name, sizeof(name), "here/levels/red/volumes/%s.key", red->volumes[1]->uuid);
	assert_int_equal(scratch_write(scratch_path(name), "garbage", 7), 0);
	w.bytes = secret_alloc(w.cap_bytes);
	assert_int_equal(keystore_export_level(&here, red, &w, &bad), -EBADMSG);
	assert_ptr_equal(bad, red->volumes[1]);
	assert_int_equal(bad->state, KEY_DAMAGED);
	secret_free(w.bytes);
}

static void what_is_there_is_in_the_way(void **state)
{
	struct level *level, *blue;

	(void)state;
	assert_int_equal(obstacle(&here, false), IMPORT_LEVEL_EXISTS);
	assert_int_equal(obstacle(&here, true), IMPORT_LEVEL_EXISTS);
	/* Another level of that store has the volume. */
	assert_int_equal(import_red(&there, &level), 0);
	assert_int_equal(keystore_level_create(&here, "blue", &blue), 0);
	keystore_close(&there);
	(void)strcpy(keystore_level(&here, "red")->name, "other"); /* in the index only */
	assert_int_equal(obstacle(&here, false), IMPORT_UUID_TAKEN);
	(void)strcpy(keystore_volume_at(&here, "/srv/a", 0)->uuid,
		"01234567-89ab-4cde-8f01-23456789abcd");
	(void)strcpy(keystore_volume_at(&here, "/srv/b", 0)->uuid,
		"11234567-89ab-4cde-8f01-23456789abcd");
	assert_int_equal(obstacle(&here, false), IMPORT_FREE); /* equal paths are in nobody's way */
}

static void destroy_red(struct keystore *ks, const char *name)
{
	const struct scope scope = {.level = keystore_level(ks, "red")};

	assert_int_equal(erasure_write_tombstone(ks, &scope, 1234567890, "{\"volumes\":[]}"), 0);
	assert_int_equal(erasure_write_certificate(ks, &scope, "{}"), 0);
	reopen(ks, name);
	assert_int_equal(keystore_level(ks, "red")->state, KEY_DESTROYED);
}

static bool is_there(const char *name)
{
	struct stat st;

	return !stat(scratch_path(name), &st);
}

static void a_destroyed_level_comes_back_only_when_somebody_insists(void **state)
{
	static const char *const former[] = {
		"here/levels/red/before/destroyed", "here/levels/red/before/before/destroyed"};
	struct level *red;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		destroy_red(&here, "here");
		assert_int_equal(obstacle(&here, false), IMPORT_LEVEL_DESTROYED);
		assert_int_equal(obstacle(&here, true), IMPORT_FREE);
		assert_int_equal(import_red(&here, &red), 0);
		assert_int_equal(red->state, KEY_SUSPENDED);
		assert_int_equal(red->volume_count, 2);
		reopen(&here, "here");
		assert_int_equal(keystore_level(&here, "red")->state, KEY_SUSPENDED);
		assert_true(is_there(former[i]));
		assert_false(is_there("here/levels/.new-red"));
	}
	assert_int_equal(import_red(&there, &red), 0);
	assert_same_key("/srv/a");
}

static void erase(const struct scope *scope)
{
	struct erasure_progress progress = {0};

	while (erasure_step(&here, scope, 1, &progress))
		;
	assert_int_equal(progress.first_error, 0);
}

static uint64_t key_files(const struct scope *scope)
{
	struct erasure_findings findings;

	assert_int_equal(erasure_verify(&here, scope, &findings), 0);
	return findings.files_left;
}

/* destroy_red() leaves the keys where they are: as if they had been put back beside the tombstone. */
static void keys_of_the_level_that_was_before_are_erased_and_counted(void **state)
{
	static const char staging[] = "here/levels/red/before/before/volumes/.new-x";
	struct level *red;
	uint64_t left;

	(void)state;
	for (int i = 0; i < 2; i++) {
		destroy_red(&here, "here");
		assert_int_equal(import_red(&here, &red), 0);
	}
	assert_true(is_there("here/levels/red/before/before/level.key"));
	assert_int_equal(scratch_write(scratch_path(staging), "x", 1), 0);
	assert_int_equal(scratch_write(scratch_path("here/levels/red/.next-level.key"), "x", 1), 0);
	assert_int_equal(mkdir(scratch_path("here/levels/.new-red"), 0700), 0);
	assert_int_equal(scratch_write(scratch_path("here/levels/.new-red/level.key"), "x", 1), 0);
	assert_int_equal(zeroize_medium_left(here.dir_fd, &left), 0);

	const struct scope level = {.level = red};
	const struct scope a = {.level = red, .volume = keystore_volume_at(&here, "/srv/a", 0)};
	const struct scope b = {.level = red, .volume = keystore_volume_at(&here, "/srv/b", 0)};
	assert_int_equal(key_files(&a), 3);
	assert_int_equal(
		key_files(&level), 3 + 6 + 3); /* levels' keys, volumes' keys, the others */
	erase(&a);
	assert_int_equal(key_files(&a), 0);
	assert_int_equal(key_files(&b), 3);
	erase(&level);
	assert_int_equal(key_files(&level), 0);
	assert_int_equal(key_files(&b), 0);
	assert_true(is_there("here/levels/red/before/certificate.json"));
	/* root.key, two tombstones in before/ and before/before/: nothing else was left to erase. */
	uint64_t before = left;
	assert_int_equal(zeroize_medium_left(here.dir_fd, &left), 0);
	assert_int_equal(before - left, 3 + 6 + 3);
}

static void zeroizing_reaches_the_level_that_was_before(void **state)
{
	struct erasure_progress progress = {0};
	struct level *red;
	uint64_t left;

	(void)state;
	for (int i = 0; i < 2; i++) {
		destroy_red(&here, "here");
		assert_int_equal(import_red(&here, &red), 0);
	}
	while (zeroize_medium_step(here.dir_fd, 1, &progress))
		;
	assert_int_equal(progress.first_error, 0);
	assert_int_equal(zeroize_medium_left(here.dir_fd, &left), 0);
	assert_int_equal(left, 1); /* root.key */
	assert_false(is_there("here/levels/red/before/before/level.key"));
	assert_true(is_there("here/levels/red/before/before/certificate.json"));
	const struct scope level = {.level = red};
	assert_int_equal(key_files(&level), 0);
}

static void a_name_that_looks_like_a_uuid_needs_force(void **state)
{
	struct package_level from;
	const struct volume *volume;
	struct package_reader r;

	(void)state;
	open_red(&r, &from);
	(void)strcpy(from.name, "894A2AE5-5696-406b-be31-262df2837e95");
	assert_int_equal(
		keystore_import_obstacle(&there, &from, r, false, &volume), IMPORT_NAME_IS_UUID);
	assert_int_equal(keystore_import_obstacle(&there, &from, r, true, &volume), IMPORT_FREE);
}

static void a_destroyed_name_takes_no_other_key(void **state)
{
	struct level *red;

	(void)state;
	assert_int_equal(keystore_level_create(&there, "red", &red), 0);
	destroy_red(&there, "there");
	assert_int_equal(obstacle(&there, true), IMPORT_OTHER_KEY);
}

static void a_volume_that_is_there_twice_spoils_all_of_it(void **state)
{
	struct level *red = keystore_level(&here, "red");
	char uuid[PROTO_UUID_BYTES];

	(void)state;
	memcpy(uuid, red->volumes[0]->uuid, sizeof(uuid));
	size_t at = (size_t)((uint8_t *)memmem(package, package_len, red->volumes[1]->uuid, 36) -
			     package);
	memcpy(package + at, uuid, 36);
	size_t covered = package_len - SHA256_DIGEST_LENGTH;
	assert_non_null(SHA256(package, covered, package + covered));
	assert_int_equal(import_red(&there, &red), -EBADMSG);
	assert_null(keystore_level(&there, "red"));
	assert_false(is_there("there/levels/.new-red"));
	assert_false(is_there("there/levels/red"));
}

static void what_a_crash_left_is_erased_at_the_next_start(void **state)
{
	(void)state;
	assert_int_equal(mkdir(scratch_path("there/levels/.new-red"), 0700), 0);
	assert_int_equal(mkdir(scratch_path("there/levels/.new-red/volumes"), 0700), 0);
	assert_int_equal(scratch_write(scratch_path("there/levels/.new-red/level.key"), "x", 1), 0);
	assert_int_equal(
		scratch_write(scratch_path("there/levels/.new-red/volumes/a.key"), "x", 1), 0);
	reopen(&there, "there");
	assert_null(keystore_level(&there, "red"));
	assert_false(is_there("there/levels/.new-red"));
	assert_int_equal(obstacle(&there, false), IMPORT_FREE);
}

static void a_crash_after_the_exchange_keeps_the_former_level(void **state)
{
	struct level *red;

	(void)state;
	assert_int_equal(import_red(&there, &red), 0);
	assert_int_equal(mkdir(scratch_path("there/levels/.new-red"), 0700), 0);
	assert_int_equal(scratch_write(scratch_path("there/levels/.new-red/destroyed"), "x", 1), 0);
	reopen(&there, "there");
	assert_int_equal(keystore_level(&there, "red")->state, KEY_ACTIVE);
	assert_true(is_there("there/levels/red/before/destroyed"));
	assert_false(is_there("there/levels/.new-red"));
	assert_same_key("/srv/b");
}

/* A crash in keystore_level_create() leaves directories without a key. */
static void an_empty_directory_is_not_in_the_way(void **state)
{
	struct level *red;

	(void)state;
	assert_int_equal(mkdir(scratch_path("there/levels/red"), 0700), 0);
	assert_int_equal(mkdir(scratch_path("there/levels/red/volumes"), 0700), 0);
	reopen(&there, "there");
	assert_int_equal(import_red(&there, &red), 0);
	assert_false(is_there("there/levels/.new-red"));
	reopen(&there, "there");
	assert_same_key("/srv/a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_stores, remove_stores)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_level_comes_back_in_another_store),
		TEST(a_suspended_level_stays_suspended),
		TEST(a_damaged_key_is_not_exported),
		TEST(what_is_there_is_in_the_way),
		TEST(a_destroyed_level_comes_back_only_when_somebody_insists),
		TEST(keys_of_the_level_that_was_before_are_erased_and_counted),
		TEST(zeroizing_reaches_the_level_that_was_before),
		TEST(a_name_that_looks_like_a_uuid_needs_force),
		TEST(a_destroyed_name_takes_no_other_key),
		TEST(a_volume_that_is_there_twice_spoils_all_of_it),
		TEST(what_a_crash_left_is_erased_at_the_next_start),
		TEST(a_crash_after_the_exchange_keeps_the_former_level),
		TEST(an_empty_directory_is_not_in_the_way),
	};
	return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
