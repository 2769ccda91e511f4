/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * unseal KEYS SEALED >KEY: opens a sealed file of the key store as docs/KEYSTORE.md tells, with
 * nothing of keyd in it. Every 32 bytes in a row of the file KEYS are tried as the key it is sealed
 * under. "root" as KEYS writes the root key that is in SEALED, a root.key.
 * Exit status 0: opened, 1: does not open, 2: usage.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/kdf.h>

static const char info[] = "tgt-crypt wrap v2";

enum {
	KEY_BYTES = 32,
	NONCE_BYTES = 12,
	SALT_BYTES = 32,
	TAG_BYTES = 16,
	HEADER_BYTES = 232,
	VERSION_OFFSET = 8, /* before 3 the file has a nonce in place of the salt */
	K_OFFSET = 12,      /* bytes of the sealed key */
	B_OFFSET = 52,      /* bytes of the body */
	ROOT_OFFSET = 16,
	FILE_BYTES_MAX = 1 << 20,
};

static uint32_t get_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t read_file(const char *path, uint8_t *buf, size_t cap_bytes)
{
	FILE *f = fopen(path, "r");

	if (!f)
		return 0;
	size_t got = fread(buf, 1, cap_bytes, f);
	fclose(f);
	return got;
}

/* HKDF-SHA256 of the wrapping key and the salt: key and nonce of this file. */
static bool derive(const uint8_t wrapping_key[KEY_BYTES], const uint8_t *salt,
	uint8_t out[KEY_BYTES + NONCE_BYTES])
{
	size_t len = KEY_BYTES + NONCE_BYTES;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);

	bool done =
		ctx && EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) == 1 &&
		EVP_PKEY_CTX_set1_hkdf_key(ctx, wrapping_key, KEY_BYTES) == 1 &&
		EVP_PKEY_CTX_set1_hkdf_salt(ctx, salt, SALT_BYTES) == 1 &&
		EVP_PKEY_CTX_add1_hkdf_info(ctx, (const uint8_t *)info, sizeof(info) - 1) == 1 &&
		EVP_PKEY_derive(ctx, out, &len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return done;
}

/* AES-256-GCM: sealed[0 .. key_bytes), then the tag. */
static bool decrypt(const uint8_t *file_key, const uint8_t *nonce, const uint8_t *file, size_t aad,
	const uint8_t *sealed, size_t key_bytes, uint8_t *key)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG_BYTES];
	int n;

	memcpy(tag, sealed + key_bytes, sizeof(tag));
	bool good = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, file_key, nonce) == 1 &&
		    EVP_DecryptUpdate(ctx, NULL, &n, file, (int)aad) == 1 &&
		    EVP_DecryptUpdate(ctx, key, &n, sealed, (int)key_bytes) == 1 &&
		    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
		    EVP_DecryptFinal_ex(ctx, key + key_bytes, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return good;
}

/* The key's length, 0 when the file does not open. */
static size_t unseal(
	const uint8_t wrapping_key[KEY_BYTES], const uint8_t *file, size_t len, uint8_t *key)
{
	size_t key_bytes = get_le32(file + K_OFFSET),
	       aad = HEADER_BYTES + get_le32(file + B_OFFSET);
	size_t salt_bytes = file[VERSION_OFFSET] < 3 ? NONCE_BYTES : SALT_BYTES;
	uint8_t derived[KEY_BYTES + NONCE_BYTES];

	if (key_bytes > 2 * KEY_BYTES || len != aad + salt_bytes + key_bytes + TAG_BYTES)
		return 0;
	const uint8_t *salt = file + aad, *sealed = salt + salt_bytes;
	bool good = salt_bytes == NONCE_BYTES
			    ? decrypt(wrapping_key, salt, file, aad, sealed, key_bytes, key)
			    : derive(wrapping_key, salt, derived) &&
				      decrypt(derived, derived + KEY_BYTES, file, aad, sealed,
					      key_bytes, key);
	return good ? key_bytes : 0;
}

/* The same with any 32 bytes of keys. */
static size_t unseal_with_any(
	const uint8_t *keys, size_t keys_len, const uint8_t *file, size_t len, uint8_t *key)
{
	size_t key_bytes = 0;

	if (len <= HEADER_BYTES)
		return 0;
	for (size_t at = 0; !key_bytes && at + KEY_BYTES <= keys_len; at++)
		key_bytes = unseal(keys + at, file, len, key);
	return key_bytes;
}

int main(int argc, char **argv)
{
	static uint8_t file[FILE_BYTES_MAX], keys[FILE_BYTES_MAX];
	uint8_t key[2 * KEY_BYTES + TAG_BYTES] = {0};
	size_t key_bytes = 0;

	if (argc != 3) {
		fputs("usage: unseal KEYS|root SEALED >KEY\n", stderr);
		return 2;
	}
	size_t len = read_file(argv[2], file, sizeof(file));
	if (strcmp(argv[1], "root")) {
		size_t keys_len = read_file(argv[1], keys, sizeof(keys));
		key_bytes = unseal_with_any(keys, keys_len, file, len, key);
	} else if (len >= ROOT_OFFSET + KEY_BYTES) {
		key_bytes = KEY_BYTES;
		memcpy(key, file + ROOT_OFFSET, key_bytes);
	}
	if (!key_bytes)
		fprintf(stderr, "unseal: %s does not open\n", argv[2]);
	return key_bytes && fwrite(key, 1, key_bytes, stdout) == key_bytes ? 0 : 1;
}
