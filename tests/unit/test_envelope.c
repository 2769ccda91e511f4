/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/store/envelope.h, keyd/store/recipients.h: only who shall open an export can, and a changed one nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "envelope.h"
#include "keyadm_cms.h"
#include "recipients.h"
#include "secret.h"
#include "scratch.h"

enum { PASSES_AT = 16, MEMORY_AT = 20, ID_AT = 40, CERTIFICATES_CAP = 32 * 1024 };

static const uint8_t plain[] = "what nobody else may read: forty-two bytes";
static const char id[LEDGER_ID_BYTES] = "exp-0123456789abcdef";
static uint8_t certificates[CERTIFICATES_CAP];
static size_t certificates_len;

/* OpenSSL's memory as it is given back: with the plaintext in it, somebody forgot to wipe. */
static unsigned dirty;

static void look_at(void *memory)
{
	if (memory && memmem(memory, malloc_usable_size(memory), plain, 16))
		dirty++;
}

static void *get(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(bytes);
}

static void give_back(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	look_at(memory);
	free(memory);
}

/* Never in place, so that what is left behind is seen. */
static void *get_more(void *memory, size_t bytes, const char *file, int line)
{
	void *more = bytes ? malloc(bytes) : NULL;

	if (more && memory) {
		size_t had = malloc_usable_size(memory);
		memcpy(more, memory, had < bytes ? had : bytes);
	}
	if (more || !bytes)
		give_back(memory, file, line);
	return more;
}

static struct proto_passphrase words(const char *text)
{
	struct proto_passphrase p = {.len_bytes = (uint32_t)strlen(text)};

	memcpy(p.bytes, text, p.len_bytes);
	return p;
}

static int open_with(const uint8_t *file, size_t len, const char *text)
{
	const struct proto_passphrase p = words(text);
	uint8_t *opened = NULL;
	size_t opened_len = 0;

	int rc = envelope_open(file, len, &p, &opened, &opened_len);
	if (!rc) {
		assert_int_equal(opened_len, sizeof(plain));
		assert_memory_equal(opened, plain, sizeof(plain));
	}
	secret_free(opened);
	return rc;
}

static void digest_again(uint8_t *file, size_t len)
{
	assert_non_null(
		SHA256(file, len - SHA256_DIGEST_LENGTH, file + len - SHA256_DIGEST_LENGTH));
}

static void the_passphrase_opens_it_and_no_other(void **state)
{
	const struct proto_passphrase right = words("correct horse"), brief = words("seven b");
	uint8_t *file;
	size_t len;

	(void)state;
	assert_int_equal(
		envelope_seal(plain, sizeof(plain), id, &brief, &file, &len), -EKEYREJECTED);
	assert_int_equal(envelope_seal(plain, sizeof(plain), id, &right, &file, &len), 0);
	assert_null(memmem(file, len, plain, 8));
	assert_string_equal((const char *)file + ID_AT, id);
	assert_int_equal(open_with(file, len, "correct horse"), 0);
	assert_int_equal(open_with(file, len, "correct hors"), -EKEYREJECTED);
	free(file);
}

static void a_changed_or_cut_file_is_damaged(void **state)
{
	const struct proto_passphrase right = words("correct horse");
	uint8_t *file;
	size_t len;

	(void)state;
	assert_int_equal(envelope_seal(plain, sizeof(plain), id, &right, &file, &len), 0);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(open_with(file, n, "correct horse"), -EBADMSG);
	for (size_t at = 0; at < len; at++) {
		file[at] ^= 0x40;
		int rc = open_with(file, len, "correct horse");
		assert_true(rc == -EBADMSG || (rc == -EPROTONOSUPPORT && at >= 14 && at < 16));
		file[at] ^= 0x40;
	}
	/* With a right digest the number is still sealed with the rest. */
	file[ID_AT + 4] ^= 1;
	digest_again(file, len);
	assert_int_equal(open_with(file, len, "correct horse"), -EKEYREJECTED);
	free(file);
}

