/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The header of a new volume, read by libcryptsetup, which did not make up its own mind about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <libcryptsetup.h>

#include "../../keyd/store/luks_format.h"
#include "faults.h"

static const char uuid[] = "0b8a2f6e-5d1c-4f7b-9a3e-1c2d3e4f5a6b";

/* A formatted header, open for libcryptsetup. */
struct made {
	struct crypt_device *cd;
	int fd;
	uint64_t data_offset_bytes;
	uint8_t key[CIPHER_KEY_MAX];
};

static void make(struct made *m, const struct cipher *cipher, uint32_t sector_bytes)
{
	const struct luks_format fmt = {uuid, "secret", cipher, sector_bytes};
	char path[64];

	for (size_t i = 0; i < sizeof(m->key); i++)
		m->key[i] = (uint8_t)(i * 7 + 1);
	assert_int_equal(luks_format(&fmt, m->key, &m->fd, &m->data_offset_bytes), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
	assert_int_equal(crypt_init(&m->cd, path), 0);
	assert_int_equal(crypt_load(m->cd, CRYPT_LUKS2, NULL), 0);
}

static void drop(struct made *m)
{
	crypt_free(m->cd);
	(void)close(m->fd);
}

static void every_cipher_and_sector_size_reads_back(void **state)
{
	static const uint32_t sector_sizes[] = {512, 4096};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const struct cipher *cipher = cipher_at(i / 2);
		struct made m;
		make(&m, cipher, sector_sizes[i % 2]);
		assert_string_equal(crypt_get_uuid(m.cd), uuid);
		assert_string_equal(crypt_get_cipher(m.cd), cipher->luks_name);
		assert_string_equal(crypt_get_cipher_mode(m.cd), cipher->luks_mode);
		assert_int_equal(crypt_get_sector_size(m.cd), (int)sector_sizes[i % 2]);
		assert_int_equal(
			crypt_volume_key_verify(m.cd, (char *)m.key, cipher->key_bytes), 0);
		assert_true(crypt_get_data_offset(m.cd) * 512 == m.data_offset_bytes);
		drop(&m);
	}
}

static void the_digest_accepts_the_key_and_no_other(void **state)
{
	struct made m;

	(void)state;
	make(&m, cipher_default(), 512);
	assert_int_equal(crypt_volume_key_verify(m.cd, (char *)m.key, 32), 0);
	m.key[31] ^= 1;
	assert_true(crypt_volume_key_verify(m.cd, (char *)m.key, 32) < 0);
	drop(&m);
}

static void there_is_no_key_slot_and_the_default_areas(void **state)
{
	uint64_t metadata_bytes, keyslots_bytes;
	struct made m;

	(void)state;
	make(&m, cipher_default(), 512);
	for (int slot = 0; slot < crypt_keyslot_max(CRYPT_LUKS2); slot++)
		assert_int_equal(crypt_keyslot_status(m.cd, slot), CRYPT_SLOT_INACTIVE);
	assert_int_equal(crypt_get_metadata_size(m.cd, &metadata_bytes, &keyslots_bytes), 0);
	assert_int_equal(metadata_bytes, 16 * 1024);
	assert_true(keyslots_bytes > 15 * 1024 * 1024);
	drop(&m);
}

static void the_header_is_as_long_as_the_data_offset_says(void **state)
{
	struct stat st;
	struct made m;

	(void)state;
	make(&m, cipher_default(), 4096);
	assert_int_equal(m.data_offset_bytes, 16 * 1024 * 1024);
	assert_int_equal(fstat(m.fd, &st), 0);
	assert_int_equal(st.st_size, (off_t)m.data_offset_bytes);
	drop(&m);
}

static void the_token_names_level_and_volume(void **state)
{
	const char *json;
	struct made m;

	(void)state;
	make(&m, cipher_default(), 512);
	assert_int_equal(crypt_token_json_get(m.cd, 0, &json), 0);
	assert_non_null(strstr(json, "\"type\":\"tgt-keyd\""));
	assert_non_null(strstr(json, "\"level\":\"secret\""));
	assert_non_null(strstr(json, uuid));
	drop(&m);
}

static void the_header_does_not_hold_the_key(void **state)
{
	static uint8_t header[16 * 1024 * 1024];
	struct made m;

	(void)state;
	make(&m, cipher_default(), 512);
	assert_int_equal(pread(m.fd, header, sizeof(header), 0), (ssize_t)sizeof(header));
	assert_null(memmem(header, sizeof(header), m.key, 8));
	drop(&m);
}

/* Whichever call fails: a header that can be loaded, or none and no descriptor left. */
static void a_header_is_whole_or_there_is_none(void **state)
{
	const struct luks_format fmt = {uuid, "secret", cipher_default(), 4096};
	const uint8_t key[CIPHER_KEY_MAX] = {1};
	unsigned failed = 0;
	uint64_t offset_bytes;
	int fd, free_fd = dup(0);

	(void)state;
	(void)close(free_fd);
	faults_begin();
	do {
		faults_run();
		faults_arm();
		int rc = luks_format(&fmt, key, &fd, &offset_bytes);
		faults_disarm();
		faults_end();
		if (faults_fired()) {
			assert_true(rc < 0);
			failed++;
		} else {
			assert_int_equal(rc, 0);
			(void)close(fd);
		}
		assert_int_equal(dup(0), free_fd);
		(void)close(free_fd);
	} while (faults_fired());
	assert_true(failed > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cipher_and_sector_size_reads_back),
		cmocka_unit_test(a_header_is_whole_or_there_is_none),
		cmocka_unit_test(the_digest_accepts_the_key_and_no_other),
		cmocka_unit_test(there_is_no_key_slot_and_the_default_areas),
		cmocka_unit_test(the_header_is_as_long_as_the_data_offset_says),
		cmocka_unit_test(the_token_names_level_and_volume),
		cmocka_unit_test(the_header_does_not_hold_the_key),
	};
	return cmocka_run_group_tests_name("luks_format", tests, NULL, NULL);
}
