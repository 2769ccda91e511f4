/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "recipients.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "jsonhelp.h"
#include "text.h"

enum { RSA_BITS_MIN = 2048, GROUP_NAME_BYTES = 64 };

static int describe(struct recipient *r)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned digest_bytes;
	char *line;

	if (X509_digest(r->certificate, EVP_sha256(), digest, &digest_bytes) != 1 ||
		digest_bytes != SHA256_DIGEST_LENGTH)
		return -EIO;
	text_hex(digest, digest_bytes, r->sha256);
	line = X509_NAME_oneline(X509_get_subject_name(r->certificate), NULL, 0);
	if (!line)
		return -EIO;
	text_sanitize(r->subject, sizeof(r->subject), line);
	OPENSSL_free(line);
	return 0;
}

/* NULL when the key is one that keys may be sealed for, else what is wrong with it. */
static const char *key_problem(EVP_PKEY *key)
{
	static const char *const groups[] = {"prime256v1", "secp384r1", "secp521r1"};
	char group[GROUP_NAME_BYTES];

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN
			       ? NULL
			       : "its RSA key has less than 2048 bits: make a new one";
	case EVP_PKEY_EC:
		if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
			break;
		for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
			if (!strcmp(group, groups[i]))
				return NULL;
		}
		break;
	}
	return "its key is of another kind: RSA and the curves P-256, P-384 and P-521 can be used";
}

/* NULL when r may be a recipient, else what is wrong. */
static const char *problem(const struct recipient *r)
{
	EVP_PKEY *key = X509_get0_pubkey(r->certificate);
	if (!key)
		return "its public key cannot be read";
	if (X509_cmp_current_time(X509_get0_notBefore(r->certificate)) >= 0)
		return "it is not valid yet";
	if (X509_cmp_current_time(X509_get0_notAfter(r->certificate)) <= 0)
		return "it has expired: get a new one";
	const char *wrong = key_problem(key);
	if (wrong)
		return wrong;
	uint32_t needed =
		EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT;
	/* All bits are set when there is no such extension. */
	if (!(X509_get_key_usage(r->certificate) & needed))
		return needed == KU_KEY_ENCIPHERMENT
			       ? "its key usage lacks keyEncipherment: get one for encryption"
			       : "its key usage lacks keyAgreement: get one for encryption";
	return NULL;
}

static int take_one(struct recipients *to, const uint8_t **der, const uint8_t *end,
	char why[RECIPIENTS_WHY_BYTES])
{
	struct recipient *r = &to->items[to->count];

	r->certificate = d2i_X509(NULL, der, (long)(end - *der));
	if (!r->certificate) {
		(void)snprintf(why, RECIPIENTS_WHY_BYTES, "what was sent is no certificate");
		return -EINVAL;
	}
	to->count++;
	int rc = describe(r);
	if (rc)
		return rc;
	const char *wrong = problem(r);
	if (wrong)
		(void)snprintf(
			why, RECIPIENTS_WHY_BYTES, "the certificate of %s: %s", r->subject, wrong);
	return wrong ? -EINVAL : 0;
}

int recipients_parse(
	struct recipients *to, const uint8_t *der, size_t der_bytes, char why[RECIPIENTS_WHY_BYTES])
{
	const uint8_t *at = der, *end = der + der_bytes;
	int rc = 0;

	*to = (struct recipients){0};
	why[0] = '\0';
	if (der_bytes > LONG_MAX)
		return -EINVAL;
	while (!rc && at < end) {
		if (to->count == RECIPIENTS_MAX) {
			(void)snprintf(why, RECIPIENTS_WHY_BYTES,
				"an export has %d recipients at most", RECIPIENTS_MAX);
			rc = -EINVAL;
		} else {
			rc = take_one(to, &at, end, why);
		}
	}
	if (rc == -EIO)
		(void)snprintf(why, RECIPIENTS_WHY_BYTES, "a certificate cannot be read");
	ERR_clear_error();
	return rc;
}

struct json_object *recipients_json(const struct recipients *to)
{
	struct json_object *array = json_object_new_array();
	bool ok = array != NULL;

	for (size_t i = 0; ok && i < to->count; i++) {
		struct json_object *one = json_object_new_object();
		ok = json_add_string(one, "subject", to->items[i].subject) &&
		     json_add_string(one, "sha256", to->items[i].sha256);
		ok = json_append(array, one) && ok;
	}
	if (ok)
		return array;
	json_object_put(array);
	return NULL;
}

/* SHA-256 in place of the SHA-1 that both schemes have by default. */
static bool set_scheme(CMS_RecipientInfo *info, EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = CMS_RecipientInfo_get0_pkey_ctx(info);

	if (!ctx)
		return false;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
		       EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 &&
		       EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0;
	return EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) > 0;
}

static CMS_ContentInfo *new_envelope(const struct recipients *to)
{
	/* Partial: CMS_encrypt() itself would copy the content through buffers that nobody wipes. */
	CMS_ContentInfo *cms =
		CMS_encrypt(NULL, NULL, EVP_aes_256_gcm(), CMS_BINARY | CMS_PARTIAL | CMS_STREAM);
	bool ok = cms != NULL;

	for (size_t i = 0; ok && i < to->count; i++) {
		X509 *certificate = to->items[i].certificate;
		CMS_RecipientInfo *info = CMS_add1_recipient_cert(cms, certificate, CMS_KEY_PARAM);
		ok = info && set_scheme(info, X509_get0_pubkey(certificate));
	}
	if (ok)
		return cms;
	CMS_ContentInfo_free(cms);
	return NULL;
}

/* The cipher's BIO takes the plaintext where it lies; what it buffers is ciphertext. */
static bool encrypt(CMS_ContentInfo *cms, const uint8_t *plain, size_t plain_bytes)
{
	BIO *chain = CMS_dataInit(cms, NULL);
	bool ok = chain != NULL;

	while (ok && plain_bytes) {
		int n = BIO_write(chain, plain, plain_bytes < INT_MAX ? (int)plain_bytes : INT_MAX);
		ok = n > 0;
		if (ok) {
			plain += n;
			plain_bytes -= (size_t)n;
		}
	}
	ok = ok && BIO_flush(chain) > 0 && CMS_dataFinal(cms, chain) == 1;
	BIO_free_all(chain);
	return ok;
}

static int to_der(const CMS_ContentInfo *cms, uint8_t **file, size_t *file_bytes)
{
	int len = i2d_CMS_ContentInfo(cms, NULL);
	if (len <= 0)
		return -EIO;
	uint8_t *der = malloc((size_t)len), *to = der;
	if (!der)
		return -ENOMEM;
	if (i2d_CMS_ContentInfo(cms, &to) != len) {
		free(der);
		return -EIO;
	}
	*file = der; /* caller owns it */
	*file_bytes = (size_t)len;
	return 0;
}

int recipients_seal(const struct recipients *to, const uint8_t *plain, size_t plain_bytes,
	uint8_t **file, size_t *file_bytes)
{
	if (!to->count)
		return -EINVAL;
	CMS_ContentInfo *cms = new_envelope(to);
	int rc = cms && encrypt(cms, plain, plain_bytes) ? to_der(cms, file, file_bytes) : -EIO;
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return rc;
}

void recipients_clear(struct recipients *to)
{
	for (size_t i = 0; i < to->count; i++)
		X509_free(to->items[i].certificate);
	*to = (struct recipients){0};
}
