/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/store/wrap.h, keyd/common/random.h: what happens when a machine goes on twice from one snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "random.h"
#include "text.h"
#include "wrap.h"

enum { PLAIN_BYTES = 32, SEALED_BYTES = PLAIN_BYTES + WRAP_OVERHEAD_BYTES, REPEATED = 0x5a };

static enum { KERNEL, SAME_AGAIN, NONE } source;
static size_t drawn_bytes;

ssize_t __real_getrandom(void *to, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags)
{
	if (source == NONE) {
		errno = EIO;
		return -1;
	}
	drawn_bytes += len;
	if (source == KERNEL)
		return __real_getrandom(to, len, flags);
	memset(to, REPEATED, len);
	return (ssize_t)len;
}

static int start(void **state)
{
	(void)state;
	source = KERNEL;
	drawn_bytes = 0;
	return random_for_openssl();
}

static int stop(void **state)
{
	(void)state;
	source = KERNEL;
	return 0;
}

/* What is sealed: two of them differ in one thing at least. */
struct input {
	uint8_t key[WRAP_KEY_BYTES];
	const char *aad;
	uint8_t plain[PLAIN_BYTES];
};

static const struct input inputs[] = {
	{{1}, "level red", "the key of red"},
	{{1}, "level blue", "the key of red"},
	{{1}, "level red", "the key of blue"},
	{{1}, "level redt", "he key of red"}, /* the same bytes in a row */
	{{2}, "level red", "the key of red"},
	{{1}, "", "the key of red"},
};
enum { INPUTS = sizeof(inputs) / sizeof(inputs[0]) };

static void seal(const struct input *in, uint8_t out[SEALED_BYTES])
{
	assert_int_equal(
		wrap_seal(in->key, in->aad, strlen(in->aad), in->plain, PLAIN_BYTES, out), 0);
}

/* GCM encrypts with a stream: with equal key and nonce the ciphertexts differ where the plaintexts do. */
static bool same_stream(const struct input *a, const uint8_t *sealed_a, const struct input *b,
	const uint8_t *sealed_b)
{
	for (size_t i = 0; i < PLAIN_BYTES; i++) {
		size_t at = WRAP_SALT_BYTES + i;
		if ((sealed_a[at] ^ sealed_b[at]) != (a->plain[i] ^ b->plain[i]))
			return false;
	}
	return true;
}

static void repeated_random_bytes_give_no_two_files_one_key(void **state)
{
	uint8_t sealed[INPUTS][SEALED_BYTES], again[PLAIN_BYTES];

	(void)state;
	source = SAME_AGAIN;
	for (size_t i = 0; i < INPUTS; i++) {
		seal(&inputs[i], sealed[i]);
		for (size_t k = 0; k < i; k++) {
			assert_memory_not_equal(sealed[i], sealed[k], WRAP_SALT_BYTES);
			assert_false(same_stream(&inputs[i], sealed[i], &inputs[k], sealed[k]));
		}
	}
	for (size_t i = 0; i < INPUTS; i++) {
		assert_int_equal(wrap_open(inputs[i].key, inputs[i].aad, strlen(inputs[i].aad),
					 sealed[i], SEALED_BYTES, again),
			0);
		assert_memory_equal(again, inputs[i].plain, PLAIN_BYTES);
	}
}

static void one_file_is_sealed_differently_each_time(void **state)
{
	uint8_t first[SEALED_BYTES], second[SEALED_BYTES];

	(void)state;
	seal(&inputs[0], first);
	seal(&inputs[0], second);
	assert_memory_not_equal(first, second, WRAP_SALT_BYTES);
	assert_false(same_stream(&inputs[0], first, &inputs[0], second));
}

