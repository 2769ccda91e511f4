/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/crypt.h: every engine against published vectors, and against openssl(1) as a program that
 * shares no code of ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "crypt.h"

static const struct crypt_engine *const engines[] = {&crypt_openssl};
enum { ENGINES = sizeof(engines) / sizeof(engines[0]) };

static void unhex(const char *hex, uint8_t *out)
{
	for (unsigned byte; *hex; hex += 2) {
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		*out++ = (uint8_t)byte;
	}
}

static void to_hex(const uint8_t *data, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", data[i]);
}

/* data = openssl enc MODE -K key [-iv iv] -nopad < data */
static void openssl_enc(
	const char *mode, const uint8_t *key, const uint8_t *iv, uint8_t *data, size_t len)
{
	char in[] = "/tmp/test_crypt.XXXXXX", command[512], key_hex[65], iv_hex[33] = "";
	int fd = mkstemp(in);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	to_hex(key, 32, key_hex);
	if (iv)
		to_hex(iv, 16, iv_hex);
	snprintf(command, sizeof(command), "openssl enc -%s -nopad -K %s %s %s -in %s", mode,
		key_hex, iv ? "-iv" : "", iv_hex, in);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(fread(data, 1, len, p), len);
	assert_int_equal(pclose(p), 0);
	unlink(in);
}

/* The IV of DESIGN 3, computed by openssl(1). */
static void essiv(const uint8_t *key, uint64_t sector, uint8_t *iv)
{
	uint8_t hashed[32];

	SHA256(key, 32, hashed);
	memset(iv, 0, 16);
	for (int i = 0; i < 8; i++)
		iv[i] = (uint8_t)(sector >> (8 * i));
	openssl_enc("aes-256-ecb", hashed, NULL, iv, 16);
}

static void noise(uint8_t *data, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)rand_r(&seed);
}

/*
 * NIST SP 800-38A, F.2.5 CBC-AES256.Encrypt. The IV of a sector is ESSIV's: the published chain
 * appears when the first block carries the difference of the two IVs.
 */
static void cbc_gives_the_published_vectors(void **state)
{
	static const char key_hex[] =
		"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
	static const char iv_hex[] = "000102030405060708090a0b0c0d0e0f";
	static const char plain_hex[] = "6bc1bee22e409f96e93d7e117393172a"
					"ae2d8a571e03ac9c9eb76fac45af8e51"
					"30c81c46a35ce411e5fbc1191a0a52ef"
					"f69f2445df4f9b17ad2b417be66c3710";
	static const char cipher_hex[] = "f58c4c04d6e5f1ba779eabfb5f7bfbd6"
					 "9cfc4e967edb808d679f777bc6702c7d"
					 "39f23369a9d9bacfa530e26304231461"
					 "b2eb05e2c39be9fcda6c19078c6a9d1b";
	uint8_t key[32], iv[16], mine[16], data[512] = {0}, expected[64];

	(void)state;
	unhex(key_hex, key);
	unhex(iv_hex, iv);
	unhex(plain_hex, data);
	unhex(cipher_hex, expected);
	essiv(key, 42, mine);
	for (int i = 0; i < 16; i++)
		data[i] ^= iv[i] ^ mine[i];
	for (int e = 0; e < ENGINES; e++) {
		uint8_t sector[512];
		memcpy(sector, data, sizeof(sector));
		struct crypt_context *ctx = engines[e]->context_new(
			cipher_find("aes-cbc-essiv:sha256"), key, sizeof(sector));
		assert_non_null(ctx);
		assert_int_equal(engines[e]->encrypt(ctx, sector, sizeof(sector), 42), 0);
		assert_memory_equal(sector, expected, sizeof(expected));
		assert_int_equal(engines[e]->decrypt(ctx, sector, sizeof(sector), 42), 0);
		assert_memory_equal(sector, data, sizeof(sector));
		engines[e]->context_free(ctx);
	}
}

/* IEEE Std 1619-2007, annex B, vector 10: XTS-AES-256, data unit number 255, bytes 00 01 02 …. */
static void xts_gives_the_published_vector(void **state)
{
	static const char key_hex[] =
		"2718281828459045235360287471352662497757247093699959574966967627"
		"3141592653589793238462643383279502884197169399375105820974944592";
	static const char head_hex[] = "1c3b3a102f770386e4836c99e370cf9b";
	static const char tail_hex[] = "c4f36ffda9fcea70b9c6e693e148c151";
	uint8_t key[64], data[512], head[16], tail[16];

	(void)state;
	unhex(key_hex, key);
	unhex(head_hex, head);
	unhex(tail_hex, tail);
	for (int e = 0; e < ENGINES; e++) {
		struct crypt_context *ctx =
			engines[e]->context_new(cipher_find("aes-xts-plain64"), key, sizeof(data));
		assert_non_null(ctx);
		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)i;
		assert_int_equal(engines[e]->encrypt(ctx, data, sizeof(data), 255), 0);
		assert_memory_equal(data, head, 16);
		assert_memory_equal(data + sizeof(data) - 16, tail, 16);
		engines[e]->context_free(ctx);
	}
}

