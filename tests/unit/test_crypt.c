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
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "crypt.h"

/*
 * Engine i of those that this CPU can run and that know the cipher, with key for sectors of
 * sector_bytes; NULL past the last one.
 */
static struct crypt_context *keyed(
	size_t i, const char *cipher, const uint8_t *key, uint32_t sector_bytes)
{
	for (size_t row = 0; crypt_engine_at(row); row++) {
		const struct crypt_engine *e = crypt_engine_at(row);
		if (!e->available(e) || !e->supports(cipher_find(cipher)->id) || i--)
			continue;
		struct crypt_context *ctx =
			crypt_context_new(e, cipher_find(cipher), key, sector_bytes);
		assert_non_null(ctx);
		return ctx;
	}
	return NULL;
}

static const char cbc[] = "aes-cbc-essiv:sha256";
static const char xts[] = "aes-xts-plain64";

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
	struct crypt_context *ctx;
	for (size_t e = 0; (ctx = keyed(e, cbc, key, sizeof(data))); e++) {
		uint8_t sector[512];
		memcpy(sector, data, sizeof(sector));
		assert_int_equal(crypt_encrypt(ctx, sector, sizeof(sector), 42), 0);
		assert_memory_equal(sector, expected, sizeof(expected));
		assert_int_equal(crypt_decrypt(ctx, sector, sizeof(sector), 42), 0);
		assert_memory_equal(sector, data, sizeof(sector));
		crypt_context_free(ctx);
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
	struct crypt_context *ctx;
	for (size_t e = 0; (ctx = keyed(e, xts, key, sizeof(data))); e++) {
		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)i;
		assert_int_equal(crypt_encrypt(ctx, data, sizeof(data), 255), 0);
		assert_memory_equal(data, head, 16);
		assert_memory_equal(data + sizeof(data) - 16, tail, 16);
		crypt_context_free(ctx);
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
	for (size_t i = 0; i < 5 * 2; i++) {
		uint64_t sector = boundary_sectors[i % 5];
		uint32_t size = sizes[i / 5];
		struct crypt_context *ctx;
		noise(theirs, size, (unsigned)i);
		essiv(key, sector, iv);
		openssl_enc("aes-256-cbc", key, iv, theirs, size);
		for (size_t e = 0; (ctx = keyed(e, cbc, key, size)); e++) {
			noise(ours, size, (unsigned)i);
			assert_int_equal(crypt_encrypt(ctx, ours, size, sector), 0);
			assert_memory_equal(ours, theirs, size);
			crypt_context_free(ctx);
		}
	}
}

/* Counts of sectors at and around what engines do at once: lanes (8, 16), IV batch 64, burst 256. */
static const uint32_t runs[] = {1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200, 255, 256, 257, 600};
enum { RUN_MAX = 600 };

static void check_run(struct crypt_context *ctx, uint32_t size, uint32_t sectors)
{
	static uint8_t together[RUN_MAX * 4096], single[RUN_MAX * 4096], text[RUN_MAX * 4096];
	const uint64_t first = UINT64_C(0xfffffff0);
	size_t len = (size_t)sectors * size;

	noise(text, len, 3);
	memcpy(together, text, len);
	memcpy(single, text, len);
	assert_int_equal(crypt_encrypt(ctx, together, len, first), 0);
	for (uint32_t i = 0; i < sectors; i++)
		assert_int_equal(crypt_encrypt(ctx, single + (size_t)i * size, size,
					 first + (uint64_t)i * (size / 512)),
			0);
	assert_memory_equal(together, single, len);
	assert_int_equal(crypt_decrypt(ctx, together, len, first), 0);
	assert_memory_equal(together, text, len);
}

/* Many sectors in one call are the same as one call for each, and come back. */
static void a_long_run_equals_its_sectors_one_by_one(void **state)
{
	uint8_t key[64];
	struct crypt_context *ctx;

	(void)state;
	noise(key, sizeof(key), 2);
	for (size_t c = 0; cipher_at(c); c++) {
		for (size_t e = 0; (ctx = keyed(e, cipher_at(c)->name, key, 512)); e++) {
			for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
				check_run(ctx, 512, runs[i]);
			crypt_context_free(ctx);
			ctx = keyed(e, cipher_at(c)->name, key, 4096);
			check_run(ctx, 4096, 300);
			crypt_context_free(ctx);
		}
	}
}

/* Engines share no code, so they check each other beyond what openssl(1) was asked. */
static void all_engines_write_the_same(void **state)
{
	static uint8_t first[300 * 512], other[300 * 512];
	uint8_t key[32];
	struct crypt_context *ctx;

	(void)state;
	noise(key, sizeof(key), 4);
	for (size_t e = 0; (ctx = keyed(e, cbc, key, 512)); e++) {
		noise(other, sizeof(other), 5);
		assert_int_equal(crypt_encrypt(ctx, other, sizeof(other), 7), 0);
		crypt_context_free(ctx);
		if (e)
			assert_memory_equal(other, first, sizeof(first));
		memcpy(first, other, sizeof(first));
	}
}

enum { THREADS = 8, ROUNDS = 200 };

static void *encrypt_and_decrypt(void *arg)
{
	struct crypt_context *ctx = arg;
	static _Thread_local uint8_t data[40 * 512], text[40 * 512];

	for (unsigned i = 0; i < ROUNDS; i++) {
		noise(text, sizeof(text), i);
		memcpy(data, text, sizeof(data));
		if (crypt_encrypt(ctx, data, sizeof(data), i) ||
			crypt_decrypt(ctx, data, sizeof(data), i) ||
			memcmp(data, text, sizeof(data)))
			return "a thread read what it had not written";
	}
	return NULL;
}

