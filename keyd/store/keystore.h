/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The key store (DESIGN 4): levels, their volumes, and one sealed file for each key.
 *
 *   root.key                             custody "file"
 *   root.passphrase                      custody "passphrase"
 *   root.pkcs11                          custody "pkcs11"
 *   keys/audit.key, keys/signing.key      the server's own (serverkeys.h)
 *   requests/ID.request                  RECORD_REQUEST: asked for, not done (pending.h)
 *   rewrap                               the root key is being replaced (rewrap.h)
 *   levels/NAME/level.key                RECORD_LEVEL_KEY under the root key
 *   levels/NAME/volumes/UUID.key         RECORD_VOLUME_KEY under the level's key
 *   levels/NAME/destroy.intent           RECORD_INTENT: being destroyed (erasure.h)
 *   levels/NAME/destroy.request          RECORD_REQUEST: asked for, not decided (pending.h)
 *   levels/NAME/destroyed                RECORD_TOMBSTONE: wins over any key that comes back
 *   levels/NAME/certificate.json
 *   levels/NAME/volumes/UUID.{intent,request,destroyed,certificate.json}
 *   levels/NAME/volumes/UUID.sanitize    RECORD_SANITIZE: its key is being, or was, replaced (sanitize.h)
 *   levels/NAME/volumes/UUID.sanitize-N.certificate.json
 *   levels/NAME/before/                  the destroyed level that this one was (import)
 *   zeroized                             every key was destroyed at once (zeroize_record.h)
 *   lock                                 flock(2): one keyd a store
 *
 * What is said about keys is held in memory, read and authenticated once; keys are not: they are
 * unwrapped when they are needed, into memory of secret_alloc(). Only the root key stays. One thread.
 */
#ifndef KEYD_KEYSTORE_H
#define KEYD_KEYSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cipher.h"
#include "custody.h"
#include "proto.h"
#include "wrap.h"

enum {
	KEYSTORE_LEVELS_MAX = 1024,
	KEYSTORE_VOLUMES_MAX = 4096, /* of one level */
};

enum key_state { /* after NIST SP 800-57 part 1, section 7 */
	KEY_ACTIVE = 1,
	KEY_SUSPENDED,  /* levels only */
	KEY_DESTROYING, /* the intent is durable: no key leaves any more */
	KEY_SANITIZING, /* volumes only: a new key is to take its place, and none leaves until then */
	KEY_DESTROYED,
	KEY_DAMAGED, /* its file is missing or fails authentication */
};

struct level;

struct volume {
	struct level *level;
	enum key_state state; /* its own; see keystore_volume_state() */
	char uuid[PROTO_UUID_BYTES];
	char fingerprint[FINGERPRINT_BYTES]; /* empty: unknown */
	char *path;                          /* owned; "" when unknown */
	const struct cipher *cipher;         /* NULL when unknown */
	uint32_t sector_bytes;
	uint64_t data_offset_bytes;
	uint64_t size_bytes; /* what initiators see */
	/* Not 0: no tgtd has said that it serves more than this, which is less; the size may go back to it. */
	uint64_t served_bytes;
	int64_t created_at; /* seconds since the epoch; 0: unknown */
	int64_t destroyed_at;
	uint32_t sanitized; /* how often its key was replaced, or is being */
	bool header_due;    /* the LUKS2 header of the present key may not be on the medium yet */
	struct volume_header *header; /* owned; NULL: made when it is needed */
	int64_t path_learned_ms;      /* of clock_now_ms(): when a consumer told its path last */
};

/* The LUKS2 header that belongs to a volume's key, in memory. */
struct volume_header {
	int fd; /* owned: a memfd of the volume's data_offset_bytes */
};

struct level {
	char name[PROTO_LEVEL_BYTES];
	enum key_state state;
	char fingerprint[FINGERPRINT_BYTES];
	int64_t created_at;
	int64_t destroyed_at;
	const struct custody *leaky; /* of class "clear", that its key was in earlier; NULL: none */
	struct volume **volumes;     /* owned */
	size_t volume_count;
	bool old_format; /* sealed by an earlier keyd (record.h) */
	int64_t no_sanitize_until_ms; /* of clock_now_ms(): an administrator's request comes first (precedence.h) */
};

