/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "wrap.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "random.h"
#include "secret.h"
#include "text.h"

enum { PLAIN_BYTES_MAX = 64 * 1024 * 1024 }; /* a key, or an export */

/* What one file is encrypted with. */
struct file_key {
	uint8_t key[WRAP_KEY_BYTES];
	uint8_t nonce[WRAP_NONCE_BYTES];
};
_Static_assert(sizeof(struct file_key) == WRAP_KEY_BYTES + WRAP_NONCE_BYTES, "no padding");

static OSSL_PARAM bytes_param(const char *name, const void *bytes, size_t len_bytes)
{
	/* OpenSSL only reads them. */
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes, len_bytes);
}

/* HKDF-SHA256. info tells the uses of one key apart. */
static int derive(const uint8_t *key, size_t key_bytes, const uint8_t salt[WRAP_SALT_BYTES],
	const char *info, void *out, size_t out_bytes)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		bytes_param(OSSL_KDF_PARAM_KEY, key, key_bytes),
		bytes_param(OSSL_KDF_PARAM_SALT, salt, WRAP_SALT_BYTES),
		bytes_param(OSSL_KDF_PARAM_INFO, info, strlen(info)),
		OSSL_PARAM_construct_end(),
	};

	EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
	bool done = ctx && EVP_KDF_derive(ctx, out, out_bytes, params) == 1;
	EVP_KDF_CTX_free(ctx); /* cleanses its copy of the key */
	EVP_KDF_free(hkdf);
	return done ? 0 : -EIO;
}

/* HMAC-SHA256 of the length of aad, little-endian, aad, and plain. */
static int code_over(const uint8_t key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t code[WRAP_SALT_BYTES])
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	const uint64_t aad_le = htole64(aad_bytes);
	size_t code_bytes = 0;

	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	bool done = ctx && EVP_MAC_init(ctx, key, WRAP_KEY_BYTES, params) == 1 &&
		    EVP_MAC_update(ctx, (const uint8_t *)&aad_le, sizeof(aad_le)) == 1 &&
		    (!aad_bytes || EVP_MAC_update(ctx, aad, aad_bytes) == 1) &&
		    (!len_bytes || EVP_MAC_update(ctx, plain, len_bytes) == 1) &&
		    EVP_MAC_final(ctx, code, &code_bytes, WRAP_SALT_BYTES) == 1 &&
		    code_bytes == WRAP_SALT_BYTES;
	EVP_MAC_CTX_free(ctx); /* cleanses what it has of key and plain */
	EVP_MAC_free(hmac);
	return done ? 0 : -EIO;
}

int wrap_new_salt(const uint8_t *key, size_t key_bytes, const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t salt[WRAP_SALT_BYTES])
{
	uint8_t random[WRAP_SALT_BYTES], mac_key[WRAP_KEY_BYTES];

	int rc = random_fill(random, sizeof(random));
	if (!rc)
		rc = derive(
			key, key_bytes, random, "tgt-crypt wrap v2 salt", mac_key, sizeof(mac_key));
	if (!rc)
		rc = code_over(mac_key, aad, aad_bytes, plain, len_bytes, salt);
	secret_wipe(mac_key, sizeof(mac_key));
	secret_wipe(random, sizeof(random));
	return rc;
}

static int encrypt(const uint8_t *key, const uint8_t *nonce, const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t *cipher)
{
	uint8_t *tag = cipher + len_bytes;
	int n, rc = -EIO;

	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
		EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_bytes) != 1)
		goto out;
	if (len_bytes && EVP_EncryptUpdate(ctx, cipher, &n, plain, (int)len_bytes) != 1)
		goto out;
	if (EVP_EncryptFinal_ex(ctx, tag, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, WRAP_TAG_BYTES, tag) != 1)
		goto out;
	rc = 0;
out:
	EVP_CIPHER_CTX_free(ctx); /* cleanses the key schedule */
	return rc;
}

