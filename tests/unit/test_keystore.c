/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The key store: what is stored comes back, and what was touched by anybody else does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/destroy/erasure.h"
#include "../../keyd/store/keystore.h"
#include "../../keyd/store/record.h"
#include "../../keyd/common/secret.h"
#include "scratch.h"

/* The store of a test, in scratch/s. */
static struct keystore ks;

static void reopen(void)
{
	keystore_close(&ks);
	assert_int_equal(keystore_open(&ks, scratch_path("s"), NULL), 0);
}

static int make_store(void **state)
{
	if (scratch_make(state))
		return -1;
	return keystore_open(&ks, scratch_path("s"), NULL) || keystore_init(&ks, "file", NULL);
}

static int remove_store(void **state)
{
	keystore_close(&ks);
	return scratch_remove(state);
}

static struct level *add_level(const char *name)
{
	struct level *level = NULL;

	assert_int_equal(keystore_level_create(&ks, name, &level), 0);
	return level;
}

static struct volume *add_volume(struct level *level, const char *path)
{
	const struct volume_spec spec = {
		.path = path,
		.cipher = cipher_default(),
		.sector_bytes = 4096,
		.size_bytes = 1024 * 1024,
	};
	struct volume_draft draft;
	struct volume *volume = NULL;

	assert_int_equal(keystore_volume_prepare(&ks, level, &spec, &draft), 0);
	assert_int_equal(keystore_volume_commit(&ks, &draft, &volume), 0);
	return volume;
}

/* The key of volume, in memory that the caller gives back; NULL when it is not to be had. */
static uint8_t *key_of(struct volume *volume)
{
	uint8_t *key = secret_alloc(CIPHER_KEY_MAX);

	assert_non_null(key);
	if (!keystore_volume_key(&ks, volume, key))
		return key;
	secret_free(key);
	return NULL;
}

static const char *level_file(const char *level)
{
	char name[128];

	(void)snprintf(name, sizeof(name), "s/levels/%s/level.key", level);
	return scratch_path(name);
}

static const char *volume_file(const char *level, const char *uuid, const char *suffix)
{
	char name[256];

	(void)snprintf(name, sizeof(name), "s/levels/%s/volumes/%s%s", level, uuid, suffix);
	return scratch_path(name);
}

static void everything_comes_back_after_a_restart(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	char uuid[PROTO_UUID_BYTES];
	memcpy(uuid, volume->uuid, sizeof(uuid));
	uint8_t *before = key_of(volume);
	assert_non_null(before);

	reopen();
	volume = keystore_volume(&ks, uuid);
	assert_non_null(volume);
	assert_ptr_equal(keystore_volume_at(&ks, "/srv/a", 0), volume);
	assert_int_equal(keystore_volume_state(volume), KEY_ACTIVE);
	assert_int_equal(volume->size_bytes, 1024 * 1024);
	assert_int_equal(volume->sector_bytes, 4096);
	assert_string_equal(volume->cipher->name, cipher_default()->name);
	uint8_t *after = key_of(volume);
	assert_non_null(after);
	assert_memory_equal(before, after, volume->cipher->key_bytes);
	secret_free(before);
	secret_free(after);
}

/* In place of the C library's: the syncs_left-th call fails; negative: none does. */
static int syncs_left = -1, syncs;

