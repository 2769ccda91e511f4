/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/custody/custody.h: every row keeps a root key, and the passphrase's keeps it from others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <argon2.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "custody.h"
#include "scratch.h"

enum {
	FILE_BYTES = 152,
	PASSES_AT = 16,
	MEMORY_AT = 20,
	SALT_AT = 24,
	SEALED_AT = 40,
	DIGEST_AT = 120
};

static struct proto_passphrase right, wrong;
static uint8_t root[ROOT_KEY_BYTES], again[ROOT_KEY_BYTES];
static struct custody_place place;
static struct custody_keeper *keeper;

static const struct custody *present(void)
{
	const struct custody *custody;

	assert_int_equal(custody_of_store(place.dir_fd, &custody), 0);
	return custody;
}

static void set(struct proto_passphrase *p, const char *text)
{
	memset(p, 0, sizeof(*p));
	p->len_bytes = (uint32_t)strlen(text);
	memcpy(p->bytes, text, p->len_bytes);
}

static int fresh(void **state)
{
	set(&right, "correct horse");
	set(&wrong, "correct hors");
	memset(root, 0, sizeof(root));
	memset(again, 0, sizeof(again));
	if (scratch_make(state))
		return -1;
	place.dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return place.dir_fd < 0;
}

static int stop(void **state)
{
	(void)close(place.dir_fd);
	return scratch_remove(state);
}

static void get_file(uint8_t file[FILE_BYTES])
{
	int fd = openat(place.dir_fd, "root.passphrase", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, file, FILE_BYTES), FILE_BYTES);
	assert_int_equal(close(fd), 0);
}

static void put_file(const uint8_t *file, size_t len)
{
	int fd = openat(place.dir_fd, "root.passphrase", O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, file, len), len);
	assert_int_equal(close(fd), 0);
}

/* But for those that need a device: a-tpm-forgets-the-root-key.t, test_token.c. */
static void each_row_gives_back_what_it_made(void **state)
{
	(void)state;
	for (size_t i = 0; custody_at(i); i++) {
		const struct custody *row = custody_at(i);
		assert_ptr_equal(custody_find(row->name), row);
		if (row == &custody_tpm2 || row == &custody_pkcs11)
			continue;
		assert_null(present());
		assert_int_equal(row->create(&place, &right, root, &keeper), 0);
		assert_ptr_equal(present(), row);
		assert_int_equal(row->load(&place, &right, again, &keeper), 0);
		assert_memory_equal(root, again, sizeof(root));
		assert_int_equal(row->erase(&place), 0);
		assert_int_equal(row->erase(&place), 0); /* again is no harm */
	}
	assert_null(custody_find("paper"));
}

/* What somebody put beside the root key is not chosen from. */
static void two_root_keys_are_refused(void **state)
{
	const struct custody *custody;

	(void)state;
	assert_int_equal(custody_file.create(&place, NULL, root, &keeper), 0);
	assert_int_equal(custody_passphrase.create(&place, &right, again, &keeper), 0);
	assert_int_equal(custody_of_store(place.dir_fd, &custody), -ENOTUNIQ);
}

/* The root key that is to come does not count yet. */
static void the_next_root_key_is_kept_apart(void **state)
{
	struct custody_place next = place;

	(void)state;
	next.next = true;
	assert_int_equal(custody_passphrase.create(&next, &right, root, &keeper), 0);
	assert_null(present());
	assert_int_equal(custody_passphrase.load(&next, &right, again, &keeper), 0);
	assert_memory_equal(root, again, sizeof(root));
	assert_int_equal(custody_passphrase.erase(&next), 0);
	assert_int_equal(custody_passphrase.load(&next, &right, again, &keeper), -ENOENT);
}

static void another_passphrase_gives_nothing(void **state)
{
	static const uint8_t nothing[ROOT_KEY_BYTES];
	const struct proto_passphrase none = {0};

	(void)state;
	assert_int_equal(custody_passphrase.create(&place, &right, root, &keeper), 0);
	assert_int_equal(custody_passphrase.load(&place, &wrong, again, &keeper), -EKEYREJECTED);
	assert_memory_equal(again, nothing, sizeof(nothing));
	assert_int_equal(custody_passphrase.load(&place, &none, again, &keeper), -EKEYREJECTED);
	assert_int_equal(custody_passphrase.load(&place, NULL, again, &keeper), -EKEYREJECTED);
	assert_memory_equal(again, nothing, sizeof(nothing));
}

