/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "wrap.h"

#include <errno.h>
#include <stdbool.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "secret.h"
#include "text.h"

enum { PLAIN_BYTES_MAX = 64 * 1024 * 1024 }; /* a key, or an export */

int wrap_seal(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t *out)
{
	uint8_t *nonce = out;
	uint8_t *cipher = out + WRAP_NONCE_BYTES;
	uint8_t *tag = cipher + len_bytes;
	int n, rc = -EIO;

	if (aad_bytes > WRAP_AAD_BYTES_MAX || len_bytes > PLAIN_BYTES_MAX)
		return -EINVAL;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx || RAND_bytes(nonce, WRAP_NONCE_BYTES) != 1)
		goto out;
	if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, wrapping_key, nonce) != 1 ||
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

int wrap_open(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *in, size_t in_bytes, uint8_t *plain)
{
	if (in_bytes < WRAP_OVERHEAD_BYTES || in_bytes > PLAIN_BYTES_MAX + WRAP_OVERHEAD_BYTES ||
		aad_bytes > WRAP_AAD_BYTES_MAX)
		return -EBADMSG;

	size_t len_bytes = in_bytes - WRAP_OVERHEAD_BYTES;
	const uint8_t *cipher = in + WRAP_NONCE_BYTES;
	uint8_t tag[WRAP_TAG_BYTES], rest[EVP_MAX_BLOCK_LENGTH];
	int n, rc = -EIO;

	for (size_t i = 0; i < sizeof(tag); i++)
		tag[i] = cipher[len_bytes + i];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx || EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, wrapping_key, in) != 1 ||
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

int wrap_new_key(uint8_t *key, size_t len_bytes)
{
	/* The private generator: its state is never seen through public values such as nonces. */
	return RAND_priv_bytes(key, (int)len_bytes) == 1 ? 0 : -EIO;
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
