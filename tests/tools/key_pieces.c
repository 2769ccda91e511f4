/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "key_pieces.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

enum {
	ROUND_KEY_BYTES = 16,
	ROUND_KEYS = 15,
	PIECES_OF_A_KEY = 512, /* more than there are */
};

struct list {
	struct key_piece *piece;
	size_t count;
	const char *of;
};

static void add_piece(
	struct list *list, const char *name, size_t index, const uint8_t *bytes, size_t len_bytes)
{
	struct key_piece *p = &list->piece[list->count++];

	p->of = list->of;
	snprintf(p->name, sizeof(p->name), "%s %zu", name, index);
	memcpy(p->bytes, bytes, len_bytes);
	p->len_bytes = len_bytes;
}

static uint8_t times_two(uint8_t x)
{
	return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

static uint8_t multiply(uint8_t a, uint8_t b)
{
	uint8_t sum = 0;

	for (; b; b >>= 1, a = times_two(a))
		if (b & 1)
			sum ^= a;
	return sum;
}

/* FIPS 197 5.1.1: the inverse in GF(2^8), x^254, then the affine transformation. */
static uint8_t sub_byte(uint8_t x)
{
	uint8_t y = 1;
	int i;

	for (i = 0; i < 254; i++)
		y = multiply(y, x);
	return (uint8_t)(y ^ (y << 1 | y >> 7) ^ (y << 2 | y >> 6) ^ (y << 3 | y >> 5) ^
			 (y << 4 | y >> 4) ^ 0x63);
}

static void expand_key(const uint8_t key[KEY_BYTES], uint8_t w[ROUND_KEYS * ROUND_KEY_BYTES])
{
	uint8_t rcon = 1, t[4];
	size_t i, j;

	memcpy(w, key, KEY_BYTES);
	for (i = KEY_BYTES; i < ROUND_KEYS * ROUND_KEY_BYTES; i += 4) {
		memcpy(t, w + i - 4, 4);
		if (i % KEY_BYTES == 0) {
			const uint8_t rotated[4] = {t[1], t[2], t[3], t[0]};

			for (j = 0; j < 4; j++)
				t[j] = sub_byte(rotated[j]);
			t[0] ^= rcon;
			rcon = times_two(rcon);
		} else if (i % KEY_BYTES == KEY_BYTES / 2) {
			for (j = 0; j < 4; j++)
				t[j] = sub_byte(t[j]);
		}
		for (j = 0; j < 4; j++)
			w[i + j] = w[i + j - KEY_BYTES] ^ t[j];
	}
}

static void inverse_mix_columns(uint8_t out[ROUND_KEY_BYTES], const uint8_t in[ROUND_KEY_BYTES])
{
	static const uint8_t row[4] = {14, 11, 13, 9};
	size_t c, i, j;

	memset(out, 0, ROUND_KEY_BYTES);
	for (c = 0; c < ROUND_KEY_BYTES; c += 4)
		for (i = 0; i < 4; i++)
			for (j = 0; j < 4; j++)
				out[c + i] ^= multiply(in[c + j], row[(j + 4 - i) % 4]);
}

/* As it is, with its 32-bit words turned round, and turned round as a whole. */
static void add_in_all_orders(
	struct list *list, const char *name, size_t index, const uint8_t bytes[ROUND_KEY_BYTES])
{
	uint8_t words[ROUND_KEY_BYTES], whole[ROUND_KEY_BYTES];
	size_t i;

	for (i = 0; i < ROUND_KEY_BYTES; i++) {
		words[i] = bytes[(i & ~(size_t)3) + 3 - i % 4];
		whole[i] = bytes[ROUND_KEY_BYTES - 1 - i];
	}
	add_piece(list, name, index, bytes, ROUND_KEY_BYTES);
	add_piece(list, name, index, words, ROUND_KEY_BYTES);
	add_piece(list, name, index, whole, ROUND_KEY_BYTES);
}

static void add_hex(struct list *list, const char *name, const uint8_t key[KEY_BYTES])
{
	static const char *const digits[] = {"0123456789abcdef", "0123456789ABCDEF"};
	uint8_t text[PIECE_BYTES_MAX];
	size_t i, j;

	for (j = 0; j < 2; j++) {
		for (i = 0; i < KEY_BYTES; i++) {
			text[2 * i] = (uint8_t)digits[j][key[i] >> 4];
			text[2 * i + 1] = (uint8_t)digits[j][key[i] & 15];
		}
		add_piece(list, name, j, text, sizeof(text));
	}
}

static void add_key(struct list *list, const char *name, const uint8_t key[KEY_BYTES])
{
	uint8_t w[ROUND_KEYS * ROUND_KEY_BYTES], inverse[ROUND_KEY_BYTES];
	char label[32];
	size_t i;

	expand_key(key, w);
	/* The first and the last 16 bytes are round keys 0 and 1. */
	snprintf(label, sizeof(label), "%s bytes from", name);
	for (i = 1; i < KEY_BYTES - PIECE_BYTES_MIN; i++)
		add_piece(list, label, i, key + i, PIECE_BYTES_MIN);
	snprintf(label, sizeof(label), "%s round key", name);
	for (i = 0; i < ROUND_KEYS; i++)
		add_in_all_orders(list, label, i, w + i * ROUND_KEY_BYTES);
	snprintf(label, sizeof(label), "%s inverse round key", name);
	for (i = 1; i < ROUND_KEYS - 1; i++) {
		inverse_mix_columns(inverse, w + i * ROUND_KEY_BYTES);
		add_in_all_orders(list, label, i, inverse);
	}
	snprintf(label, sizeof(label), "%s in hex", name);
	add_hex(list, label, key);
}

/* FIPS 197 A.3: the last word of the example's key expansion. */
static bool expansion_is_right(void)
{
	static const uint8_t key[KEY_BYTES] = {0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b,
		0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08,
		0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};
	static const uint8_t last[4] = {0x70, 0x6c, 0x63, 0x1e};
	uint8_t w[ROUND_KEYS * ROUND_KEY_BYTES];

	expand_key(key, w);
	return !memcmp(w + sizeof(w) - 4, last, 4);
}

static int add_file(struct list *list, const char *path)
{
	uint8_t keys[2 * KEY_BYTES + 1], essiv[KEY_BYTES];
	FILE *f = fopen(path, "r");

	if (!f)
		return -errno;
	size_t got = fread(keys, 1, sizeof(keys), f);
	fclose(f);
	if (got != KEY_BYTES && got != sizeof(keys) - 1)
		return -EINVAL;
	list->of = path;
	add_key(list, "key", keys);
	if (got > KEY_BYTES) {
		add_key(list, "second key", keys + KEY_BYTES);
		return 0;
	}
	SHA256(keys, KEY_BYTES, essiv);
	add_key(list, "ESSIV key", essiv);
	return 0;
}

long key_pieces_load(char *const *files, size_t file_count, struct key_piece **pieces)
{
	struct list list = {0};
	int rc = expansion_is_right() ? 0 : -EIO;

	list.piece = calloc(file_count * PIECES_OF_A_KEY, sizeof(*list.piece));
	if (!list.piece)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < file_count; i++)
		rc = add_file(&list, files[i]);
	if (rc) {
		free(list.piece);
		return rc;
	}
	*pieces = list.piece; /* the caller owns it */
	return (long)list.count;
}
