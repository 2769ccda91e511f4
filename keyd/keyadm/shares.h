/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * An export's passphrase in N shares of which any K give it back, and fewer tell nothing about it: Shamir's
 * scheme over GF(2^8), by libgfshare. A share is one line of text:
 *
 *   tgt-crypt-share-1 exp-0123456789abcdef 3/5 2 <64 hexadecimal digits> <8 more>
 *
 * the format, the export, K/N, its own number from 1 on, the share, and the first 4 bytes of the SHA-256 of
 * all before with the blank, against typing errors. One thread.
 */
#ifndef KEYD_SHARES_H
#define KEYD_SHARES_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

enum {
	SHARES_MAX = 16,
	SHARE_SECRET_BYTES = 32,
	SHARE_TEXT_BYTES = 160, /* a line, its newline and a NUL */
};

struct share {
	char id[PROTO_EXPORT_ID_BYTES]; /* of the export */
	unsigned threshold, count;      /* K, N */
	unsigned number;                /* 1 to N */
	uint8_t part[SHARE_SECRET_BYTES];
};

/* "3/5" into K and N. 0, -EINVAL: not such a text, or not 2 <= K <= N <= SHARES_MAX; then both stay. */
int shares_parse_split(const char *text, unsigned *threshold, unsigned *count)
	__attribute__((warn_unused_result));

/*
 * Makes a random passphrase of 64 hexadecimal digits and its shares[0 .. count), all in secret memory of
 * the caller's; the ids are left empty. 0, -ENOMEM, -EIO.
 */
int shares_make(unsigned threshold, unsigned count, struct proto_passphrase *passphrase,
	struct share *shares) __attribute__((warn_unused_result));

/* Why shares_combine() refused. */
enum shares_problem {
	SHARES_FIT,
	SHARES_TOO_FEW,
	SHARES_TWICE, /* the same one */
	SHARES_MIXED, /* not all of one export */
};

/* The passphrase from count shares, all of one export and more or as many as are needed. -EINVAL, -ENOMEM. */
int shares_combine(const struct share *shares, size_t count, struct proto_passphrase *passphrase,
	enum shares_problem *problem) __attribute__((warn_unused_result));

/* The share's line, in secret memory. Returns its length without the NUL. */
size_t share_format(const struct share *share, char text[SHARE_TEXT_BYTES]);

/* The reverse, of len_bytes with or without a newline. 0, or -EINVAL: no share, or a typing error in it. */
int share_parse(const char *text, size_t len_bytes, struct share *share)
	__attribute__((warn_unused_result));

#endif
