/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "signature.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "text.h"

enum { VALUE_BYTES = 64, VALUE_CHARS = 2 * VALUE_BYTES, ID_CHARS = SIGNATURE_ID_BYTES - 1 };

static const char before_id[] =
	",\"signature\":{\"algorithm\":\"" SIGNATURE_ALGORITHM "\",\"key_id\":\"";
static const char before_value[] = "\",\"value\":\"";
static const char after_value[] = "\"}}";

enum {
	ID_AT = sizeof(before_id) - 1,
	VALUE_AT = ID_AT + ID_CHARS + sizeof(before_value) - 1,
	END_AT = VALUE_AT + VALUE_CHARS,
	MEMBER_BYTES = END_AT + sizeof(after_value) - 1,
};

static int digest_of(EVP_PKEY *pkey, char id[SIGNATURE_ID_BYTES])
{
	uint8_t digest[SHA256_DIGEST_LENGTH], *der = NULL;

	int len = i2d_PUBKEY(pkey, &der);
	bool ok = len > 0 && SHA256(der, (size_t)len, digest);
	OPENSSL_free(der);
	if (!ok)
		return -EIO;
	text_hex(digest, sizeof(digest), id);
	return 0;
}

static int write_pem(EVP_PKEY *pkey, char pem[SIGNATURE_PEM_BYTES])
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = bio && PEM_write_bio_PUBKEY(bio, pkey) == 1;
	int len = ok ? BIO_read(bio, pem, SIGNATURE_PEM_BYTES - 1) : 0;

	BIO_free(bio);
	if (len <= 0)
		return -EIO;
	pem[len] = '\0';
	return 0;
}

static int fill_public(EVP_PKEY *pkey, struct signature_public *public)
{
	*public = (struct signature_public){0};
	int rc = write_pem(pkey, public->pem);
	return rc ? rc : digest_of(pkey, public->id);
}

static EVP_PKEY *private_key(const uint8_t key[SIGNATURE_KEY_BYTES])
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key, SIGNATURE_KEY_BYTES);
}

int signature_public(const uint8_t key[SIGNATURE_KEY_BYTES], struct signature_public *public)
{
	EVP_PKEY *pkey = private_key(key);
	if (!pkey)
		return -EIO;
	int rc = fill_public(pkey, public);
	EVP_PKEY_free(pkey); /* wipes its copy of the private key */
	return rc;
}

int signature_make(const uint8_t key[SIGNATURE_KEY_BYTES], const char *text, size_t len,
	char value[SIGNATURE_TEXT_BYTES])
{
	uint8_t bytes[VALUE_BYTES];
	size_t value_bytes = sizeof(bytes);

	EVP_PKEY *pkey = private_key(key);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = pkey && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		  EVP_DigestSign(ctx, bytes, &value_bytes, (const uint8_t *)text, len) == 1 &&
		  value_bytes == sizeof(bytes);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	if (!ok)
		return -EIO;
	text_hex(bytes, sizeof(bytes), value);
	return 0;
}

/* NULL: that is no Ed25519 public key. */
static EVP_PKEY *parse_pem(const char *pem, size_t len)
{
	BIO *bio = len < INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	if (pkey && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519)
		return pkey;
	EVP_PKEY_free(pkey);
	return NULL;
}

int signature_read_pem(const char *pem, size_t len, struct signature_public *public)
{
	EVP_PKEY *pkey = parse_pem(pem, len);
	if (!pkey)
		return -EINVAL;
	int rc = fill_public(pkey, public);
	EVP_PKEY_free(pkey);
	return rc ? -EINVAL : 0;
}

static int parse_hex(const char *hex, uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		const char *high = memchr(digits, hex[2 * i], 16);
		const char *low = memchr(digits, hex[2 * i + 1], 16);
		if (!high || !low)
			return -EBADMSG;
		bytes[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return 0;
}

/* The member "signature" at the end of text[0 .. len), or NULL: it is not signed. */
static const char *find_member(const char *text, size_t len)
{
	if (len < MEMBER_BYTES)
		return NULL;
	const char *member = text + len - MEMBER_BYTES;
	if (memcmp(member, before_id, sizeof(before_id) - 1) != 0 ||
		memcmp(member + ID_AT + ID_CHARS, before_value, sizeof(before_value) - 1) != 0 ||
		memcmp(member + END_AT, after_value, sizeof(after_value) - 1) != 0)
		return NULL;
	return member;
}

static int verify_bytes(EVP_PKEY *pkey, const char *member, const char *text, size_t covers)
{
	uint8_t value[VALUE_BYTES];

	int rc = parse_hex(member + VALUE_AT, value, sizeof(value));
	if (rc)
		return rc;
	char *whole = malloc(covers + 1);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	rc = -ENOMEM;
	if (whole && ctx) {
		memcpy(whole, text, covers);
		whole[covers] = '}';
		bool ok = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
			  EVP_DigestVerify(ctx, value, sizeof(value), (const uint8_t *)whole,
				  covers + 1) == 1;
		rc = ok ? 0 : -EBADMSG;
	}
	EVP_MD_CTX_free(ctx);
	free(whole);
	return rc;
}

int signature_verify(const char *text, size_t len, const struct signature_public *public,
	char signer[SIGNATURE_ID_BYTES])
{
	signer[0] = '\0';
	if (len && text[len - 1] == '\n')
		len--;
	const char *member = find_member(text, len);
	if (!member)
		return -ENODATA;
	memcpy(signer, member + ID_AT, ID_CHARS);
	signer[ID_CHARS] = '\0';
	if (strcmp(signer, public->id) != 0)
		return -ENOKEY;
	EVP_PKEY *pkey = parse_pem(public->pem, strlen(public->pem));
	if (!pkey)
		return -EINVAL;
	int rc = verify_bytes(pkey, member, text, (size_t)(member - text));
	EVP_PKEY_free(pkey);
	return rc;
}
