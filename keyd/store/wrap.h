/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Authenticated encryption of one key under another, and the name by which people may know a key.
 *
 * AES-256-GCM (NIST SP 800-38D) under a key and nonce of its own for each sealing: HKDF-SHA256 (RFC 5869) of
 * the wrapping key and a salt. The salt is a code over what is sealed, keyed with the wrapping key and 256
 * random bits. So two sealings share key and nonce only if nothing in them differs, even if the random bits
 * repeat, as they do when a virtual machine goes on twice from one snapshot (docs/KEYSTORE.md).
 */
#ifndef KEYD_WRAP_H
#define KEYD_WRAP_H

#include <stddef.h>
#include <stdint.h>

enum {
	WRAP_KEY_BYTES = 32,
	WRAP_SALT_BYTES = 32,
	WRAP_NONCE_BYTES = 12,
	WRAP_TAG_BYTES = 16,
	WRAP_OVERHEAD_BYTES = WRAP_SALT_BYTES + WRAP_TAG_BYTES,
	WRAP_OLD_OVERHEAD_BYTES = WRAP_NONCE_BYTES + WRAP_TAG_BYTES,
	WRAP_AAD_BYTES_MAX = 65 * 1024 * 1024,
	FINGERPRINT_BYTES = 33, /* 32 hexadecimal digits and a NUL */
};

/*
 * out[0 .. len_bytes + WRAP_OVERHEAD_BYTES) = salt, ciphertext, tag. plain may be NULL when
 * len_bytes is 0: then only aad is sealed. 0 or -errno; -EINVAL for impossible lengths.
 */
int wrap_seal(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t *out) __attribute__((warn_unused_result));

/*
 * The reverse: plain[0 .. in_bytes - WRAP_OVERHEAD_BYTES). -EBADMSG when anything was changed; plain
 * is wiped then.
 */
int wrap_open(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *in, size_t in_bytes, uint8_t *plain) __attribute__((warn_unused_result));

/* As wrap_open(), for what earlier keyds sealed: nonce, ciphertext, tag under the wrapping key itself. */
int wrap_open_old(const uint8_t wrapping_key[WRAP_KEY_BYTES], const void *aad, size_t aad_bytes,
	const uint8_t *in, size_t in_bytes, uint8_t *plain) __attribute__((warn_unused_result));

/*
 * A salt for plain[0 .. len_bytes) with aad under key: random, and another one for anything else that is
 * sealed even if the random bits repeat. It tells nothing about its arguments. 0 or -errno.
 */
int wrap_new_salt(const uint8_t *key, size_t key_bytes, const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t salt[WRAP_SALT_BYTES])
	__attribute__((warn_unused_result));

/* key = len_bytes of the system's random generator. 0 or -errno. */
int wrap_new_key(uint8_t *key, size_t len_bytes) __attribute__((warn_unused_result));

/*
 * The first 16 bytes, in hex, of SHA-256("tgt-crypt key fingerprint v1" || key): names a key in
 * lists and certificates without telling anything about it. 0 or -EIO.
 */
int wrap_fingerprint(const uint8_t *key, size_t len_bytes, char out[FINGERPRINT_BYTES])
	__attribute__((warn_unused_result));

#endif
