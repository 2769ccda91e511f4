/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Sector encryption: a volume key turned into the key schedules of one engine, and calls that
 * encrypt or decrypt whole sectors in place, byte-compatible with dm-crypt.
 *
 * aes-cbc-essiv:sha256  CBC (NIST SP 800-38A 6.2) within a sector;
 *                       IV = AES-256-ECB(SHA-256(key), sector number)
 * aes-xts-plain64       XTS (NIST SP 800-38E) with the sector number as tweak
 *
 * The sector number is a 64-bit little-endian count of 512-byte units from the start of the data
 * segment, zero-padded to 16 bytes, whatever the encryption sector's size.
 */
#ifndef BS_CRYPT_CRYPT_H
#define BS_CRYPT_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cipher.h"

/* The state of one key for one user at a time; layout private to the engine. */
struct crypt_context;

/* A row of the engine table. All functions are thread-safe across different contexts. */
struct crypt_engine {
	const char *name;
	/* False where the CPU or library lacks what the engine needs. */
	bool (*available)(void);
	/*
	 * Expands key (cipher->key_bytes long, not kept) for sectors of sector_bytes. The caller owns
	 * the context. NULL when the cipher is not supported or memory is short.
	 */
	struct crypt_context *(*context_new)(
		const struct cipher *cipher, const uint8_t *key, uint32_t sector_bytes);
	/* Wipes every key schedule and frees. NULL is allowed. */
	void (*context_free)(struct crypt_context *ctx);
	/* In place over whole sectors, the first one with number sector. 0 or -EIO. */
	int (*encrypt)(struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector);
	int (*decrypt)(struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector);
};

extern const struct crypt_engine crypt_openssl;

/*
 * The engine called name, or the first of the table that works if name is empty. Each engine is
 * tried with crypt_self_test() once before its first use; one that fails is never returned. Main
 * thread only. -ENOENT no engine of that name on this machine, -EIO self-test failed.
 */
int crypt_engine_find(const char *name, const struct crypt_engine **engine)
	__attribute__((warn_unused_result));

/* Known answers for every cipher of the table, both directions. 0 or -EIO. */
int crypt_self_test(const struct crypt_engine *engine) __attribute__((warn_unused_result));

#endif