static void a_short_passphrase_makes_nothing(void **state)
{
	(void)state;
	set(&wrong, "seven b");
	assert_int_equal(custody_passphrase.create(&place, &wrong, root, &keeper), -EKEYREJECTED);
	assert_int_equal(custody_passphrase.create(&place, NULL, root, &keeper), -EKEYREJECTED);
	assert_null(present());
}

static void every_changed_byte_is_damage(void **state)
{
	uint8_t file[FILE_BYTES];

	(void)state;
	assert_int_equal(custody_passphrase.create(&place, &right, root, &keeper), 0);
	get_file(file);
	for (size_t i = 0; i < FILE_BYTES; i++) {
		file[i] ^= 1;
		put_file(file, FILE_BYTES);
		assert_int_equal(custody_passphrase.load(&place, &right, again, &keeper), -EBADMSG);
		file[i] ^= 1;
	}
	put_file(file, FILE_BYTES - 1);
	assert_int_equal(custody_passphrase.load(&place, &right, again, &keeper), -EBADMSG);
	put_file(file, FILE_BYTES);
	assert_int_equal(custody_passphrase.load(&place, &right, again, &keeper), 0);
}

static void put_with_digest(uint8_t file[FILE_BYTES])
{
	assert_non_null(SHA256(file, DIGEST_AT, file + DIGEST_AT));
	put_file(file, FILE_BYTES);
}

static void set_number(uint8_t *file, size_t at, uint32_t value)
{
	value = htole32(value);
	memcpy(file + at, &value, sizeof(value));
}

/* Somebody who can write the store can make the digest fit; the costs stay bounded all the same. */
static void impossible_costs_are_refused_unseen(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} cases[] = {
		{PASSES_AT, 0},
		{PASSES_AT, 65},
		{PASSES_AT, UINT32_MAX},
		{MEMORY_AT, 0},
		{MEMORY_AT, 8191},
		{MEMORY_AT, (4 << 20) + 1},
		{MEMORY_AT, UINT32_MAX},
	};
	uint8_t file[FILE_BYTES], changed[FILE_BYTES];

	(void)state;
	assert_int_equal(custody_passphrase.create(&place, &right, root, &keeper), 0);
	get_file(file);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(changed, file, sizeof(file));
		set_number(changed, cases[i].at, cases[i].value);
		put_with_digest(changed);
		assert_int_equal(custody_passphrase.load(&place, &right, again, &keeper), -EBADMSG);
	}
	memcpy(changed, file, sizeof(file));
	set_number(changed, MEMORY_AT, 8192); /* cheaper to guess, but then it is another key */
	put_with_digest(changed);
	assert_int_equal(custody_passphrase.load(&place, &right, again, &keeper), -EKEYREJECTED);
}

/* The file as docs/KEYSTORE.md says, opened with the library's plain call. */
static void the_file_is_what_the_document_says(void **state)
{
	uint8_t file[FILE_BYTES], key[WRAP_KEY_BYTES];
	uint32_t passes, memory_kib;

	(void)state;
	assert_int_equal(custody_passphrase.create(&place, &right, root, &keeper), 0);
	get_file(file);
	assert_memory_equal(file, "TGTKEYD pass v2", 16);
	memcpy(&passes, file + PASSES_AT, 4);
	memcpy(&memory_kib, file + MEMORY_AT, 4);
	assert_true(le32toh(passes) >= 3);
	assert_int_equal(le32toh(memory_kib), 256 * 1024);
	assert_int_equal(argon2id_hash_raw(le32toh(passes), le32toh(memory_kib), 1, right.bytes,
				 right.len_bytes, file + SALT_AT, 16, key, sizeof(key)),
		ARGON2_OK);
	assert_int_equal(wrap_open(key, file, SEALED_AT, file + SEALED_AT,
				 ROOT_KEY_BYTES + WRAP_OVERHEAD_BYTES, again),
		0);
	assert_memory_equal(root, again, sizeof(root));
}

int main(void)
{
#define FRESH(f) cmocka_unit_test_setup_teardown(f, fresh, stop)
	const struct CMUnitTest tests[] = {
		FRESH(each_row_gives_back_what_it_made),
		FRESH(two_root_keys_are_refused),
		FRESH(the_next_root_key_is_kept_apart),
		FRESH(another_passphrase_gives_nothing),
		FRESH(a_short_passphrase_makes_nothing),
		FRESH(every_changed_byte_is_damage),
		FRESH(impossible_costs_are_refused_unseen),
		FRESH(the_file_is_what_the_document_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
