/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Custody: where the root key of a store lives while keyd does not run (DESIGN 4). One row for each
 * kind, each in a file of its own. Which row a store is in shows in which of their files it has.
 */
#ifndef KEYD_CUSTODY_H
#define KEYD_CUSTODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"
#include "wrap.h"

enum {
	ROOT_KEY_BYTES = WRAP_KEY_BYTES,
	CUSTODY_FILE_NAME_BYTES = 64,
	CUSTODY_SEALED_LEVEL_BYTES = WRAP_NONCE_BYTES + WRAP_KEY_BYTES + WRAP_TAG_BYTES,
};

/* What keyd.conf(5) says of devices. */
struct custody_config {
	char *tpm2_tcti;        /* owned; NULL: tpm2-tss looks for one */
	uint32_t tpm2_nv_index; /* the first of two */
	uint32_t tpm2_pcrs;     /* bit i: bind new root keys to PCR i of the SHA-256 bank */
	char *pkcs11_module;    /* owned, as the next; NULL: not said */
	char *pkcs11_token;     /* the token's label */
};

/* What a row keeps in memory while its store is open; NULL where there is nothing. */
struct custody_keeper;

/* A store as a custody sees it. */
struct custody_place {
	int dir_fd;
	const struct custody_config *config;
	bool next; /* about the root key that is to come, see rewrap.h: its file has another name */
	/* For erase(), of a row that needs them: either will do. Borrowed; NULL: not at hand. */
	struct custody_keeper *keeper;
	const struct proto_passphrase *passphrase;
};

/*
 * Rows that have a key of its own for each level in a device. What lies in the store under the root key is
 * then the level key as that key sealed it, and good for nothing once that key is destroyed there.
 *
 * A level's key in the device is made before the level's record is durable. A crash in between leaves one
 * that seals nothing: it is taken when the level is made after all, and goes with the store's others. It is
 * never destroyed because no record speaks of it: an old copy of the store knows nothing of later levels.
 *
 * All return -EREMOTEIO when the device does not answer, which says nothing about the level: nothing
 * may be marked damaged, or called destroyed, then. keeper may be NULL: no session.
 */
struct custody_levels {
	const char *checked; /* for certificates: what destroy() looked at */

	/* 0 when the device answers. */
	int (*check)(const struct custody_keeper *keeper);

	/* Makes the level's key in the device if there is none. 0, -ENOSPC, or another -errno. */
	int (*seal)(struct custody_keeper *keeper, const char *level,
		const uint8_t key[WRAP_KEY_BYTES], uint8_t sealed[CUSTODY_SEALED_LEVEL_BYTES]);

	/* key is secret memory. -EBADMSG: damaged, or the device has no key for the level. */
	int (*open)(struct custody_keeper *keeper, const char *level,
		const uint8_t sealed[CUSTODY_SEALED_LEVEL_BYTES], uint8_t key[WRAP_KEY_BYTES]);

	/* 0: the device does not have the level's key, which was looked at. Harmless when repeated. */
	int (*destroy)(struct custody_keeper *keeper, const char *level);
};

struct custody {
	const char *name;        /* as in keyadm init --custody */
	const char *file;        /* in the store */
	const char *erase_class; /* NIST SP 800-88: what destroying does to remnants */
	const char *erase_class_reason;
	const struct custody_levels
		*levels; /* NULL: level keys are sealed under the root key alone */

	/*
	 * True when load() needs the passphrase (or PIN): then the store is locked when keyd starts. A
	 * row that never does ignores what it is given, which may be NULL.
	 */
	bool (*needs_passphrase)(const struct custody_place *place);

	/*
	 * Makes a root key, keeps it durably, copies it to root (secret memory). 0, -EKEYREJECTED (the
	 * passphrase is too short), or -errno: then the caller calls erase().
	 */
	int (*create)(const struct custody_place *place, const struct proto_passphrase *passphrase,
		uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper);

