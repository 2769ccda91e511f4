/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/store/package.h: what goes in comes out, and nothing else is ever believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "package.h"

/* Written down a second time, from docs/EXPORT.md. */
enum {
	HEAD_BYTES = 120,
	LEVELS_AT = 112,
	LENGTH_AT = 116,
	LEVEL_BYTES = 152,
	STATE_AT = 112,
	VOLUMES_AT = 116,
	LEVEL_KEY_AT = 120,
	VOLUME_BYTES = 208,
	VOLUME_KEY_AT = 144,
	CAP = 4096,
};

static uint8_t bytes[CAP + 1];
static size_t len;
static const uint8_t level_key[WRAP_KEY_BYTES] = "the key of the first level     ";
static const uint8_t volume_key[CIPHER_KEY_MAX] =
	"the key of a volume of the xts cipher, which has sixty-four byte";

static void add_level(struct package_writer *w, const char *name, uint32_t volumes)
{
	struct package_level level = {
		.state = RECORD_SUSPENDED, .created_at = 11, .volumes = volumes, .key = level_key};

	(void)strcpy(level.name, name);
	assert_int_equal(wrap_fingerprint(level_key, WRAP_KEY_BYTES, level.fingerprint), 0);
	assert_int_equal(package_add_level(w, &level), 0);
}

static void add_volume(struct package_writer *w, char digit, const char *cipher)
{
	struct package_volume volume = {
		.cipher = cipher_find(cipher),
		.sector_bytes = 4096,
		.data_offset_bytes = 16777216,
		.size_bytes = 1 << 20,
		.created_at = 22,
		.key = volume_key,
	};

	(void)strcpy(volume.uuid, "01234567-89ab-4cde-8f01-23456789abcd");
	volume.uuid[0] = digit;
	(void)snprintf(volume.path, sizeof(volume.path), "/srv/luns/%c.img", digit);
	assert_int_equal(
		wrap_fingerprint(volume_key, volume.cipher->key_bytes, volume.fingerprint), 0);
	assert_int_equal(package_add_volume(w, &volume), 0);
}

static int write_package(void **state)
{
	struct package_writer w = {.bytes = bytes, .cap_bytes = CAP};
	struct package_head head = {
		.id = "exp-0123456789abcdef", .host = "server", .made_at = 33, .levels = 2};

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(package_begin(&w, &head), 0);
	add_level(&w, "red", 2);
	add_volume(&w, 'a', "aes-cbc-essiv:sha256");
	add_volume(&w, 'b', "aes-xts-plain64");
	add_level(&w, "blue", 0);
	assert_int_equal(package_end(&w), 0);
	len = w.used_bytes;
	return 0;
}

/* After a change: whoever makes a package knows how to make its digest. */
static void digest_again(void)
{
	assert_non_null(
		SHA256(bytes, len - SHA256_DIGEST_LENGTH, bytes + len - SHA256_DIGEST_LENGTH));
}

static void what_goes_in_comes_out(void **state)
{
	struct package_reader r;
	struct package_head head;
	struct package_level level;
	struct package_volume volume;

	(void)state;
	assert_int_equal(len, package_bytes(2, 2, 2 * strlen("/srv/luns/a.img")));
	assert_int_equal(package_check(bytes, len), 0);
	assert_int_equal(package_open(&r, bytes, len, &head), 0);
	assert_string_equal(head.id, "exp-0123456789abcdef");
	assert_string_equal(head.host, "server");
	assert_int_equal(head.made_at, 33);
	assert_int_equal(package_next_level(&r, &level), 0);
	assert_string_equal(level.name, "red");
	assert_int_equal(level.state, RECORD_SUSPENDED);
	assert_int_equal(level.created_at, 11);
	assert_memory_equal(level.key, level_key, sizeof(level_key));
	assert_int_equal(package_next_volume(&r, &volume), 0);
	assert_int_equal(package_next_volume(&r, &volume), 0);
	assert_string_equal(volume.uuid, "b1234567-89ab-4cde-8f01-23456789abcd");
	assert_string_equal(volume.path, "/srv/luns/b.img");
	assert_string_equal(volume.cipher->name, "aes-xts-plain64");
	assert_int_equal(volume.sector_bytes, 4096);
	assert_int_equal(volume.data_offset_bytes, 16777216);
	assert_int_equal(volume.size_bytes, 1 << 20);
	assert_int_equal(volume.created_at, 22);
	assert_memory_equal(volume.key, volume_key, sizeof(volume_key));
	assert_int_equal(package_next_volume(&r, &volume), -ENODATA);
	assert_int_equal(package_next_level(&r, &level), 0);
	assert_string_equal(level.name, "blue");
	assert_int_equal(package_next_volume(&r, &volume), -ENODATA);
	assert_int_equal(package_next_level(&r, &level), -ENODATA);
}

static void a_level_may_be_passed_over(void **state)
{
	struct package_reader r;
	struct package_head head;
	struct package_level level;

	(void)state;
	assert_int_equal(package_open(&r, bytes, len, &head), 0);
	assert_int_equal(package_next_level(&r, &level), 0);
	assert_int_equal(package_next_level(&r, &level), 0);
	assert_string_equal(level.name, "blue");
}

