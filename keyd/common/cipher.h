/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The table of volume ciphers, shared by keyd (which makes keys) and bs_crypt (which uses them).
 * A new algorithm is a row here and a row in bs_crypt's engine table.
 */
#ifndef KEYD_CIPHER_H
#define KEYD_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CIPHER_KEY_MAX = 64 }; /* bytes: the longest volume key of the table */

enum cipher_id {
	CIPHER_AES_CBC_ESSIV,
	CIPHER_AES_XTS,
};

struct cipher {
	enum cipher_id id;
	const char *name;      /* as in LUKS2's segment and in keyadm's --cipher */
	const char *luks_name; /* libcryptsetup's cipher argument */
	const char *luks_mode; /* libcryptsetup's cipher_mode argument */
	size_t key_bytes;
};

/* The cipher that volumes get when nobody asks for another. Static storage. */
const struct cipher *cipher_default(void);

/* The row called name, or NULL. Static storage. */
const struct cipher *cipher_find(const char *name);

/* Row i of the table, or NULL past its end: to list the names. Static storage. */
const struct cipher *cipher_at(size_t i);

/* True for the encryption sector sizes that volumes may have: 512 and 4096 bytes. */
bool cipher_sector_size_ok(uint32_t sector_bytes);

#endif