struct keystore {
	char *dir; /* owned */
	int dir_fd;
	int lock_fd;
	const struct custody_config *custody_config; /* borrowed; NULL: keyd.conf says nothing */
	const struct custody *custody;               /* NULL: not initialized */
	int64_t zeroized_at;           /* 0: not; else there is no custody and no root key */
	struct custody_keeper *keeper; /* owned; the custody's */
	uint8_t *root;                 /* secret memory; NULL: not initialized, or locked */
	struct level **levels;         /* owned, in the order of creation or loading */
	size_t level_count;
	bool keyed; /* a record tells that the store has, or had, keys/ */
};

/* A volume that is ready but not yet in the store. */
struct volume_draft {
	struct volume *volume; /* owned */
	uint8_t *sealed;       /* owned: the key's file */
	size_t sealed_bytes;
	int header_fd; /* owned: memfd with the LUKS2 header */
};

/*
 * Opens the store in directory dir, made (0700) if it is missing, and loads it. One that was zeroized
 * is opened and nothing of it is loaded. Damaged files cost
 * the key in them and are logged. A store whose custody needs a passphrase stays locked: nothing of it
 * is loaded before keystore_unlock(). custody_config, which may be NULL, must stay. 0, -EBUSY (another
 * keyd has it), -EPERM (not our directory), -EBADMSG (the root key is damaged), -ENOKEY (levels without
 * a root key), -ENOTUNIQ (several root keys), -ESTALE, -EACCES (custody.h), or -errno; logged.
 */
int keystore_open(struct keystore *ks, const char *dir, const struct custody_config *custody_config)
	__attribute__((warn_unused_result));

/* Wipes the root key and frees everything. Harmless when keystore_open() failed. */
void keystore_close(struct keystore *ks);

/*
 * Makes the root key. 0, -EEXIST, -EINVAL (no such custody), -EKEYREJECTED (the passphrase is too
 * short), or -errno.
 */
int keystore_init(struct keystore *ks, const char *custody,
	const struct proto_passphrase *passphrase) __attribute__((warn_unused_result));

/* There is a store, and it waits for its passphrase. */
bool keystore_is_locked(const struct keystore *ks);

/*
 * Loads a locked store. 0, or an error of the custody's load(), such as -EKEYREJECTED: then it is locked
 * as before.
 */
int keystore_unlock(struct keystore *ks, const struct proto_passphrase *passphrase)
	__attribute__((warn_unused_result));

/*
 * Whether an open store needs its token's PIN again: for a new session, when the one that was opened with it
 * is lost, or to end a change of custody that a crash interrupted.
 */
bool keystore_needs_pin(const struct keystore *ks);

/* Does what it is needed for. 0, or an error of the custody's load() or of rewrap_finish(). */
int keystore_reconnect(struct keystore *ks, const struct proto_passphrase *passphrase)
	__attribute__((warn_unused_result));

/*
 * Every key of the store is destroyed, or about to be: the root key is wiped and no other will be loaded. What
 * is known of levels and volumes stays in memory until keystore_lock().
 */
void keystore_zeroize(struct keystore *ks, int64_t when);

/* Wipes the root key and forgets what was loaded. Nobody may hold a level or volume of the store. */
void keystore_lock(struct keystore *ks);

struct level *keystore_level(const struct keystore *ks, const char *name);

struct volume *keystore_volume(const struct keystore *ks, const char *uuid);

/*
 * The volume number index (from 0) of those with this path on record, NULL after the last. A path is a hint and no
 * identity: several volumes may have one path.
 */
struct volume *keystore_volume_at(const struct keystore *ks, const char *path, size_t index);

/* The volume's own state or that of its level, whichever keeps the key in more strictly. */
enum key_state keystore_volume_state(const struct volume *volume);

/* "active", "suspended", … Static storage. */
const char *keystore_state_name(enum key_state state);

