/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "essiv.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>

#include <openssl/sha.h>

enum { KEY_BYTES = 32, IV_BYTES = 16 };

int essiv_open(struct essiv *c, const char *keyfile)
{
	uint8_t key[KEY_BYTES], hash[SHA256_DIGEST_LENGTH];
	FILE *f = fopen(keyfile, "r");
	size_t n = f ? fread(key, 1, sizeof(key), f) : 0;

	if (f)
		(void)fclose(f);
	c->data = EVP_CIPHER_CTX_new();
	c->iv = EVP_CIPHER_CTX_new();
	if (n != sizeof(key) || !c->data || !c->iv)
		return -EIO;
	SHA256(key, sizeof(key), hash);
	if (!EVP_DecryptInit_ex(c->data, EVP_aes_256_cbc(), NULL, key, NULL) ||
		!EVP_EncryptInit_ex(c->iv, EVP_aes_256_ecb(), NULL, hash, NULL))
		return -EIO;
	EVP_CIPHER_CTX_set_padding(c->iv, 0);
	return 0;
}

int essiv_decrypt(struct essiv *c, uint8_t *sector, size_t sector_bytes, uint64_t offset_bytes)
{
	uint64_t number[2] = {htole64(offset_bytes / 512), 0};
	uint8_t iv[IV_BYTES];
	int n;

	if (!EVP_EncryptUpdate(c->iv, iv, &n, (const uint8_t *)number, IV_BYTES) ||
		!EVP_DecryptInit_ex(c->data, NULL, NULL, NULL, iv))
		return -EIO;
	EVP_CIPHER_CTX_set_padding(c->data, 0);
	return EVP_DecryptUpdate(c->data, sector, &n, sector, (int)sector_bytes) &&
			       n == (int)sector_bytes
		       ? 0
		       : -EIO;
}

void essiv_close(struct essiv *c)
{
	EVP_CIPHER_CTX_free(c->data);
	EVP_CIPHER_CTX_free(c->iv);
}
