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

/*
 * The most cipher calls that run at once in a process, whatever the number of threads: more than the
 * CPUs do would only wait for each other. A call holds one slot; what an engine cannot share between
 * threads it keeps once for each slot.
 */
enum { CRYPT_SLOTS_MAX = 65 };

struct crypt_engine;

/* One key, expanded; begins the layout that is private to its engine. */
struct crypt_context {
	const struct crypt_engine *engine;
	uint32_t sector_bytes;
};

/* A row of the engine table. Called by crypt.c alone. */
struct crypt_engine {
	const char *name;
	/*
	 * Encrypts sectors side by side: some GB/s on one CPU, which other CPUs need not help with. Else
	 * CBC, serial within a sector, makes about one.
	 */
	bool side_by_side;
	/* False where the CPU or library lacks what the engine needs. */
	bool (*available)(const struct crypt_engine *engine);
	bool (*supports)(enum cipher_id id);
	/*
	 * Expands key (cipher->key_bytes long, not kept) for sectors of sector_bytes. The caller owns
	 * the context and sets its first members. NULL when memory is short.
	 */
	struct crypt_context *(*context_new)(
		const struct cipher *cipher, const uint8_t *key, uint32_t sector_bytes);
	/* Wipes every key schedule, in the context and wherever calls left one, and frees. */
	void (*context_free)(struct crypt_context *ctx);
	/* As crypt_encrypt() and crypt_decrypt(); the caller holds slot. */
	int (*encrypt)(struct crypt_context *ctx, unsigned slot, uint8_t *data, size_t len_bytes,
		uint64_t sector);
	int (*decrypt)(struct crypt_context *ctx, unsigned slot, uint8_t *data, size_t len_bytes,
		uint64_t sector);
};

extern const struct crypt_engine crypt_openssl;
#ifdef HAVE_IPSEC_MB
extern const struct crypt_engine crypt_ipsec_mb_avx512;
extern const struct crypt_engine crypt_ipsec_mb_avx2;
extern const struct crypt_engine crypt_ipsec_mb_sse;
#endif

/* Row i of the engine table, best first; NULL past its end. Static storage. */
const struct crypt_engine *crypt_engine_at(size_t i);

/*
 * The best engine for cipher that works on this machine and that name allows: a row's name, what
 * comes before the dash of several rows ("ipsec-mb"), or "" for any. Each engine is tried with
 * crypt_self_test() once before its first use; one that fails is never returned. Main thread only.
 * -ENOENT no engine of that name on this machine, -ENOTSUP it does not know the cipher, -EIO its
 * self-test failed.
 */
int crypt_engine_find(const char *name, const struct cipher *cipher,
	const struct crypt_engine **engine) __attribute__((warn_unused_result));

/* Known answers for every cipher that the engine supports, both directions. 0 or -EIO. */
int crypt_self_test(const struct crypt_engine *engine) __attribute__((warn_unused_result));

/*
 * The key schedules of key (cipher->key_bytes long, not kept) for sectors of sector_bytes, for any
 * number of threads at once. The caller owns the context. NULL when memory is short or may not be
 * locked.
 */
struct crypt_context *crypt_context_new(const struct crypt_engine *engine,
	const struct cipher *cipher, const uint8_t *key, uint32_t sector_bytes)
	__attribute__((warn_unused_result));

/*
 * Wipes every key schedule made from the key, also what the engine holds from calls that are over.
 * Waits for calls with other keys, as a rule for one call's time for each slot. NULL is allowed.
 */
void crypt_context_free(struct crypt_context *ctx);

/* In place over whole sectors, the first one with number sector. Any thread. 0 or -EIO. */
int crypt_encrypt(struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector)
	__attribute__((warn_unused_result));
int crypt_decrypt(struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector)
	__attribute__((warn_unused_result));

/*
 * The same for a store that has holes: a sector of zeros was unmapped, and is zeros decrypted, too.
 * Encrypting what would give such a sector is refused with -EIO. There is one such plaintext for each
 * sector, what plain crypt_decrypt() makes of zeros, and nobody meets it by chance.
 */
int crypt_encrypt_sparse(struct crypt_context *ctx, uint8_t *data, size_t len_bytes,
	uint64_t sector) __attribute__((warn_unused_result));
int crypt_decrypt_sparse(struct crypt_context *ctx, uint8_t *data, size_t len_bytes,
	uint64_t sector) __attribute__((warn_unused_result));

/* For engines: slots in use, 0 to crypt_slots() - 1, and the turn of one of them. */
unsigned crypt_slots(void);
void crypt_slot_lock(unsigned slot);
void crypt_slot_unlock(unsigned slot);

#endif