/* Makes and stores a level key. 0, -EEXIST, -ENOSPC (too many), or -errno. */
int keystore_level_create(struct keystore *ks, const char *name, struct level **level)
	__attribute__((warn_unused_result));

/*
 * Makes level KEY_ACTIVE or KEY_SUSPENDED, durably. 0 or -errno: then nobody knows what a restart
 * would find, and the state in memory stays as it was. -EBADMSG: the level turned out damaged.
 */
int keystore_level_set_state(struct keystore *ks, struct level *level, enum key_state state)
	__attribute__((warn_unused_result));

/*
 * Unwraps volume's key into key, secret memory of at least CIPHER_KEY_MAX bytes; its length is
 * volume->cipher->key_bytes. Does not look at states. 0; -EBADMSG: the volume is marked damaged.
 */
int keystore_volume_key(struct keystore *ks, struct volume *volume, uint8_t *key)
	__attribute__((warn_unused_result));

/* What a new volume shall be; all checked by the caller. */
struct volume_spec {
	const char *path;
	const struct cipher *cipher;
	uint32_t sector_bytes;
	uint64_t size_bytes;
};

/*
 * Makes UUID, key and LUKS2 header of a new volume; stores nothing. 0, -EBADMSG (damaged level), or
 * -errno. The caller ends the draft with keystore_volume_discard().
 */
int keystore_volume_prepare(struct keystore *ks, struct level *level,
	const struct volume_spec *spec, struct volume_draft *draft)
	__attribute__((warn_unused_result));

/*
 * Makes the draft's volume durable and part of the store, if its level is still active. *volume belongs to the
 * store. 0, -EACCES (the level), or -errno.
 */
int keystore_volume_commit(struct keystore *ks, struct volume_draft *draft, struct volume **volume)
	__attribute__((warn_unused_result));

/*
 * Records, durably, that volume has another size: a larger one, or one that is not less than served_bytes. 0 or -errno: then nobody knows what a restart would find, and the
 * index says what the file does. -EBADMSG: the volume is marked damaged.
 */
int keystore_volume_resize(struct keystore *ks, struct volume *volume, uint64_t size_bytes)
	__attribute__((warn_unused_result));

/* Records, durably, that a tgtd serves this much of volume. 0 or an error as above. */
int keystore_volume_note_served(struct keystore *ks, struct volume *volume, uint64_t served_bytes)
	__attribute__((warn_unused_result));

/* The same for the path at which volume was found last. */
int keystore_volume_relocate(struct keystore *ks, struct volume *volume, const char *path)
	__attribute__((warn_unused_result));

/* Frees what the draft still owns. Harmless on a zeroed draft (header_fd -1). */
void keystore_volume_discard(struct volume_draft *draft);

/* A key for a volume that is there, which has another one until it is committed. Zeroed: none. */
struct volume_renewal {
	uint8_t *sealed; /* owned: the key's file */
	size_t sealed_bytes;
	char fingerprint[FINGERPRINT_BYTES];
	struct volume_header *header; /* owned */
};

/*
 * Makes a new key and its LUKS2 header; stores nothing. 0, -EBADMSG (damaged level, or the header would
 * not fit in front of the data), or -errno. The caller ends it with keystore_renewal_discard().
 */
int keystore_renewal_prepare(struct keystore *ks, struct volume *volume,
	struct volume_renewal *renewal) __attribute__((warn_unused_result));

/*
 * Puts the new key, durably, into the place of volume's old one, which is erased already. Its header is due from
 * then on. 0 or -errno: then it may be repeated.
 */
int keystore_renewal_commit(const struct keystore *ks, struct volume *volume,
	struct volume_renewal *renewal) __attribute__((warn_unused_result));

/* Frees what the renewal still owns. */
void keystore_renewal_discard(struct volume_renewal *renewal);

/*
 * The header of volume, whose key is given: the same bytes to everybody who asks, as long as it is due. *fd stays the
 * volume's. 0 or -errno.
 */
int keystore_volume_header(struct volume *volume, const uint8_t *key, int *fd)
	__attribute__((warn_unused_result));

/* The header is on the medium: it is forgotten, and not due any more. */
void keystore_forget_header(struct volume *volume);

#endif
