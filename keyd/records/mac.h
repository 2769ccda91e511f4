/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* HMAC-SHA-256 (RFC 2104, FIPS 198-1), as text: what only who has the key can make. */
#ifndef KEYD_MAC_H
#define KEYD_MAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MAC_KEY_BYTES = 32,
	MAC_TEXT_BYTES = 65, /* 64 hexadecimal digits and a NUL */
};

struct evp_mac_ctx_st;

/* A key made ready. Holds a copy of it in OpenSSL's memory until mac_end(). */
struct mac {
	struct evp_mac_ctx_st *ctx; /* NULL: no key */
};

/* 0 or -EIO: then there is nothing to end. */
int mac_begin(struct mac *mac, const uint8_t key[MAC_KEY_BYTES])
	__attribute__((warn_unused_result));

/* out = the code over data, in hex. 0 or -EIO. May be called again and again. */
int mac_text(struct mac *mac, const void *data, size_t len, char out[MAC_TEXT_BYTES])
	__attribute__((warn_unused_result));

/* Wipes the copy of the key. Harmless on a zeroed mac. */
void mac_end(struct mac *mac);

/* Whether the codes a and b (MAC_TEXT_BYTES - 1 digits) are equal, in a time that tells nothing. */
bool mac_equal(const char *a, const char *b);

#endif
