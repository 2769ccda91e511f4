/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A key from a passphrase: Argon2id (RFC 9106, version 1.3), one lane because keyd has one thread, no
 * secret and no associated data. Argon2's memory is locked and wiped as a key is.
 */
#ifndef KEYD_STRETCH_H
#define KEYD_STRETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proto.h"
#include "wrap.h"

enum {
	STRETCH_SALT_BYTES = 16,
	STRETCH_PASSPHRASE_BYTES_MIN = 8, /* of a new passphrase */
};

struct stretch {
	uint32_t passes;
	uint32_t memory_kib;
	uint8_t salt[STRETCH_SALT_BYTES];
};

/*
 * A new salt, and a cost of about a second on this machine, which it takes to find that out. key
 * (secret memory) is overwritten. 0 or -errno.
 */
int stretch_calibrate(struct stretch *params, const struct proto_passphrase *passphrase,
	uint8_t key[WRAP_KEY_BYTES]) __attribute__((warn_unused_result));

/* A new salt, and a cost that needs no calibration: less than a second on most machines. 0 or -EIO. */
int stretch_fixed(struct stretch *params) __attribute__((warn_unused_result));

/* False for a cost that keyd never chooses: it might take forever, or nothing. */
bool stretch_is_plausible(const struct stretch *params);

/* The key, into secret memory. 0, -ENOMEM (or it cannot be locked), -EIO. */
int stretch_key(const struct stretch *params, const struct proto_passphrase *passphrase,
	uint8_t key[WRAP_KEY_BYTES]) __attribute__((warn_unused_result));

#endif
