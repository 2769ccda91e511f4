/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The portable engine: OpenSSL's EVP. One context for each direction and slot, keyed once; a sector
 * only sets the IV. EVP_CIPHER_CTX_free() cleanses the key schedules.
 */
#include "crypt.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "secret.h"

enum {
	BLOCK_BYTES = 16,
	SECTOR_UNIT_BYTES = 512, /* what sector numbers count */
	IV_BATCH = 64,           /* sectors whose IVs are made by one call */
	ESSIV_KEY_BYTES = 32,
};

struct evp_slot {
	EVP_CIPHER_CTX *encrypt;
	EVP_CIPHER_CTX *decrypt;
	EVP_CIPHER_CTX *essiv; /* NULL: the plain sector number is the IV */
};

struct openssl_context {
	struct crypt_context context;
	uint32_t sector_bytes;
	unsigned slot_count;
	struct evp_slot slots[];
};

static bool openssl_available(const struct crypt_engine *engine)
{
	(void)engine;
	return true;
}

static EVP_CIPHER_CTX *keyed(const EVP_CIPHER *cipher, const uint8_t *key, int encrypt)
{
	EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();

	if (evp && EVP_CipherInit_ex(evp, cipher, NULL, key, NULL, encrypt) == 1 &&
		EVP_CIPHER_CTX_set_padding(evp, 0) == 1)
		return evp;
	EVP_CIPHER_CTX_free(evp);
	return NULL;
}

static EVP_CIPHER_CTX *essiv_keyed(const uint8_t *key, size_t key_bytes)
{
	uint8_t digest[ESSIV_KEY_BYTES];
	EVP_CIPHER_CTX *evp = NULL;

	if (EVP_Digest(key, key_bytes, digest, NULL, EVP_sha256(), NULL) == 1)
		evp = keyed(EVP_aes_256_ecb(), digest, 1);
	secret_wipe(digest, sizeof(digest));
	return evp;
}

static struct openssl_context *openssl_of(struct crypt_context *ctx)
{
	return (struct openssl_context *)ctx;
}

static void openssl_context_free(struct crypt_context *context)
{
	struct openssl_context *ctx = openssl_of(context);

	for (unsigned i = 0; i < ctx->slot_count; i++) {
		EVP_CIPHER_CTX_free(ctx->slots[i].encrypt);
		EVP_CIPHER_CTX_free(ctx->slots[i].decrypt);
		EVP_CIPHER_CTX_free(ctx->slots[i].essiv);
	}
	free(ctx);
}

static const EVP_CIPHER *evp_cipher(enum cipher_id id)
{
	switch (id) {
	case CIPHER_AES_CBC_ESSIV:
		return EVP_aes_256_cbc();
	case CIPHER_AES_XTS:
		return EVP_aes_256_xts();
	}
	return NULL;
}

static bool openssl_supports(enum cipher_id id)
{
	return evp_cipher(id) != NULL;
}

static int key_slot(struct evp_slot *slot, const struct cipher *cipher, const uint8_t *key)
{
	bool essiv = cipher->id == CIPHER_AES_CBC_ESSIV;

	slot->encrypt = keyed(evp_cipher(cipher->id), key, 1);
	slot->decrypt = keyed(evp_cipher(cipher->id), key, 0);
	if (essiv)
		slot->essiv = essiv_keyed(key, cipher->key_bytes);
	return slot->encrypt && slot->decrypt && (slot->essiv || !essiv) ? 0 : -ENOMEM;
}

static struct crypt_context *openssl_context_new(
	const struct cipher *cipher, const uint8_t *key, uint32_t sector_bytes)
{
	unsigned count = crypt_slots();
	struct openssl_context *ctx = calloc(1, sizeof(*ctx) + count * sizeof(ctx->slots[0]));

	if (!ctx)
		return NULL;
	ctx->sector_bytes = sector_bytes;
	ctx->slot_count = count;
	for (unsigned i = 0; i < count; i++) {
		if (key_slot(&ctx->slots[i], cipher, key)) {
			openssl_context_free(&ctx->context);
			return NULL;
		}
	}
	return &ctx->context;
}

/* The IVs of count sectors from sector on. */
static int make_ivs(const struct openssl_context *ctx, EVP_CIPHER_CTX *essiv, uint8_t *ivs,
	size_t count, uint64_t sector)
{
	int out;

	memset(ivs, 0, count * BLOCK_BYTES);
	for (size_t i = 0; i < count; i++) {
		uint64_t le = htole64(sector + i * (ctx->sector_bytes / SECTOR_UNIT_BYTES));
		memcpy(ivs + i * BLOCK_BYTES, &le, sizeof(le));
	}
	if (!essiv)
		return 0;
	return EVP_EncryptUpdate(essiv, ivs, &out, ivs, (int)(count * BLOCK_BYTES)) == 1 ? 0 : -EIO;
}

static int crypt_sector(EVP_CIPHER_CTX *evp, uint8_t *data, uint32_t len_bytes, const uint8_t *iv)
{
	int out;

	if (EVP_CipherInit_ex(evp, NULL, NULL, NULL, iv, -1) != 1)
		return -EIO;
	if (EVP_CipherUpdate(evp, data, &out, data, (int)len_bytes) != 1)
		return -EIO;
	return (uint32_t)out == len_bytes ? 0 : -EIO;
}

static int crypt_sectors(const struct openssl_context *ctx, EVP_CIPHER_CTX *evp,
	EVP_CIPHER_CTX *essiv, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	uint8_t ivs[IV_BATCH * BLOCK_BYTES];
	size_t left = len_bytes / ctx->sector_bytes;
	int rc = len_bytes % ctx->sector_bytes ? -EIO : 0;

	while (left && !rc) {
		size_t count = left < IV_BATCH ? left : IV_BATCH;
		rc = make_ivs(ctx, essiv, ivs, count, sector);
		for (size_t i = 0; i < count && !rc; i++) {
			rc = crypt_sector(evp, data, ctx->sector_bytes, ivs + i * BLOCK_BYTES);
			data += ctx->sector_bytes;
		}
		sector += count * (ctx->sector_bytes / SECTOR_UNIT_BYTES);
		left -= count;
	}
	return rc;
}

static int openssl_encrypt(struct crypt_context *context, unsigned slot, uint8_t *data,
	size_t len_bytes, uint64_t sector)
{
	struct openssl_context *ctx = openssl_of(context);
	struct evp_slot *s = &ctx->slots[slot];

	return crypt_sectors(ctx, s->encrypt, s->essiv, data, len_bytes, sector);
}

static int openssl_decrypt(struct crypt_context *context, unsigned slot, uint8_t *data,
	size_t len_bytes, uint64_t sector)
{
	struct openssl_context *ctx = openssl_of(context);
	struct evp_slot *s = &ctx->slots[slot];

	return crypt_sectors(ctx, s->decrypt, s->essiv, data, len_bytes, sector);
}

const struct crypt_engine crypt_openssl = {
	.name = "openssl",
	.available = openssl_available,
	.supports = openssl_supports,
	.context_new = openssl_context_new,
	.context_free = openssl_context_free,
	.encrypt = openssl_encrypt,
	.decrypt = openssl_decrypt,
};