/* keyd does nothing else meanwhile. */
static void a_file_that_asks_for_too_much_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} wrong[] = {{PASSES_AT, 0}, {PASSES_AT, 9}, {PASSES_AT, UINT32_MAX}, {MEMORY_AT, 0},
		{MEMORY_AT, 8191}, {MEMORY_AT, 262145}, {MEMORY_AT, UINT32_MAX}};
	const struct proto_passphrase right = words("correct horse");
	uint8_t *file;
	size_t len;

	(void)state;
	assert_int_equal(envelope_seal(plain, sizeof(plain), id, &right, &file, &len), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint32_t was;
		memcpy(&was, file + wrong[i].at, sizeof(was));
		memcpy(file + wrong[i].at, &wrong[i].value, sizeof(was));
		digest_again(file, len);
		assert_int_equal(open_with(file, len, "correct horse"), -EBADMSG);
		memcpy(file + wrong[i].at, &was, sizeof(was));
	}
	free(file);
}

static void add_usage(X509 *certificate, const char *usage)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, usage);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* A self-signed certificate of key, valid from and to seconds from now. */
static X509 *certify(EVP_PKEY *key, const char *name, long from, long to, const char *usage)
{
	X509 *certificate = X509_new();

	assert_non_null(certificate);
	X509_NAME *subject = X509_get_subject_name(certificate);
	assert_int_equal(X509_set_version(certificate, 2), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
				 (const unsigned char *)name, -1, -1, 0),
		1);
	assert_int_equal(X509_set_issuer_name(certificate, subject), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), from));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), to));
	assert_int_equal(X509_set_pubkey(certificate, key), 1);
	if (usage)
		add_usage(certificate, usage);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	return certificate;
}

static void add_certificate(X509 *certificate)
{
	uint8_t *to = certificates + certificates_len;
	int len = i2d_X509(certificate, &to);

	assert_true(len > 0);
	certificates_len += (size_t)len;
	X509_free(certificate);
}

static int no_certificates(void **state)
{
	certificates_len = 0;
	return scratch_make(state);
}

