/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "mac.h"

#include <errno.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "text.h"

enum { MAC_BYTES = 32 };

int mac_begin(struct mac *mac, const uint8_t key[MAC_KEY_BYTES])
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	*mac = (struct mac){0};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac); /* the context holds a reference */
	if (!ctx || EVP_MAC_init(ctx, key, MAC_KEY_BYTES, params) != 1) {
		EVP_MAC_CTX_free(ctx);
		return -EIO;
	}
	mac->ctx = ctx;
	return 0;
}

int mac_text(struct mac *mac, const void *data, size_t len, char out[MAC_TEXT_BYTES])
{
	uint8_t code[MAC_BYTES];
	size_t code_bytes;

	/* Without a key: the one of mac_begin() stays. */
	if (EVP_MAC_init(mac->ctx, NULL, 0, NULL) != 1 ||
		EVP_MAC_update(mac->ctx, data, len) != 1 ||
		EVP_MAC_final(mac->ctx, code, &code_bytes, sizeof(code)) != 1 ||
		code_bytes != sizeof(code))
		return -EIO;
	text_hex(code, sizeof(code), out);
	return 0;
}

void mac_end(struct mac *mac)
{
	EVP_MAC_CTX_free(mac->ctx);
	*mac = (struct mac){0};
}

bool mac_equal(const char *a, const char *b)
{
	return !CRYPTO_memcmp(a, b, MAC_TEXT_BYTES - 1);
}