static const uint64_t boundary_sectors[] = {
	0, 1, UINT64_C(0xffffffff), UINT64_C(0x100000000), UINT64_C(1) << 40};

static void each_boundary_sector_equals_openssl_enc(void **state)
{
	static const uint32_t sizes[] = {512, 4096};
	uint8_t key[32], iv[16], ours[4096], theirs[4096];

	(void)state;
	noise(key, sizeof(key), 1);
	for (size_t i = 0; i < 5 * 2 * ENGINES; i++) {
		uint64_t sector = boundary_sectors[i % 5];
		uint32_t size = sizes[i / 5 % 2];
		const struct crypt_engine *engine = engines[i / 10];
		struct crypt_context *ctx = engine->context_new(cipher_default(), key, size);
		assert_non_null(ctx);
		noise(ours, size, (unsigned)i);
		memcpy(theirs, ours, size);
		assert_int_equal(engine->encrypt(ctx, ours, size, sector), 0);
		essiv(key, sector, iv);
		openssl_enc("aes-256-cbc", key, iv, theirs, size);
		assert_memory_equal(ours, theirs, size);
		engine->context_free(ctx);
	}
}

/* Many sectors in one call are the same as one call for each, also across an IV batch. */
static void a_long_run_equals_its_sectors_one_by_one(void **state)
{
	enum { SECTORS = 200 };
	static uint8_t together[SECTORS * 4096], single[SECTORS * 4096];
	uint8_t key[64];

	(void)state;
	noise(key, sizeof(key), 2);
	for (size_t c = 0; cipher_at(c); c++) {
		for (uint32_t size = 512; size <= 4096; size *= 8) {
			const uint64_t first = UINT64_C(0xfffffff0);
			struct crypt_context *ctx =
				engines[0]->context_new(cipher_at(c), key, size);
			noise(together, (size_t)SECTORS * size, 3);
			memcpy(single, together, (size_t)SECTORS * size);
			assert_int_equal(
				engines[0]->encrypt(ctx, together, (size_t)SECTORS * size, first),
				0);
			for (uint32_t i = 0; i < SECTORS; i++)
				assert_int_equal(engines[0]->encrypt(ctx, single + (size_t)i * size,
							 size, first + i * (size / 512)),
					0);
			assert_memory_equal(together, single, (size_t)SECTORS * size);
			engines[0]->context_free(ctx);
		}
	}
}

static void a_part_of_a_sector_is_refused(void **state)
{
	uint8_t key[32] = {0}, data[1024] = {0};
	struct crypt_context *ctx = crypt_openssl.context_new(cipher_default(), key, 512);

	(void)state;
	assert_int_equal(crypt_openssl.encrypt(ctx, data, 513, 0), -EIO);
	crypt_openssl.context_free(ctx);
}

static int wrong_encrypt(struct crypt_context *ctx, uint8_t *data, size_t len, uint64_t sector)
{
	int rc = crypt_openssl.encrypt(ctx, data, len, sector);

	data[len - 1] ^= 1;
	return rc;
}

static int wrong_decrypt(struct crypt_context *ctx, uint8_t *data, size_t len, uint64_t sector)
{
	int rc = crypt_openssl.decrypt(ctx, data, len, sector);

	data[0] ^= 1;
	return rc;
}

static void an_engine_with_a_wrong_answer_fails_its_self_test(void **state)
{
	struct crypt_engine bad = crypt_openssl;

	(void)state;
	assert_int_equal(crypt_self_test(&crypt_openssl), 0);
	bad.encrypt = wrong_encrypt;
	assert_int_equal(crypt_self_test(&bad), -EIO);
	bad = crypt_openssl;
	bad.decrypt = wrong_decrypt;
	assert_int_equal(crypt_self_test(&bad), -EIO);
}

static void engines_are_found_by_name_or_refused(void **state)
{
	const struct crypt_engine *engine = NULL;

	(void)state;
	assert_int_equal(crypt_engine_find("", &engine), 0);
	assert_non_null(engine);
	assert_int_equal(crypt_engine_find("openssl", &engine), 0);
	assert_ptr_equal(engine, &crypt_openssl);
	assert_int_equal(crypt_engine_find("rot13", &engine), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cbc_gives_the_published_vectors),
		cmocka_unit_test(xts_gives_the_published_vector),
		cmocka_unit_test(each_boundary_sector_equals_openssl_enc),
		cmocka_unit_test(a_long_run_equals_its_sectors_one_by_one),
		cmocka_unit_test(a_part_of_a_sector_is_refused),
		cmocka_unit_test(an_engine_with_a_wrong_answer_fails_its_self_test),
		cmocka_unit_test(engines_are_found_by_name_or_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
