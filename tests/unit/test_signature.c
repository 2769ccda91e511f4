/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Signed JSON: nothing in it can be changed, moved or left out. */
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

#include "../../keyd/common/signature.h"

/* RFC 8032, 7.1, test 1: the key, its public key, and what it signs, which is nothing. */
static const uint8_t rfc_key[SIGNATURE_KEY_BYTES] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
	0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69,
	0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const char rfc_pem[] = "-----BEGIN PUBLIC KEY-----\n"
			      "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
			      "-----END PUBLIC KEY-----\n";
static const char rfc_signature[] =
	"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

static const char document[] = "{\"type\":\"x\",\"level\":\"secret\",\"n\":1}";

static struct signature_public public;

/* A whole signed line in a heap block. */
static char *signed_line(const uint8_t key[SIGNATURE_KEY_BYTES])
{
	char value[SIGNATURE_TEXT_BYTES], *line = NULL;
	struct signature_public of_key;

	assert_int_equal(signature_public(key, &of_key), 0);
	assert_int_equal(signature_make(key, document, strlen(document), value), 0);
	int n = asprintf(&line,
		"%.*s,\"signature\":{\"algorithm\":\"Ed25519\",\"key_id\":\"%s\",\"value\":\"%s\"}"
		"}",
		(int)strlen(document) - 1, document, of_key.id, value);
	assert_true(n > 0);
	return line;
}

static int verify(const char *line)
{
	char signer[SIGNATURE_ID_BYTES];
	return signature_verify(line, strlen(line), &public, signer);
}

static int make_public(void **state)
{
	(void)state;
	return signature_public(rfc_key, &public);
}

static void keys_and_signatures_are_those_of_the_standard(void **state)
{
	char value[SIGNATURE_TEXT_BYTES];

	(void)state;
	assert_string_equal(public.pem, rfc_pem);
	assert_int_equal(signature_make(rfc_key, "", 0, value), 0);
	assert_string_equal(value, rfc_signature);
}

static void a_signed_line_is_verified_with_and_without_its_newline(void **state)
{
	char *line = signed_line(rfc_key), more[2048];

	(void)state;
	assert_int_equal(verify(line), 0);
	(void)snprintf(more, sizeof(more), "%s\n", line);
	assert_int_equal(verify(more), 0);
	(void)snprintf(more, sizeof(more), "%s\n\n", line);
	assert_int_not_equal(verify(more), 0);
	(void)snprintf(more, sizeof(more), " %s", line);
	assert_int_not_equal(verify(more), 0);
	free(line);
}

static void every_changed_byte_is_refused(void **state)
{
	char *line = signed_line(rfc_key);

	(void)state;
	for (size_t at = 0; line[at]; at++) {
		for (char bit = 1; bit <= 32; bit = (char)(bit * 2)) {
			line[at] ^= bit;
			assert_int_not_equal(verify(line), 0);
			line[at] ^= bit;
		}
	}
	assert_int_equal(verify(line), 0);
	free(line);
}

static void every_cut_is_refused(void **state)
{
	char signer[SIGNATURE_ID_BYTES], *line = signed_line(rfc_key);
	size_t len = strlen(line);

	(void)state;
	for (size_t cut = 1; cut <= len; cut++) {
		assert_int_not_equal(signature_verify(line, len - cut, &public, signer), 0);
		assert_int_not_equal(signature_verify(line + cut, len - cut, &public, signer), 0);
	}
	free(line);
}

static void members_in_another_order_are_refused(void **state)
{
	static const char moved[] = "{\"level\":\"secret\",\"type\":\"x\",\"n\":1";
	char *line = signed_line(rfc_key);

	(void)state;
	memcpy(line, moved, strlen(moved));
	assert_int_equal(verify(line), -EBADMSG);
	free(line);
}

static void what_is_not_signed_is_told_from_what_was_changed(void **state)
{
	char *line = signed_line(rfc_key);

	(void)state;
	assert_int_equal(verify(document), -ENODATA);
	assert_int_equal(verify(""), -ENODATA);
	assert_int_equal(verify("\n"), -ENODATA);
	line[10] ^= 1;
	assert_int_equal(verify(line), -EBADMSG);
	free(line);
}

static void another_key_is_told_and_cannot_be_claimed(void **state)
{
	uint8_t other[SIGNATURE_KEY_BYTES] = {1};
	struct signature_public of_other;
	char signer[SIGNATURE_ID_BYTES], *line = signed_line(other);

	(void)state;
	assert_int_equal(signature_public(other, &of_other), 0);
	assert_int_equal(signature_verify(line, strlen(line), &public, signer), -ENOKEY);
	assert_string_equal(signer, of_other.id);
	/* Signed with the other, but naming the one that is asked for. */
	memcpy(strstr(line, "\"key_id\":\"") + 10, public.id, strlen(public.id));
	assert_int_equal(verify(line), -EBADMSG);
	free(line);
}

static void only_an_ed25519_public_key_is_taken(void **state)
{
	static const char x25519[] =
		"-----BEGIN PUBLIC KEY-----\n"
		"MCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
		"-----END PUBLIC KEY-----\n";
	struct signature_public read;

	(void)state;
	assert_int_equal(signature_read_pem(rfc_pem, strlen(rfc_pem), &read), 0);
	assert_string_equal(read.id, public.id);
	assert_int_equal(signature_read_pem(x25519, strlen(x25519), &read), -EINVAL);
	assert_int_equal(signature_read_pem("", 0, &read), -EINVAL);
	assert_int_equal(signature_read_pem("no key", 6, &read), -EINVAL);
	assert_int_equal(signature_read_pem(rfc_pem, strlen(rfc_pem) / 2, &read), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_signatures_are_those_of_the_standard),
		cmocka_unit_test(a_signed_line_is_verified_with_and_without_its_newline),
		cmocka_unit_test(every_changed_byte_is_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(members_in_another_order_are_refused),
		cmocka_unit_test(what_is_not_signed_is_told_from_what_was_changed),
		cmocka_unit_test(another_key_is_told_and_cannot_be_claimed),
		cmocka_unit_test(only_an_ed25519_public_key_is_taken),
	};
	return cmocka_run_group_tests_name("signature", tests, make_public, NULL);
}