	/*
	 * Fetches the root key into root. 0, -EBADMSG when what is kept is damaged, -EKEYREJECTED when
	 * the passphrase is wrong, -ESTALE when the store is older than what the custody keeps, -EACCES
	 * when the machine is not in the state that the root key is bound to, -ENXIO when the device does
	 * not have it, -ENODEV when there is no device, -EBUSY when it takes no passphrase for some
	 * time, or -errno.
	 */
	int (*load)(const struct custody_place *place, const struct proto_passphrase *passphrase,
		uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper);

	/*
	 * Rows that can forget: makes a further root key on the same terms, for place->next. Destroying
	 * a key replaces the root key then, and what was wrapped under the old one falls with it. NULL:
	 * the row cannot.
	 */
	int (*renew)(const struct custody_place *place, struct custody_keeper *keeper,
		uint8_t root[ROOT_KEY_BYTES]);

	/*
	 * The row's file is in force: makes an older root key that it still keeps unusable, and checks
	 * that. Harmless when there is none. NULL: the row keeps one only. 0 or -errno.
	 */
	int (*settle)(const struct custody_place *place, struct custody_keeper *keeper);

	/*
	 * Makes what it keeps for this place unusable, for good. Harmless when there is nothing. 0, or
	 * -errno; -EKEYEXPIRED: not without place->keeper or place->passphrase.
	 */
	int (*erase)(const struct custody_place *place);

	/* Wipes and frees; keeper may be NULL. NULL: nothing to do. */
	void (*release)(struct custody_keeper *keeper);
};

extern const struct custody custody_file;
extern const struct custody custody_passphrase;
extern const struct custody custody_tpm2;
extern const struct custody custody_pkcs11;

/* Row i of the table, or NULL past its end. Static storage. */
const struct custody *custody_at(size_t i);

/* The row called name, or NULL. */
const struct custody *custody_find(const char *name);

/* No rows of the table, but where a level's key was before, as struct level, leaky, says. */
extern const struct custody custody_elsewhere; /* it was imported */
extern const struct custody custody_unknown;   /* its record cannot be read */

/* A row, or one of the two above, by its name; custody_unknown for any other name. */
const struct custody *custody_find_former(const char *name);

/*
 * *custody is the row that holds the root key of the store in dir_fd, or NULL: not initialized. 0, or
 * -ENOTUNIQ when more than one seems to: somebody put a file there.
 */
int custody_of_store(int dir_fd, const struct custody **custody)
	__attribute__((warn_unused_result));

/* The name of the row's file in this place. */
void custody_file_name(const struct custody *custody, const struct custody_place *place,
	char name[CUSTODY_FILE_NAME_BYTES]);

/* What an error of a row means and what to do, for people; strerror() for the rest. Static storage. */
const char *custody_strerror(int rc);

enum { CUSTODY_MAGIC_BYTES = 16, CUSTODY_DIGEST_BYTES = 32 };

/*
 * The files of all rows are alike at both ends: first a magic of CUSTODY_MAGIC_BYTES, of which the version is
 * part, and last the SHA-256 of all before, which tells a damaged file from a good one and protects nothing.
 *
 * Reads the row's file of exactly file_bytes straight into file, which may be secret memory. 0, -ENOENT,
 * -EBADMSG (another length, magic or digest), or -errno; then file holds nothing to rely on.
 */
int custody_read_file(const struct custody *custody, const struct custody_place *place,
	const char magic[CUSTODY_MAGIC_BYTES], void *file, size_t file_bytes)
	__attribute__((warn_unused_result));

/* Puts magic and digest into file and writes it durably. 0 or -errno. */
int custody_write_file(const struct custody *custody, const struct custody_place *place,
	const char magic[CUSTODY_MAGIC_BYTES], void *file, size_t file_bytes)
	__attribute__((warn_unused_result));

/* Of rows whose root key is in their file: overwrites and removes that. */
int custody_erase_file(const struct custody *custody, const struct custody_place *place)
	__attribute__((warn_unused_result));

#endif