static void cut_anywhere_it_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_int_equal(package_check(bytes, n), -EBADMSG);
	assert_int_equal(package_check(bytes, len + 1), -EBADMSG);
}

/* In memory of its own length, so that a sanitizer sees what reads past the end. */
static int check_exactly(size_t n)
{
	uint8_t *copy = malloc(n);

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	int rc = package_check(copy, n);
	free(copy);
	return rc;
}

static void cut_anywhere_by_somebody_who_can_count_it_is_refused(void **state)
{
	size_t whole = len;

	(void)state;
	for (size_t n = HEAD_BYTES + SHA256_DIGEST_LENGTH; n < whole; n++) {
		uint32_t claimed = (uint32_t)n;
		(void)write_package(NULL);
		len = n;
		memcpy(bytes + LENGTH_AT, &claimed, sizeof(claimed));
		digest_again();
		assert_int_equal(check_exactly(n), -EBADMSG);
	}
}

static void a_changed_byte_is_noticed(void **state)
{
	(void)state;
	for (size_t at = 0; at < len; at++) {
		bytes[at] ^= 0x40;
		int rc = package_check(bytes, len);
		/* The version's digit tells of a later keyd. */
		assert_true(rc == -EBADMSG || (rc == -EPROTONOSUPPORT && at >= 14 && at < 16));
		bytes[at] ^= 0x40;
	}
	assert_int_equal(package_check(bytes, len), 0);
}

/* What is wrong in itself is refused with a right digest, too. */
static void a_field_that_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} wrong[] = {
		{"more levels than there are", LEVELS_AT, 3},
		{"fewer", LEVELS_AT, 1},
		{"no NUL in the number", 16 + 23, 'x'},
		{"something after the host's end", 40 + 60, 'x'},
		{"a level's name", HEAD_BYTES, '/'},
		{"a level's state", HEAD_BYTES + STATE_AT, 3},
		{"more volumes than there are", HEAD_BYTES + VOLUMES_AT, 3},
		{"very many", HEAD_BYTES + VOLUMES_AT + 3, 0xff},
		{"a level's key", HEAD_BYTES + LEVEL_KEY_AT, 0},
		{"a level's fingerprint", HEAD_BYTES + 64, 'x'},
		{"a UUID", HEAD_BYTES + LEVEL_BYTES, 'X'},
		{"a cipher", HEAD_BYTES + LEVEL_BYTES + 40, 'X'},
		{"a volume's fingerprint", HEAD_BYTES + LEVEL_BYTES + 72, 'x'},
		{"a sector size", HEAD_BYTES + LEVEL_BYTES + 137, 3},
		{"a size that no sector divides", HEAD_BYTES + LEVEL_BYTES + 128, 1},
		{"an enormous size", HEAD_BYTES + LEVEL_BYTES + 135, 0xff},
		{"a long path", HEAD_BYTES + LEVEL_BYTES + 142, 1},
		{"a volume's key", HEAD_BYTES + LEVEL_BYTES + VOLUME_KEY_AT, 0},
		{"bytes after a key", HEAD_BYTES + LEVEL_BYTES + VOLUME_KEY_AT + 32, 1},
		{"a path that is not absolute", HEAD_BYTES + LEVEL_BYTES + VOLUME_BYTES, 's'},
		{"a NUL in a path", HEAD_BYTES + LEVEL_BYTES + VOLUME_BYTES + 3, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		(void)write_package(NULL);
		assert_int_not_equal(bytes[wrong[i].at], wrong[i].value);
		bytes[wrong[i].at] = wrong[i].value;
		digest_again();
		if (check_exactly(len) != -EBADMSG)
			fail_msg("believed: %s", wrong[i].what);
	}
}

static void a_full_writer_says_so(void **state)
{
	struct package_head head = {.id = "exp-0123456789abcdef", .levels = 1};
	struct package_level level = {.name = "red", .state = RECORD_ACTIVE, .key = level_key};
	struct package_writer w = {.bytes = bytes, .cap_bytes = HEAD_BYTES - 1};

	(void)state;
	assert_int_equal(package_begin(&w, &head), -ENOSPC);
	w.cap_bytes = HEAD_BYTES + LEVEL_BYTES - 1;
	assert_int_equal(package_begin(&w, &head), 0);
	assert_int_equal(package_add_level(&w, &level), -ENOSPC);
	assert_int_equal(w.used_bytes, HEAD_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_goes_in_comes_out, write_package),
		cmocka_unit_test_setup(a_level_may_be_passed_over, write_package),
		cmocka_unit_test_setup(cut_anywhere_it_is_refused, write_package),
		cmocka_unit_test_setup(
			cut_anywhere_by_somebody_who_can_count_it_is_refused, write_package),
		cmocka_unit_test_setup(a_changed_byte_is_noticed, write_package),
		cmocka_unit_test_setup(a_field_that_cannot_be_is_refused, write_package),
		cmocka_unit_test_setup(a_full_writer_says_so, write_package),
	};
	return cmocka_run_group_tests_name("package", tests, NULL, NULL);
}
