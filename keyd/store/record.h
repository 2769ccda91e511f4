/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The one file format of the key store: a key or nothing, sealed under another key together with
 * everything that is said about it (docs/KEYSTORE.md).
 *
 *   magic, format version, kind, state, lengths, names, numbers, body | salt | sealed key | tag
 *   '------------------ associated data ---------------------------'
 *
 * All integers little-endian. Any change to any byte makes record_open() fail. Pure functions of
 * their arguments; the caller compares the names with where the file was found.
 */
#ifndef KEYD_RECORD_H
#define KEYD_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "cipher.h"
#include "proto.h"
#include "wrap.h"

enum record_kind {
	RECORD_LEVEL_KEY = 1, /* sealed under the root key; body: see struct level, leaky */
	RECORD_VOLUME_KEY,    /* sealed under its level's key; body: the path */
	RECORD_TOMBSTONE, /* no key, sealed under the root key; body: what was destroyed, JSON */
	RECORD_INTENT,    /* no key, sealed under the root key; body: draft certificate, JSON */
	/* no key, sealed under the root key; body: who asked to destroy, JSON */
	RECORD_REQUEST = 8,
	/* no key, sealed under the root key; body: certificate, or its draft: see sanitize.h */
	RECORD_SANITIZE = 9,
	/* keys/ of the store, sealed under the root key; bodies: JSON, see serverkeys.c */
	RECORD_AUDIT_KEY = 16,   /* HMAC-SHA-256 */
	RECORD_SIGNING_KEY = 17, /* Ed25519 */
};

/*
 * The version tells who sealed a record; the fields are the same. From RECORD_FORMAT_KEYED on it was a
 * keyd that keeps a key for its audit log: a store with such a record and without that key has lost it.
 * From RECORD_FORMAT_SALTED on the sealed key is what wrap_seal() makes, before it what wrap_open_old() opens.
 */
enum { RECORD_FORMAT_FIRST = 1, RECORD_FORMAT_KEYED, RECORD_FORMAT_SALTED };

enum record_state {
	RECORD_ACTIVE = 1, /* of requests, too */
	RECORD_SUSPENDED,
	RECORD_DESTROYED, /* of tombstones */
	RECORD_REVOKING,  /* of intents: consumers may still hold keys */
	RECORD_ERASING,   /* of intents: the answer of every consumer is in the body */
	/* Of RECORD_SANITIZE, beside the last two: */
	RECORD_HEADER_DUE, /* the new key counts, but its LUKS2 header may not be on the medium */
	RECORD_RENEWED,    /* it is; no other key may come back */
};

enum { RECORD_BODY_BYTES_MAX = 64 * 1024 * 1024, RECORD_PEEK_BYTES = 16 };

struct record {
	unsigned format; /* set by record_open() */
	enum record_kind kind;
	enum record_state state;
	int64_t created_at; /* seconds since the epoch */
	int64_t changed_at;
	char level[PROTO_LEVEL_BYTES];
	char uuid[PROTO_UUID_BYTES]; /* empty: about the level itself */
	char fingerprint[FINGERPRINT_BYTES];
	char cipher[PROTO_CIPHER_BYTES]; /* this and the next three: of volumes */
	uint32_t sector_bytes;
	uint64_t data_offset_bytes;
	uint64_t size_bytes;
	char *body; /* NUL-terminated, owned; NULL: none. Freed by record_clear() */
};

/*
 * Seals rec and key into a new heap block (no plaintext in it), which the caller frees. 0, -EINVAL (a
 * body or key beyond its bound), -ENOMEM, -EIO.
 */
int record_seal(const struct record *rec, const uint8_t wrapping_key[WRAP_KEY_BYTES],
	const uint8_t *key, size_t key_bytes, uint8_t **file, size_t *file_bytes)
	__attribute__((warn_unused_result));

/*
 * Opens file[0 .. file_bytes): rec is filled and owns its body, key (of exactly key_bytes) gets the
 * key. -EBADMSG when it is no intact record of that kind with a key of that length under that wrapping
 * key; -EPROTONOSUPPORT for a newer format; then rec is zeroed and key wiped.
 */
int record_open(const uint8_t *file, size_t file_bytes, enum record_kind kind,
	const uint8_t wrapping_key[WRAP_KEY_BYTES], struct record *rec, uint8_t *key,
	size_t key_bytes) __attribute__((warn_unused_result));

/* What becomes of the key inside a record: key[0 .. *key_bytes) in secret memory of CIPHER_KEY_MAX. */
struct record_rekey {
	int (*rekey)(void *arg, const struct record *rec, uint8_t *key, size_t *key_bytes);
	void *arg;
};

/*
 * The same record, whatever its kind, sealed under another key into a new heap block, which the caller
 * frees. body, unless NULL, goes into a level key's record that has none; rekey may be NULL. 0, -EBADMSG,
 * -EPROTONOSUPPORT, -ENOMEM, -EIO, or -errno of secret_alloc() or rekey.
 */
int record_reseal(const uint8_t *file, size_t file_bytes, const uint8_t from[WRAP_KEY_BYTES],
	const uint8_t to[WRAP_KEY_BYTES], const char *body, const struct record_rekey *rekey,
	uint8_t **out, size_t *out_bytes) __attribute__((warn_unused_result));

/* The kind that the first bytes of a file claim. 0, or -EBADMSG: they are no record's. */
int record_peek_kind(const uint8_t start[RECORD_PEEK_BYTES], enum record_kind *kind)
	__attribute__((warn_unused_result));

/* Frees the body and zeroes rec. */
void record_clear(struct record *rec);

/* Bound for reading a record's file. */
size_t record_file_bytes_max(void);

#endif
