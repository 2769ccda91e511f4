/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* aes-cbc-essiv:sha256 by OpenSSL alone: what is on a volume, told without the code that wrote it. */
#ifndef TESTS_ESSIV_H
#define TESTS_ESSIV_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

enum { ESSIV_SECTOR_MAX = 4096, ESSIV_DATA_OFFSET = 16 << 20 };

struct essiv {
	EVP_CIPHER_CTX *data, *iv;
};

/* The 32 bytes of keyfile are the volume key. 0 or -errno. */
int essiv_open(struct essiv *c, const char *keyfile) __attribute__((warn_unused_result));

/* One sector in place, at this byte of the LUN. 0 or -EIO. */
int essiv_decrypt(struct essiv *c, uint8_t *sector, size_t sector_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));

void essiv_close(struct essiv *c);

#endif