int wrap_seal(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t *out)
{
	struct file_key file_key;

	if (aad_bytes > WRAP_AAD_BYTES_MAX || len_bytes > PLAIN_BYTES_MAX)
		return -EINVAL;
	int rc = wrap_new_salt(wrapping_key, WRAP_KEY_BYTES, aad, aad_bytes, plain, len_bytes, out);
	if (!rc)
		rc = derive(wrapping_key, WRAP_KEY_BYTES, out, "tgt-crypt wrap v2", &file_key,
			sizeof(file_key));
	if (!rc)
		rc = encrypt(file_key.key, file_key.nonce, aad, aad_bytes, plain, len_bytes,
			out + WRAP_SALT_BYTES);
	secret_wipe(&file_key, sizeof(file_key));
	return rc;
}

/* plain[0 .. len_bytes) from cipher, which the tag follows; wiped unless all is as it was sealed. */
static int decrypt(const uint8_t *key, const uint8_t *nonce, const void *aad, size_t aad_bytes,
	const uint8_t *cipher, size_t len_bytes, uint8_t *plain)
{
	uint8_t tag[WRAP_TAG_BYTES], rest[EVP_MAX_BLOCK_LENGTH];
	int n, rc = -EIO;

	memcpy(tag, cipher + len_bytes, sizeof(tag));
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx || EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
		EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_bytes) != 1)
		goto out;
	if (len_bytes && EVP_DecryptUpdate(ctx, plain, &n, cipher, (int)len_bytes) != 1)
		goto out;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, WRAP_TAG_BYTES, tag) != 1)
		goto out;
	rc = EVP_DecryptFinal_ex(ctx, rest, &n) == 1 ? 0 : -EBADMSG;
out:
	if (rc)
		secret_wipe(plain, len_bytes);
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

static bool can_open(size_t in_bytes, size_t overhead_bytes, size_t aad_bytes)
{
	return in_bytes >= overhead_bytes && in_bytes - overhead_bytes <= PLAIN_BYTES_MAX &&
	       aad_bytes <= WRAP_AAD_BYTES_MAX;
}

int wrap_open(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *in, size_t in_bytes, uint8_t *plain)
{
	struct file_key file_key;

	if (!can_open(in_bytes, WRAP_OVERHEAD_BYTES, aad_bytes))
		return -EBADMSG;
	int rc = derive(
		wrapping_key, WRAP_KEY_BYTES, in, "tgt-crypt wrap v2", &file_key, sizeof(file_key));
	if (!rc)
		rc = decrypt(file_key.key, file_key.nonce, aad, aad_bytes, in + WRAP_SALT_BYTES,
			in_bytes - WRAP_OVERHEAD_BYTES, plain);
	secret_wipe(&file_key, sizeof(file_key));
	return rc;
}

int wrap_open_old(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *in, size_t in_bytes, uint8_t *plain)
{
	if (!can_open(in_bytes, WRAP_OLD_OVERHEAD_BYTES, aad_bytes))
		return -EBADMSG;
	return decrypt(wrapping_key, in, aad, aad_bytes, in + WRAP_NONCE_BYTES,
		in_bytes - WRAP_OLD_OVERHEAD_BYTES, plain);
}

int wrap_new_key(uint8_t *key, size_t len_bytes)
{
	return random_fill(key, len_bytes);
}

int wrap_fingerprint(const uint8_t *key, size_t len_bytes, char out[FINGERPRINT_BYTES])
{
	static const char label[] = "tgt-crypt key fingerprint v1";
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int digest_bytes;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	bool done = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
		    EVP_DigestUpdate(ctx, label, sizeof(label) - 1) == 1 &&
		    EVP_DigestUpdate(ctx, key, len_bytes) == 1 &&
		    EVP_DigestFinal_ex(ctx, digest, &digest_bytes) == 1;
	EVP_MD_CTX_free(ctx);
	if (!done)
		return -EIO;
	text_hex(digest, (FINGERPRINT_BYTES - 1) / 2, out);
	return 0;
}