static void write_key(EVP_PKEY *key, const char *name)
{
	FILE *f = fopen(scratch_path(name), "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(f), 0);
}

static void each_recipient_opens_it_and_no_stranger(void **state)
{
	static const char *const groups[] = {"P-256", "P-384", "P-521"};
	EVP_PKEY *keys[5] = {EVP_RSA_gen(2048), NULL, NULL, NULL, EVP_RSA_gen(2048)};
	struct recipients to;
	char why[RECIPIENTS_WHY_BYTES];
	uint8_t *file, *opened;
	size_t len, opened_len;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		keys[i + 1] = EVP_EC_gen(groups[i]);
	for (size_t i = 0; i < 4; i++)
		add_certificate(certify(keys[i], "somebody", -60, 60, NULL));
	assert_int_equal(recipients_parse(&to, certificates, certificates_len, why), 0);
	assert_int_equal(to.count, 4);
	assert_string_equal(to.items[0].subject, "/CN=somebody");
	assert_int_equal(recipients_seal(&to, plain, sizeof(plain), &file, &len), 0);
	assert_null(memmem(file, len, plain, 8));
	for (size_t i = 0; i < 5; i++) {
		write_key(keys[i], "key.pem");
		int err = keyadm_cms_open(
			file, len, scratch_path("key.pem"), NULL, &opened, &opened_len);
		assert_int_equal(err, i < 4 ? 0 : -EKEYREJECTED);
		if (!err) {
			assert_int_equal(opened_len, sizeof(plain));
			assert_memory_equal(opened, plain, sizeof(plain));
			secret_free(opened);
		}
		EVP_PKEY_free(keys[i]);
	}
	assert_int_equal(dirty, 0);
	free(file);
	recipients_clear(&to);
}

static void a_changed_or_cut_envelope_does_not_open(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct recipients to;
	char why[RECIPIENTS_WHY_BYTES];
	uint8_t *file, *opened = NULL;
	size_t len, opened_len;

	(void)state;
	add_certificate(certify(key, "somebody", -60, 60, NULL));
	write_key(key, "key.pem");
	assert_int_equal(recipients_parse(&to, certificates, certificates_len, why), 0);
	assert_int_equal(recipients_seal(&to, plain, sizeof(plain), &file, &len), 0);
	for (size_t at = 0; at < len; at++) {
		file[at] ^= 0x01;
		int err = keyadm_cms_open(
			file, len, scratch_path("key.pem"), NULL, &opened, &opened_len);
		/* The issuer's name and the like say for whom it is; no key depends on them. */
		if (!err) {
			assert_int_equal(opened_len, sizeof(plain));
			assert_memory_equal(opened, plain, sizeof(plain));
			assert_true(at < len - sizeof(plain) - 16);
			secret_free(opened);
		}
		file[at] ^= 0x01;
	}
	for (size_t n = 0; n < len; n++)
		assert_true(keyadm_cms_open(file, n, scratch_path("key.pem"), NULL, &opened,
				    &opened_len) < 0);
	free(file);
	recipients_clear(&to);
	EVP_PKEY_free(key);
}

static void unfit_certificates_are_refused_with_a_reason(void **state)
{
	const struct {
		EVP_PKEY *key;
		long from, to;
		const char *usage, *why;
	} unfit[] = {
		{EVP_RSA_gen(2048), -60, -30, NULL, "expired"},
		{EVP_RSA_gen(2048), 30, 60, NULL, "not valid yet"},
		{EVP_RSA_gen(1024), -60, 60, NULL, "less than 2048"},
		{EVP_RSA_gen(2048), -60, 60, "digitalSignature", "keyEncipherment"},
		{EVP_EC_gen("P-256"), -60, 60, "digitalSignature", "keyAgreement"},
		{EVP_EC_gen("P-224"), -60, 60, NULL, "another kind"},
	};
	struct recipients to;
	char why[RECIPIENTS_WHY_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
		certificates_len = 0;
		add_certificate(certify(
			unfit[i].key, "somebody", unfit[i].from, unfit[i].to, unfit[i].usage));
		assert_int_equal(
			recipients_parse(&to, certificates, certificates_len, why), -EINVAL);
		if (!strstr(why, unfit[i].why))
			fail_msg("%s: %s", unfit[i].why, why);
		recipients_clear(&to);
		EVP_PKEY_free(unfit[i].key);
	}
}

static void what_is_no_certificate_is_refused(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct recipients to;
	char why[RECIPIENTS_WHY_BYTES];

	(void)state;
	add_certificate(certify(key, "somebody", -60, 60, "keyAgreement"));
	for (size_t n = 1; n < certificates_len; n++) {
		assert_int_equal(recipients_parse(&to, certificates, n, why), -EINVAL);
		recipients_clear(&to);
	}
	assert_int_equal(recipients_parse(&to, certificates, certificates_len + 1, why), -EINVAL);
	recipients_clear(&to);
	size_t one = certificates_len;
	for (size_t i = 1; i <= RECIPIENTS_MAX; i++)
		memcpy(certificates + i * one, certificates, one);
	assert_int_equal(recipients_parse(&to, certificates, RECIPIENTS_MAX * one, why), 0);
	recipients_clear(&to);
	assert_int_equal(
		recipients_parse(&to, certificates, (RECIPIENTS_MAX + 1) * one, why), -EINVAL);
	recipients_clear(&to);
	EVP_PKEY_free(key);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, no_certificates, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_passphrase_opens_it_and_no_other),
		cmocka_unit_test(a_changed_or_cut_file_is_damaged),
		cmocka_unit_test(a_file_that_asks_for_too_much_is_refused),
		TEST(each_recipient_opens_it_and_no_stranger),
		TEST(a_changed_or_cut_envelope_does_not_open),
		TEST(unfit_certificates_are_refused_with_a_reason),
		TEST(what_is_no_certificate_is_refused),
	};
	if (CRYPTO_set_mem_functions(get, get_more, give_back) != 1)
		return 1;
	return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
