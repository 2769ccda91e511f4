/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cipher.h"

#include <string.h>

static const struct cipher ciphers[] = {
	{CIPHER_AES_CBC_ESSIV, "aes-cbc-essiv:sha256", "aes", "cbc-essiv:sha256", 32},
	{CIPHER_AES_XTS, "aes-xts-plain64", "aes", "xts-plain64", 64},
};

const struct cipher *cipher_at(size_t i)
{
	return i < sizeof(ciphers) / sizeof(ciphers[0]) ? &ciphers[i] : NULL;
}

const struct cipher *cipher_default(void)
{
	return &ciphers[0];
}

const struct cipher *cipher_find(const char *name)
{
	for (size_t i = 0; cipher_at(i); i++) {
		if (!strcmp(name, ciphers[i].name))
			return &ciphers[i];
	}
	return NULL;
}

bool cipher_sector_size_ok(uint32_t sector_bytes)
{
	return sector_bytes == 512 || sector_bytes == 4096;
}
