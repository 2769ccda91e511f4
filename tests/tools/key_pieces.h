/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What an AES-256 key can be made of again, as bytes to look for: every 16 bytes of the key, every
 * round key (FIPS 197 5.2), the decryption round keys of the equivalent inverse cipher (5.3.5), the
 * same for the ESSIV key SHA-256(key), each also with the bytes of its 32-bit words or all its bytes
 * reversed, and the keys as hexadecimal text.
 */
#ifndef TESTS_KEY_PIECES_H
#define TESTS_KEY_PIECES_H

#include <stddef.h>
#include <stdint.h>

enum {
	KEY_BYTES = 32,
	PIECE_BYTES_MAX = 2 * KEY_BYTES, /* hexadecimal text */
	PIECE_BYTES_MIN = 16,
};

struct key_piece {
	const char *of; /* the key's file; borrowed */
	char name[40];
	uint8_t bytes[PIECE_BYTES_MAX];
	size_t len_bytes;
	uint64_t hits;
};

/*
 * All pieces of the keys in files, of 32 bytes, or 64 for two keys of XTS. Their number, and in
 * *pieces an array for the caller to free; -errno when a file is no key, or memory is short.
 */
long key_pieces_load(char *const *files, size_t file_count, struct key_piece **pieces)
	__attribute__((warn_unused_result));

#endif
