/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * AES-256 keys in a PKCS#11 token that never leave it (PKCS#11 version 2.40; mechanism CKM_AES_GCM, its
 * current mechanisms' section 2.12). The module is loaded through p11-kit. What it does in this process,
 * with the PIN and with memory, is its own, and it blocks for as long as the token takes. One thread.
 *
 * A token that was taken away may say "no such object" instead of an error, so absence alone proves
 * nothing: callers look for an object that must be there, too.
 *
 * Errors: -ENOPKG (keyd.conf names no module or token), -ELIBACC (the module cannot be loaded),
 * -ENOMEDIUM (no token of that name), -EMLINK (several), -EKEYREJECTED (not the PIN), -EKEYREVOKED (the PIN
 * is locked or expired), -ELIBBAD (the token cannot do what is needed), -ENOSPC (no room in it), -ENOMEM,
 * -EREMOTEIO (it does not answer, or the session is lost); what the token said is logged.
 */
#ifndef KEYD_TOKEN_H
#define KEYD_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

enum {
	TOKEN_KEY_ID_BYTES = 32,
	TOKEN_KEY_LABEL_BYTES = 128,
	TOKEN_LABEL_BYTES = 33, /* 32 characters and a NUL */
	TOKEN_SERIAL_BYTES = 17,
	TOKEN_NONCE_BYTES = 12,
	TOKEN_TAG_BYTES = 16,
	TOKEN_OVERHEAD_BYTES = TOKEN_NONCE_BYTES + TOKEN_TAG_BYTES,
	TOKEN_SEALED_BYTES_MAX = 256,
};

struct token; /* a session with its user logged in */

/* By id a key is found, by label people know it, and so does token_destroy_all(). */
struct token_key {
	uint8_t id[TOKEN_KEY_ID_BYTES];
	char label[TOKEN_KEY_LABEL_BYTES];
};

/* Logs in to the token called label; the PIN is not kept. Closed with token_close(). */
int token_open(const char *module, const char *label, const struct proto_passphrase *pin,
	struct token **token) __attribute__((warn_unused_result));

/* Logs out and unloads the module. NULL is allowed. */
void token_close(struct token *token);

/*
 * What one of these errors means and what to do, for people; strerror() for any other. Static storage.
 */
const char *token_strerror(int rc);

/* Static as long as the token is open. */
const char *token_serial(const struct token *token);

/* 1, 0, or -errno. */
int token_has(struct token *token, const struct token_key *key) __attribute__((warn_unused_result));

/*
 * Makes the key in the token: sensitive, not extractable, and that is looked at afterwards. There must be
 * none with this id.
 */
int token_make(struct token *token, const struct token_key *key)
	__attribute__((warn_unused_result));

/* sealed[0 .. len_bytes + TOKEN_OVERHEAD_BYTES) = nonce, ciphertext, tag. Also -ENOENT: no such key. */
int token_seal(struct token *token, const struct token_key *key, const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t *sealed)
	__attribute__((warn_unused_result));

/*
 * The reverse, into secret memory; wiped on failure. Also -ENOENT, and -EBADMSG, which is all that some
 * modules have to say about any failure.
 */
int token_unseal(struct token *token, const struct token_key *key, const void *aad,
	size_t aad_bytes, const uint8_t *sealed, size_t sealed_bytes, uint8_t *plain)
	__attribute__((warn_unused_result));

/* Destroys the key and looks that none with its id is left: else -EIO. Harmless when there is none. */
int token_destroy(struct token *token, const struct token_key *key)
	__attribute__((warn_unused_result));

/* The same for every key whose label begins with prefix. */
int token_destroy_all(struct token *token, const char *prefix) __attribute__((warn_unused_result));

#endif