int fsync(int fd)
{
	syncs++;
	if (syncs_left >= 0 && !syncs_left--) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

static void a_larger_volume_has_its_key_and_comes_back(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	uint8_t *before = key_of(volume);

	assert_int_equal(keystore_volume_resize(&ks, volume, 4 * 1024 * 1024), 0);
	assert_int_equal(volume->size_bytes, 4 * 1024 * 1024);
	reopen();
	volume = keystore_volume_at(&ks, "/srv/a", 0);
	assert_int_equal(volume->size_bytes, 4 * 1024 * 1024);
	uint8_t *after = key_of(volume);
	assert_non_null(after);
	assert_memory_equal(before, after, volume->cipher->key_bytes);
	secret_free(before);
	secret_free(after);
}

static void a_size_that_nobody_serves_can_be_taken_back(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	const uint64_t mib = 1024 * 1024;

	assert_int_equal(volume->served_bytes, 0);
	assert_int_equal(keystore_volume_resize(&ks, volume, 1ULL << 62), 0);
	assert_int_equal(keystore_volume_resize(&ks, volume, 4 * mib), 0);
	reopen();
	volume = keystore_volume_at(&ks, "/srv/a", 0);
	assert_int_equal(volume->size_bytes, 4 * mib);
	assert_int_equal(volume->served_bytes, mib);
	assert_int_equal(keystore_volume_note_served(&ks, volume, 2 * mib), 0);
	assert_int_equal(keystore_volume_note_served(&ks, volume, mib), 0);
	reopen();
	volume = keystore_volume_at(&ks, "/srv/a", 0);
	assert_int_equal(volume->served_bytes, 2 * mib);
	secret_free(key_of(volume));
	assert_int_equal(volume->state, KEY_ACTIVE);
	assert_int_equal(keystore_volume_note_served(&ks, volume, 4 * mib), 0);
	assert_int_equal(volume->served_bytes, 0);
	reopen();
	volume = keystore_volume_at(&ks, "/srv/a", 0);
	assert_string_equal(volume->path, "/srv/a");
	assert_int_equal(volume->served_bytes, 0);
}

static void a_size_that_could_not_be_written_costs_no_key(void **state)
{
	uint64_t size_bytes = 1024 * 1024;

	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	syncs = 0;
	assert_int_equal(keystore_volume_resize(&ks, volume, size_bytes), 0);
	int needed = syncs;
	assert_true(needed >= 2); /* the file, its directory */
	for (int i = 0; i < needed; i++) {
		size_bytes += 4096;
		syncs_left = i;
		int rc = keystore_volume_resize(&ks, volume, size_bytes);
		syncs_left = -1;
		uint8_t *key = key_of(volume); /* what the index says is what the file says */
		assert_non_null(key);
		secret_free(key);
		uint64_t said = volume->size_bytes;
		assert_true(said == size_bytes || (rc && said < size_bytes));
		reopen();
		volume = keystore_volume_at(&ks, "/srv/a", 0);
		assert_int_equal(volume->size_bytes, said);
	}
}

/* A path is a hint: several volumes may have one, and a volume may get another. */
static void a_path_is_no_identity(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	struct volume *first = add_volume(level, "/srv/a"), *second = add_volume(level, "/srv/a");
	char uuid[PROTO_UUID_BYTES];

	memcpy(uuid, second->uuid, sizeof(uuid));
	assert_ptr_equal(keystore_volume_at(&ks, "/srv/a", 0), first);
	assert_ptr_equal(keystore_volume_at(&ks, "/srv/a", 1), second);
	assert_null(keystore_volume_at(&ks, "/srv/a", 2));
	assert_null(keystore_volume(&ks, "/srv/a"));
	assert_int_equal(keystore_volume_relocate(&ks, second, "/srv/b"), 0);
	reopen();
	second = keystore_volume(&ks, uuid);
	assert_string_equal(second->path, "/srv/b");
	uint8_t *key = key_of(second); /* what the index says is what the file says */
	assert_non_null(key);
	secret_free(key);
}

static void a_path_that_could_not_be_written_costs_no_key(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");

	for (int i = 0; i < 2; i++) {
		syncs_left = i;
		(void)!keystore_volume_relocate(
			&ks, volume, i ? "/srv/b" : "/srv/longer/than/before");
		syncs_left = -1;
		uint8_t *key = key_of(volume);
		assert_non_null(key);
		secret_free(key);
	}
}

static void a_damaged_volume_does_not_grow(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	assert_int_equal(truncate(volume_file("secret", volume->uuid, ".key"), 300), 0);
	assert_int_equal(keystore_volume_resize(&ks, volume, 4 * 1024 * 1024), -EBADMSG);
	assert_int_equal(volume->state, KEY_DAMAGED);
	assert_int_equal(volume->size_bytes, 1024 * 1024);
}

static void no_file_of_the_store_holds_a_key_in_the_clear(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	uint8_t *key = key_of(volume);
	size_t len = 0;

	assert_non_null(key);
	char *file = scratch_read(volume_file("secret", volume->uuid, ".key"), &len);
	assert_non_null(file);
	assert_null(memmem(file, len, key, 16));
	assert_null(memmem(file, len, key + 16, 16));
	free(file);
	secret_free(key);
}

static void suspension_outlasts_a_restart(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	assert_int_equal(keystore_level_set_state(&ks, level, KEY_SUSPENDED), 0);

	reopen();
	level = keystore_level(&ks, "secret");
	assert_int_equal(level->state, KEY_SUSPENDED);
	assert_int_equal(keystore_level_set_state(&ks, level, KEY_ACTIVE), 0);

	reopen();
	assert_int_equal(keystore_level(&ks, "secret")->state, KEY_ACTIVE);
}

static void a_name_is_used_once(void **state)
{
	(void)state;
	struct level *again;
	(void)add_level("secret");
	assert_int_equal(keystore_level_create(&ks, "secret", &again), -EEXIST);
}

static void a_draft_that_is_not_committed_leaves_nothing(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	const struct volume_spec spec = {"/srv/a", cipher_default(), 512, 512};
	struct volume_draft draft;

	assert_int_equal(keystore_volume_prepare(&ks, level, &spec, &draft), 0);
	keystore_volume_discard(&draft);
	reopen();
	assert_null(keystore_volume_at(&ks, "/srv/a", 0));
}

static void a_level_that_was_suspended_meanwhile_takes_no_volume(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	const struct volume_spec spec = {"/srv/a", cipher_default(), 512, 512};
	struct volume_draft draft;
	struct volume *volume;

	assert_int_equal(keystore_volume_prepare(&ks, level, &spec, &draft), 0);
	assert_int_equal(keystore_level_set_state(&ks, level, KEY_SUSPENDED), 0);
	assert_int_equal(keystore_volume_commit(&ks, &draft, &volume), -EACCES);
	keystore_volume_discard(&draft);
}

static void flip(const char *path, size_t at)
{
	size_t len = 0;
	char *file = scratch_read(path, &len);

	assert_non_null(file);
	assert_true(at < len);
	file[at] = (char)(file[at] ^ 1);
	assert_int_equal(scratch_write(path, file, len), 0);
	free(file);
}

/* Every byte: lengths, names, numbers, path, nonce, key and tag are all authenticated. */
static void a_flipped_bit_anywhere_damages_that_volume_alone(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	struct volume *hurt = add_volume(level, "/srv/a"), *other = add_volume(level, "/srv/b");
	const char *path = volume_file("secret", hurt->uuid, ".key");
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	for (size_t at = 0; at < (size_t)st.st_size; at++) {
		flip(path, at);
		hurt->state = KEY_ACTIVE;
		assert_null(key_of(hurt));
		assert_int_equal(hurt->state, KEY_DAMAGED);
		flip(path, at);
	}
	uint8_t *key = key_of(other);
	assert_non_null(key);
	secret_free(key);

	flip(path, (size_t)st.st_size / 2);
	reopen();
	assert_int_equal(keystore_volume_at(&ks, "/srv/b", 0)->state, KEY_ACTIVE);
	assert_int_equal(keystore_level(&ks, "secret")->state, KEY_ACTIVE);
	assert_int_equal(keystore_level(&ks, "secret")->volume_count, 2);
	assert_null(keystore_volume_at(&ks, "/srv/a", 0)); /* even its path is not believed */
}

static void a_file_cut_short_or_longer_is_damaged(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	const char *path = volume_file("secret", volume->uuid, ".key");
	size_t len = 0;
	char *file = scratch_read(path, &len);

	assert_non_null(file);
	for (size_t cut = 0; cut < len; cut++) {
		assert_int_equal(scratch_write(path, file, cut), 0);
		assert_null(key_of(volume));
	}
	assert_int_equal(scratch_write(path, file, len + 1), 0); /* with the NUL after it */
	assert_null(key_of(volume));
	assert_int_equal(scratch_write(path, file, len), 0);
	uint8_t *key = key_of(volume);
	assert_non_null(key);
	secret_free(key);
	free(file);
}

static void swapped_volume_files_are_damaged(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	struct volume *a = add_volume(level, "/srv/a"), *b = add_volume(level, "/srv/b");
	const char *path_a = volume_file("secret", a->uuid, ".key");
	const char *path_b = volume_file("secret", b->uuid, ".key");

	assert_int_equal(renameat2(AT_FDCWD, path_a, AT_FDCWD, path_b, RENAME_EXCHANGE), 0);
	assert_null(key_of(a));
	assert_null(key_of(b));
	reopen();
	const struct level *loaded = keystore_level(&ks, "secret");
	assert_int_equal(loaded->volume_count, 2);
	assert_int_equal(loaded->volumes[0]->state, KEY_DAMAGED);
	assert_int_equal(loaded->volumes[1]->state, KEY_DAMAGED);
}

static void a_renamed_level_is_damaged(void **state)
{
	(void)state;
	(void)add_volume(add_level("secret"), "/srv/a");
	assert_int_equal(rename(scratch_path("s/levels/secret"), scratch_path("s/levels/open")), 0);
	reopen();
	assert_null(keystore_level(&ks, "secret"));
	assert_int_equal(keystore_level(&ks, "open")->state, KEY_DAMAGED);
}

static void a_volume_moved_to_another_level_is_damaged(void **state)
{
	(void)state;
	struct volume *volume = add_volume(add_level("secret"), "/srv/a");
	(void)add_level("open");
	assert_int_equal(rename(volume_file("secret", volume->uuid, ".key"),
				 volume_file("open", volume->uuid, ".key")),
		0);
	reopen();
	assert_int_equal(keystore_level(&ks, "open")->volumes[0]->state, KEY_DAMAGED);
}

static void a_damaged_level_key_leaves_other_levels_alone(void **state)
{
	(void)state;
	(void)add_volume(add_level("secret"), "/srv/a");
	(void)add_volume(add_level("open"), "/srv/b");
	flip(level_file("secret"), 100);
	reopen();
	assert_int_equal(keystore_level(&ks, "secret")->state, KEY_DAMAGED);
	assert_int_equal(keystore_level(&ks, "open")->state, KEY_ACTIVE);
	assert_int_equal(keystore_volume_state(keystore_volume_at(&ks, "/srv/b", 0)), KEY_ACTIVE);
}

static void a_key_file_is_no_tombstone(void **state)
{
	(void)state;
	struct record rec;
	uint8_t *file;
	size_t len = 0;
	uint8_t key[WRAP_KEY_BYTES] = {1};
	const struct record written = {.kind = RECORD_TOMBSTONE, .level = "a", .body = NULL};

	assert_int_equal(record_seal(&written, key, NULL, 0, &file, &len), 0);
	assert_int_equal(record_open(file, len, RECORD_INTENT, key, &rec, NULL, 0), -EBADMSG);
	assert_int_equal(record_open(file, len, RECORD_LEVEL_KEY, key, &rec, NULL, 0), -EBADMSG);
	assert_int_equal(record_open(file, len, RECORD_TOMBSTONE, key, &rec, NULL, 0), 0);
	record_clear(&rec);
	key[0] = 2;
	assert_int_equal(record_open(file, len, RECORD_TOMBSTONE, key, &rec, NULL, 0), -EBADMSG);
	free(file);
}

static void destroy(struct level *level, struct volume *volume)
{
	const struct scope scope = {level, volume};
	struct erasure_progress progress = {0};

	assert_int_equal(erasure_write_intent(&ks, &scope, RECORD_ERASING, "{}"), 0);
	while (erasure_step(&ks, &scope, 1, &progress))
		;
	assert_int_equal(progress.first_error, 0);
	assert_int_equal(erasure_write_tombstone(&ks, &scope, 1234567890, "{}"), 0);
	assert_int_equal(erasure_remove_intent(&ks, &scope), 0);
}

static void a_tombstone_wins_over_a_key_that_comes_back(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	(void)add_volume(level, "/srv/a");
	size_t len = 0;
	char *backup = scratch_read(level_file("secret"), &len);
	assert_non_null(backup);
	destroy(level, NULL);
	assert_int_equal(access(level_file("secret"), F_OK), -1);

	assert_int_equal(scratch_write(level_file("secret"), backup, len), 0);
	free(backup);
	reopen();
	level = keystore_level(&ks, "secret");
	assert_int_equal(level->state, KEY_DESTROYED);
	assert_int_equal(level->destroyed_at, 1234567890);
	assert_int_equal(keystore_level_create(&ks, "secret", &level), -EEXIST);
}

static void a_damaged_tombstone_still_keeps_the_level_destroyed(void **state)
{
	(void)state;
	destroy(add_level("secret"), NULL);
	flip(scratch_path("s/levels/secret/destroyed"), 50);
	reopen();
	assert_int_equal(keystore_level(&ks, "secret")->state, KEY_DESTROYED);
}

static void an_intent_keeps_the_keys_in_after_a_restart(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	(void)add_volume(level, "/srv/a");
	const struct scope scope = {level, NULL};
	assert_int_equal(erasure_write_intent(&ks, &scope, RECORD_REVOKING, "{}"), 0);
	reopen();
	assert_int_equal(keystore_level(&ks, "secret")->state, KEY_DESTROYING);

	flip(scratch_path("s/levels/secret/destroy.intent"), 50);
	reopen();
	assert_int_equal(keystore_level(&ks, "secret")->state, KEY_DAMAGED);
}

static void destroying_one_volume_leaves_its_level_alive(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	struct volume *gone = add_volume(level, "/srv/a");
	char uuid[PROTO_UUID_BYTES];
	memcpy(uuid, gone->uuid, sizeof(uuid));
	(void)add_volume(level, "/srv/b");
	destroy(level, gone);

	reopen();
	assert_int_equal(keystore_volume_state(keystore_volume(&ks, uuid)), KEY_DESTROYED);
	uint8_t *key = key_of(keystore_volume_at(&ks, "/srv/b", 0));
	assert_non_null(key);
	secret_free(key);
}

static void verification_finds_what_was_not_erased(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	(void)add_volume(level, "/srv/a");
	const struct scope scope = {level, NULL};
	struct erasure_findings findings;
	struct erasure_progress progress = {0};

	assert_int_equal(erasure_verify(&ks, &scope, &findings), 0);
	assert_true(findings.key_opens);
	assert_int_equal(findings.files_left, 2);
	while (erasure_step(&ks, &scope, 1, &progress))
		;
	assert_int_equal(erasure_verify(&ks, &scope, &findings), 0);
	assert_false(findings.key_opens);
	assert_int_equal(findings.files_left, 0);
}

/* A hard link is what a snapshot of the file would be, as far as this file system goes. */
static void erased_files_read_as_zeros_where_they_were(void **state)
{
	(void)state;
	struct level *level = add_level("secret");
	const struct scope scope = {level, NULL};
	struct erasure_progress progress = {0};
	size_t len = 0;

	assert_int_equal(link(level_file("secret"), scratch_path("remnant")), 0);
	while (erasure_step(&ks, &scope, 1, &progress))
		;
	char *remnant = scratch_read(scratch_path("remnant"), &len);
	assert_non_null(remnant);
	assert_true(len > 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(remnant[i], 0);
	free(remnant);
}

static void what_a_crash_left_half_written_is_erased_at_start(void **state)
{
	(void)state;
	(void)add_level("secret");
	const char *path = scratch_path("s/levels/secret/.new-level.key");
	assert_int_equal(scratch_write(path, "half", 4), 0);
	assert_int_equal(mkdir(scratch_path("s/levels/never"), 0700), 0);
	reopen();
	assert_int_equal(access(scratch_path("s/levels/secret/.new-level.key"), F_OK), -1);
	assert_null(keystore_level(&ks, "never")); /* no key was ever in it */
}

static void a_damaged_root_key_stops_keyd(void **state)
{
	(void)state;
	keystore_close(&ks);
	flip(scratch_path("s/root.key"), 30);
	assert_int_equal(keystore_open(&ks, scratch_path("s"), NULL), -EBADMSG);
}

static void a_new_root_key_never_replaces_a_lost_one(void **state)
{
	(void)state;
	(void)add_level("secret");
	keystore_close(&ks);
	assert_int_equal(unlink(scratch_path("s/root.key")), 0);
	assert_int_equal(keystore_open(&ks, scratch_path("s"), NULL), -ENOKEY);
}

static void a_store_has_one_keyd(void **state)
{
	(void)state;
	struct keystore second;
	assert_int_equal(keystore_open(&second, scratch_path("s"), NULL), -EBUSY);
}

static void the_store_is_closed_to_others(void **state)
{
	(void)state;
	struct stat st;

	(void)add_level("secret");
	assert_int_equal(chmod(scratch_path("s"), 0755), 0);
	reopen();
	assert_int_equal(stat(scratch_path("s"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(level_file("secret"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(scratch_path("s/root.key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_store, remove_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(everything_comes_back_after_a_restart),
		STORE_TEST(a_larger_volume_has_its_key_and_comes_back),
		STORE_TEST(a_size_that_nobody_serves_can_be_taken_back),
		STORE_TEST(a_size_that_could_not_be_written_costs_no_key),
		STORE_TEST(a_damaged_volume_does_not_grow),
		STORE_TEST(a_path_is_no_identity),
		STORE_TEST(a_path_that_could_not_be_written_costs_no_key),
		STORE_TEST(no_file_of_the_store_holds_a_key_in_the_clear),
		STORE_TEST(suspension_outlasts_a_restart),
		STORE_TEST(a_name_is_used_once),
		STORE_TEST(a_draft_that_is_not_committed_leaves_nothing),
		STORE_TEST(a_level_that_was_suspended_meanwhile_takes_no_volume),
		STORE_TEST(a_flipped_bit_anywhere_damages_that_volume_alone),
		STORE_TEST(a_file_cut_short_or_longer_is_damaged),
		STORE_TEST(swapped_volume_files_are_damaged),
		STORE_TEST(a_renamed_level_is_damaged),
		STORE_TEST(a_volume_moved_to_another_level_is_damaged),
		STORE_TEST(a_damaged_level_key_leaves_other_levels_alone),
		cmocka_unit_test(a_key_file_is_no_tombstone),
		STORE_TEST(a_tombstone_wins_over_a_key_that_comes_back),
		STORE_TEST(a_damaged_tombstone_still_keeps_the_level_destroyed),
		STORE_TEST(an_intent_keeps_the_keys_in_after_a_restart),
		STORE_TEST(destroying_one_volume_leaves_its_level_alive),
		STORE_TEST(verification_finds_what_was_not_erased),
		STORE_TEST(erased_files_read_as_zeros_where_they_were),
		STORE_TEST(what_a_crash_left_half_written_is_erased_at_start),
		STORE_TEST(a_damaged_root_key_stops_keyd),
		STORE_TEST(a_new_root_key_never_replaces_a_lost_one),
		STORE_TEST(a_store_has_one_keyd),
		STORE_TEST(the_store_is_closed_to_others),
	};
	return cmocka_run_group_tests_name("keystore", tests, NULL, NULL);
}
