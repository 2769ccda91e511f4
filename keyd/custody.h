/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Custody: where the root key of a store lives while keyd does not run (DESIGN 4). One row for each
 * kind, each in a file of its own.
 */
#ifndef KEYD_CUSTODY_H
#define KEYD_CUSTODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"
#include "wrap.h"

enum { ROOT_KEY_BYTES = WRAP_KEY_BYTES };

struct custody {
	const char *name;        /* as in keyadm init --custody */
	const char *erase_class; /* NIST SP 800-88: what destroying does to remnants */
	const char *erase_class_reason;
	/*
	 * A store in this custody is locked when keyd starts, until somebody gives the passphrase. Others
	 * ignore the one that create() and load() are given, which may be NULL then.
	 */
	bool needs_passphrase;

	/* True when the store in state_fd has its root key in this custody. */
	bool (*present)(int state_fd);

	/*
	 * Makes a root key, keeps it durably, copies it to root (secret memory). 0, -EKEYREJECTED (the
	 * passphrase is too short), or -errno.
	 */
	int (*create)(int state_fd, const struct proto_passphrase *passphrase,
		uint8_t root[ROOT_KEY_BYTES]);

	/*
	 * Fetches the root key into root. 0, -EBADMSG when what is kept is damaged, -EKEYREJECTED when
	 * the passphrase is wrong, or -errno.
	 */
	int (*load)(int state_fd, const struct proto_passphrase *passphrase,
		uint8_t root[ROOT_KEY_BYTES]);
};

extern const struct custody custody_file;
extern const struct custody custody_passphrase;

/* Row i of the table, or NULL past its end. Static storage. */
const struct custody *custody_at(size_t i);

/* The row called name, or NULL. */
const struct custody *custody_find(const char *name);

/* The row that holds the root key of the store in state_fd, or NULL: not initialized. */
const struct custody *custody_of_store(int state_fd);

#endif