/* More threads than slots; meanwhile other contexts come and go, which wipes the managers. */
static void threads_share_a_context(void **state)
{
	uint8_t key[32];
	struct crypt_context *ctx;

	(void)state;
	noise(key, sizeof(key), 6);
	for (size_t e = 0; (ctx = keyed(e, cbc, key, 512)); e++) {
		pthread_t threads[THREADS];
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, encrypt_and_decrypt, ctx), 0);
		for (int i = 0; i < 50; i++)
			crypt_context_free(keyed(e, cbc, key, 4096));
		for (int i = 0; i < THREADS; i++) {
			void *failure;
			pthread_join(threads[i], &failure);
			assert_null(failure);
		}
		crypt_context_free(ctx);
	}
}

static void a_part_of_a_sector_is_refused(void **state)
{
	uint8_t key[32] = {0}, data[1024] = {0};
	struct crypt_context *ctx;

	(void)state;
	for (size_t e = 0; (ctx = keyed(e, cbc, key, 512)); e++) {
		assert_int_equal(crypt_encrypt(ctx, data, 513, 0), -EIO);
		crypt_context_free(ctx);
	}
}

static int wrong_encrypt(
	struct crypt_context *ctx, unsigned slot, uint8_t *data, size_t len, uint64_t sector)
{
	int rc = crypt_openssl.encrypt(ctx, slot, data, len, sector);

	data[len - 1] ^= 1;
	return rc;
}

static int wrong_decrypt(
	struct crypt_context *ctx, unsigned slot, uint8_t *data, size_t len, uint64_t sector)
{
	int rc = crypt_openssl.decrypt(ctx, slot, data, len, sector);

	data[0] ^= 1;
	return rc;
}

static void a_hole_reads_as_zeros_and_data_as_ever(void **state)
{
	enum { SECTORS = 9 };
	static const bool holes[SECTORS] = {
		true, false, false, true, true, false, true, false, true};
	static uint8_t plain[SECTORS * 4096], data[SECTORS * 4096];
	uint8_t key[64];
	struct crypt_context *ctx;

	(void)state;
	noise(key, sizeof(key), 21);
	for (unsigned size = 512; size <= 4096; size *= 8) {
		for (size_t e = 0; (ctx = keyed(e, cbc, key, size)); e++) {
			noise(plain, SECTORS * size, 22);
			plain[size] = 0; /* a sector may begin with zeros */
			memcpy(data, plain, SECTORS * size);
			assert_int_equal(crypt_encrypt_sparse(ctx, data, SECTORS * size, 7), 0);
			for (unsigned i = 0; i < SECTORS; i++) {
				if (!holes[i])
					continue;
				memset(data + i * size, 0, size);
				memset(plain + i * size, 0, size);
			}
			assert_int_equal(crypt_decrypt_sparse(ctx, data, SECTORS * size, 7), 0);
			assert_memory_equal(data, plain, SECTORS * size);
			crypt_context_free(ctx);
		}
	}
}

static void what_would_read_back_as_a_hole_is_refused(void **state)
{
	uint8_t key[64], data[3 * 512] = {0};
	struct crypt_context *ctx;

	(void)state;
	noise(key, sizeof(key), 23);
	for (size_t e = 0; (ctx = keyed(e, cbc, key, 512)); e++) {
		memset(data, 0, sizeof(data));
		assert_int_equal(crypt_decrypt(ctx, data + 512, 512, 8), 0); /* of zeros */
		assert_int_equal(crypt_encrypt_sparse(ctx, data, sizeof(data), 7), -EIO);
		assert_int_equal(crypt_encrypt_sparse(ctx, data, 512, 7), 0);
		crypt_context_free(ctx);
	}
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
	assert_int_equal(crypt_engine_find("", cipher_find(cbc), &engine), 0);
	assert_non_null(engine);
	assert_int_equal(crypt_engine_find("openssl", cipher_find(cbc), &engine), 0);
	assert_ptr_equal(engine, &crypt_openssl);
	assert_int_equal(crypt_engine_find("rot13", cipher_find(cbc), &engine), -ENOENT);
	assert_int_equal(crypt_engine_find("openss", cipher_find(cbc), &engine), -ENOENT);
#ifdef HAVE_IPSEC_MB
	assert_int_equal(crypt_engine_find("ipsec-mb", cipher_find(cbc), &engine), 0);
	assert_memory_equal(engine->name, "ipsec-mb-", 9);
	assert_int_equal(crypt_engine_find("ipsec-mb-sse", cipher_find(cbc), &engine), 0);
	assert_ptr_equal(engine, &crypt_ipsec_mb_sse);
	assert_int_equal(crypt_engine_find("ipsec-mb", cipher_find(xts), &engine), -ENOTSUP);
#endif
	assert_int_equal(crypt_engine_find("", cipher_find(xts), &engine), 0);
	assert_ptr_equal(engine, &crypt_openssl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cbc_gives_the_published_vectors),
		cmocka_unit_test(xts_gives_the_published_vector),
		cmocka_unit_test(each_boundary_sector_equals_openssl_enc),
		cmocka_unit_test(a_long_run_equals_its_sectors_one_by_one),
		cmocka_unit_test(all_engines_write_the_same),
		cmocka_unit_test(threads_share_a_context),
		cmocka_unit_test(a_part_of_a_sector_is_refused),
		cmocka_unit_test(a_hole_reads_as_zeros_and_data_as_ever),
		cmocka_unit_test(what_would_read_back_as_a_hole_is_refused),
		cmocka_unit_test(an_engine_with_a_wrong_answer_fails_its_self_test),
		cmocka_unit_test(engines_are_found_by_name_or_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
