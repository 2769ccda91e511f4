/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Signed JSON (docs/KEYSTORE.md): Ed25519 (RFC 8032) over bytes, not over meaning. A signed document is
 * one line of compact JSON whose last member is
 *
 *   "signature":{"algorithm":"Ed25519","key_id":"…","value":"…"}
 *
 * and what is signed is the line without that member. So nothing in it can be changed, moved or added,
 * not even a space. Pure functions, used by keyd and keyadm.
 */
#ifndef KEYD_SIGNATURE_H
#define KEYD_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

enum {
	SIGNATURE_KEY_BYTES = 32,
	SIGNATURE_PEM_BYTES = 256, /* the public key, PEM of SubjectPublicKeyInfo (RFC 8410) */
	SIGNATURE_ID_BYTES = 65,   /* SHA-256 of its DER, in hex */
	SIGNATURE_TEXT_BYTES = 129,
};

#define SIGNATURE_ALGORITHM "Ed25519"

struct signature_public {
	char pem[SIGNATURE_PEM_BYTES]; /* empty: none */
	char id[SIGNATURE_ID_BYTES];
};

/* The public key of a private one, which is any 32 random bytes. 0 or -EIO. */
int signature_public(const uint8_t key[SIGNATURE_KEY_BYTES], struct signature_public *public)
	__attribute__((warn_unused_result));

/* Signs text[0 .. len) into value, in hex. 0 or -EIO. */
int signature_make(const uint8_t key[SIGNATURE_KEY_BYTES], const char *text, size_t len,
	char value[SIGNATURE_TEXT_BYTES]) __attribute__((warn_unused_result));

/* Fills public from pem[0 .. len). -EINVAL: that is no Ed25519 public key. */
int signature_read_pem(const char *pem, size_t len, struct signature_public *public)
	__attribute__((warn_unused_result));

/*
 * Verifies the signed line text[0 .. len), a newline at its end left out. 0; -ENODATA (it is not
 * signed), -ENOKEY (with another key, says its name; whose id is then in *signer), -EBADMSG (the
 * signature does not fit), -EINVAL (public is no key), -ENOMEM.
 */
int signature_verify(const char *text, size_t len, const struct signature_public *public,
	char signer[SIGNATURE_ID_BYTES]) __attribute__((warn_unused_result));

#endif