/* Computed from docs/KEYSTORE.md with Python's hmac and cryptography. */
static void the_form_is_what_the_document_says(void **state)
{
	static const char expected[] =
		"e2f46c8b237cc436647780f7b232d1ac89f7eeb515a42d1ff6e428e0909f0a49"
		"684d534c71536c041f3de8e4631da0e87f7fadec6ffafec5ee3d07bd349d719e211964ef5475bbb1e5"
		"f63480b20c4b9e";
	const uint8_t plain[] = "thirty-two bytes of a level key!";
	uint8_t key[WRAP_KEY_BYTES], sealed[SEALED_BYTES];
	char hex[2 * SEALED_BYTES + 1];

	(void)state;
	for (uint8_t i = 0; i < sizeof(key); i++)
		key[i] = i;
	source = SAME_AGAIN;
	assert_int_equal(wrap_seal(key, "level red", 9, plain, PLAIN_BYTES, sealed), 0);
	text_hex(sealed, sizeof(sealed), hex);
	assert_string_equal(hex, expected);
}

static void a_changed_byte_opens_nothing(void **state)
{
	uint8_t sealed[SEALED_BYTES], again[PLAIN_BYTES];
	const struct input *in = &inputs[0];

	(void)state;
	seal(in, sealed);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		assert_int_equal(
			wrap_open(in->key, in->aad, strlen(in->aad), sealed, sizeof(sealed), again),
			-EBADMSG);
		sealed[i] ^= 1;
	}
	assert_int_equal(wrap_open(in->key, in->aad, strlen(in->aad), sealed,
				 WRAP_OVERHEAD_BYTES - 1, again),
		-EBADMSG);
}

/* Nothing is kept from one draw for the next: a state that is kept could be resumed twice. */
static void every_random_byte_is_the_kernels_at_that_moment(void **state)
{
	static const uint8_t repeated[48] = {[0 ... 47] = REPEATED};
	uint8_t bytes[48];
	char uuid[PROTO_UUID_BYTES];

	(void)state;
	source = SAME_AGAIN;
	assert_int_equal(wrap_new_key(bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, repeated, sizeof(bytes));
	assert_int_equal(text_new_uuid(uuid), 0);
	assert_string_equal(uuid, "5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a");
	drawn_bytes = 0;
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(RAND_bytes(bytes, sizeof(bytes)), 1);
	assert_memory_equal(bytes, repeated, sizeof(bytes));
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(RAND_priv_bytes(bytes, sizeof(bytes)), 1);
	assert_memory_equal(bytes, repeated, sizeof(bytes));
	assert_int_equal(drawn_bytes, 2 * sizeof(bytes));
}

/* Also where OpenSSL chooses by itself, and in a library context of somebody else's, as the TPM's has one. */
static void what_openssl_draws_is_the_kernels(void **state)
{
	OSSL_LIB_CTX *other = OSSL_LIB_CTX_new();
	uint8_t bytes[16];

	(void)state;
	assert_non_null(other);
	EVP_PKEY *key = EVP_EC_gen("P-256"); /* as an ephemeral key of CMS */
	assert_non_null(key);
	EVP_PKEY_free(key);
	assert_true(drawn_bytes >= 32);
	drawn_bytes = 0;
	assert_int_equal(RAND_bytes_ex(other, bytes, sizeof(bytes), 0), 1);
	assert_int_equal(drawn_bytes, sizeof(bytes));
	OSSL_LIB_CTX_free(other);
}

static void without_random_bytes_nothing_is_made(void **state)
{
	uint8_t bytes[SEALED_BYTES];
	char uuid[PROTO_UUID_BYTES];

	(void)state;
	source = NONE;
	assert_int_equal(wrap_new_key(bytes, 32), -EIO);
	assert_int_equal(text_new_uuid(uuid), -EIO);
	assert_int_equal(
		wrap_seal(inputs[0].key, "", 0, inputs[0].plain, PLAIN_BYTES, bytes), -EIO);
	assert_int_not_equal(RAND_bytes(bytes, 32), 1);
	assert_null(EVP_EC_gen("P-256"));
}

int main(void)
{
#define WRAP_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		WRAP_TEST(repeated_random_bytes_give_no_two_files_one_key),
		WRAP_TEST(one_file_is_sealed_differently_each_time),
		WRAP_TEST(the_form_is_what_the_document_says),
		WRAP_TEST(a_changed_byte_opens_nothing),
		WRAP_TEST(every_random_byte_is_the_kernels_at_that_moment),
		WRAP_TEST(what_openssl_draws_is_the_kernels),
		WRAP_TEST(without_random_bytes_nothing_is_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
