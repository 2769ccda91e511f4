/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What the files of the key store share: keystore*.c and erasure.c. */
#ifndef KEYD_KEYSTORE_PRIVATE_H
#define KEYD_KEYSTORE_PRIVATE_H

#include "keystore.h"
#include "record.h"

#define LEVELS_DIR                "levels"
#define VOLUMES_DIR               "volumes"
#define KEYS_DIR                  "keys"
#define REQUESTS_DIR              "requests"
#define LEVEL_KEY_FILE            "level.key"
#define LEVEL_INTENT_FILE         "destroy.intent"
#define LEVEL_REQUEST_FILE        "destroy.request"
#define LEVEL_TOMBSTONE_FILE      "destroyed"
#define LEVEL_CERTIFICATE_FILE    "certificate.json"
#define LEVEL_FORMER_DIR          "before"
#define VOLUME_KEY_SUFFIX         ".key"
#define VOLUME_INTENT_SUFFIX      ".intent"
#define VOLUME_REQUEST_SUFFIX     ".request"
#define VOLUME_SANITIZE_SUFFIX    ".sanitize"
#define VOLUME_TOMBSTONE_SUFFIX   ".destroyed"
#define VOLUME_CERTIFICATE_SUFFIX ".certificate.json"

enum { STORE_NAME_BYTES = 96 }; /* a UUID and the longest suffix, or a fixed name */

/* Directory of the level, or of its volumes; the caller closes it. -errno on failure. */
int store_open_level_dir(const struct keystore *ks, const char *level)
	__attribute__((warn_unused_result));
int store_open_volumes_dir(const struct keystore *ks, const char *level)
	__attribute__((warn_unused_result));

/* name = UUID and suffix. */
void store_volume_file(char name[STORE_NAME_BYTES], const char *uuid, const char *suffix);

/* Calls visit for every name in dir_fd, in no order. 0 or the first error. */
int store_each_name(int dir_fd, int (*visit)(void *arg, int dir_fd, const char *name), void *arg)
	__attribute__((warn_unused_result));

/* What kind of record the file seems to be, unauthenticated. 0; -EBADMSG: none; or -errno: nobody knows. */
int store_peek_kind(int dir_fd, const char *name, enum record_kind *kind)
	__attribute__((warn_unused_result));

/* A level or volume added to the index, owned by it. NULL: out of memory or too many. */
struct level *store_add_level(struct keystore *ks, const char *name);
struct volume *store_add_volume(struct level *level, const char *uuid);
struct volume *store_find_volume(const struct level *level, const char *uuid);
void store_free_volume(struct volume *volume);

/*
 * Reads and opens the record in file name of dir_fd. The names inside must be level and uuid ("" for
 * the level's own). 0, -ENOENT, -EBADMSG, or -errno. Then the caller clears rec.
 */
int store_read_record(int dir_fd, const char *name, enum record_kind kind,
	const uint8_t wrapping_key[WRAP_KEY_BYTES], const char *level, const char *uuid,
	struct record *rec, uint8_t *key, size_t key_bytes) __attribute__((warn_unused_result));

/* Seals and writes a record without a key under the root key. 0 or -errno. */
int store_write_statement(const struct keystore *ks, int dir_fd, const char *name,
	const struct record *rec) __attribute__((warn_unused_result));

/* How long what is kept of a level key is in this custody. */
size_t store_level_key_bytes(const struct custody *custody);

/*
 * Unwraps the level's key into key (secret memory, WRAP_KEY_BYTES); *rec is for the caller to clear. 0,
 * -ENOENT, -EBADMSG, -EREMOTEIO (see custody.h, it says nothing about the level), or -errno.
 */
int store_level_key(const struct keystore *ks, const char *level, struct record *rec, uint8_t *key)
	__attribute__((warn_unused_result));

/* Seals and writes LEVEL_KEY_FILE in dir_fd, the level's directory. 0 or -errno. */
int store_write_level_key(const struct keystore *ks, int dir_fd, const struct record *rec,
	const uint8_t *key) __attribute__((warn_unused_result));

/* The body of volume's record: its path, and its served_bytes on a second line if there are any. The caller frees it. */
char *store_volume_body(const struct volume *volume);

/* Takes such a body apart: the path is what is left of it. */
void store_split_body(char *body, uint64_t *served_bytes);

/*
 * Seals volume's key, and that what is said about it changed at this time, into *file, a new heap block that the
 * caller frees. 0 or -errno.
 */
int store_seal_volume(const struct volume *volume, int64_t changed_at, const uint8_t *level_key,
	const uint8_t *key, uint8_t **file, size_t *file_bytes) __attribute__((warn_unused_result));

/*
 * Unwraps volume's key into key, secret memory, and compares all that is said about it with the index.
 * 0, -EBADMSG, -ENOENT, or -errno.
 */
int store_volume_key(const struct keystore *ks, const struct volume *volume,
	const uint8_t *level_key, uint8_t *key) __attribute__((warn_unused_result));

/*
 * Puts temporary, a directory in levels_fd that a crash in an import left, where it belongs: what was
 * built is erased, the directory of a destroyed level goes below the one that took its place.
 */
void store_settle_import(int levels_fd, const char *temporary);

/* Notes, durably, that the level's key was in a custody of class "clear". Harmless if that is noted. 0 or -errno. */
int store_note_leaky(struct keystore *ks, struct level *level, const struct custody *custody)
	__attribute__((warn_unused_result));

/* Fills the index from the directories. Only being out of memory or descriptors is an error. */
int store_load(struct keystore *ks) __attribute__((warn_unused_result));

#endif
