/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "shares.h"

#include <errno.h>
#include <libgfshare.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "random.h"
#include "secret.h"
#include "text.h"

enum { CHECK_BYTES = 4, HEX_BYTES = 2 * SHARE_SECRET_BYTES };

static const char format_name[] = "tgt-crypt-share-1";

/* libgfshare's source of randomness cannot say that it failed. */
static bool random_failed;

static void fill_random(unsigned char *to, unsigned int len_bytes)
{
	if (random_fill(to, len_bytes))
		random_failed = true;
}

int shares_parse_split(const char *text, unsigned *threshold, unsigned *count)
{
	unsigned k, n;
	char more;

	if (sscanf(text, "%2u/%2u%c", &k, &n, &more) != 2 || k < 2 || k > n || n > SHARES_MAX)
		return -EINVAL;
	*threshold = k;
	*count = n;
	return 0;
}

static void to_passphrase(const uint8_t secret[SHARE_SECRET_BYTES], struct proto_passphrase *to)
{
	char *hex = (char *)to->bytes; /* room for its NUL, too */

	text_hex(secret, SHARE_SECRET_BYTES, hex);
	to->len_bytes = HEX_BYTES;
}

static int split(uint8_t secret[SHARE_SECRET_BYTES], unsigned threshold, unsigned count,
	struct share *shares)
{
	unsigned char numbers[SHARES_MAX];

	for (unsigned i = 0; i < count; i++)
		numbers[i] = (unsigned char)(i + 1);
	gfshare_fill_rand = fill_random;
	random_failed = false;
	gfshare_ctx *ctx =
		gfshare_ctx_init_enc(numbers, count, (unsigned char)threshold, SHARE_SECRET_BYTES);
	if (!ctx)
		return -ENOMEM;
	gfshare_ctx_enc_setsecret(ctx, secret);
	for (unsigned i = 0; i < count; i++) {
		shares[i].threshold = threshold;
		shares[i].count = count;
		shares[i].number = i + 1;
		gfshare_ctx_enc_getshare(ctx, (unsigned char)i, shares[i].part);
	}
	int rc = random_failed ? -EIO : 0;
	gfshare_ctx_free(ctx); /* fills its memory with random bytes */
	return rc;
}

int shares_make(unsigned threshold, unsigned count, struct proto_passphrase *passphrase,
	struct share *shares)
{
	uint8_t *secret = secret_alloc(SHARE_SECRET_BYTES);
	if (!secret)
		return -ENOMEM;
	int rc = random_fill(secret, SHARE_SECRET_BYTES);
	if (!rc)
		rc = split(secret, threshold, count, shares);
	if (!rc)
		to_passphrase(secret, passphrase);
	secret_free(secret);
	return rc;
}

static enum shares_problem find_problem(const struct share *shares, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(shares[i].id, shares[0].id) || shares[i].count != shares[0].count ||
			shares[i].threshold != shares[0].threshold)
			return SHARES_MIXED;
		for (size_t k = 0; k < i; k++) {
			if (shares[k].number == shares[i].number)
				return SHARES_TWICE;
		}
	}
	return !count || count < shares[0].threshold ? SHARES_TOO_FEW : SHARES_FIT;
}

int shares_combine(const struct share *shares, size_t count, struct proto_passphrase *passphrase,
	enum shares_problem *problem)
{
	unsigned char numbers[SHARES_MAX];

	*problem = find_problem(shares, count);
	if (*problem != SHARES_FIT || count > SHARES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		numbers[i] = (unsigned char)shares[i].number;
	uint8_t *secret = secret_alloc(SHARE_SECRET_BYTES);
	if (!secret)
		return -ENOMEM;
	gfshare_fill_rand = fill_random;
	gfshare_ctx *ctx = gfshare_ctx_init_dec(numbers, (unsigned)count, SHARE_SECRET_BYTES);
	for (size_t i = 0; ctx && i < count; i++)
		gfshare_ctx_dec_giveshare(ctx, (unsigned char)i,
			(unsigned char *)(uintptr_t)shares[i].part); /* only read */
	if (ctx) {
		gfshare_ctx_dec_extract(ctx, secret);
		to_passphrase(secret, passphrase);
		gfshare_ctx_free(ctx);
	}
	secret_free(secret);
	return ctx ? 0 : -ENOMEM;
}

/* Of the first len_bytes of text, in hex. */
static void check_of(const char *text, size_t len_bytes, char check[2 * CHECK_BYTES + 1])
{
	uint8_t digest[SHA256_DIGEST_LENGTH] = {0};

	(void)SHA256((const uint8_t *)text, len_bytes, digest);
	text_hex(digest, CHECK_BYTES, check);
}

size_t share_format(const struct share *share, char text[SHARE_TEXT_BYTES])
{
	char check[2 * CHECK_BYTES + 1];

	int len = snprintf(text, SHARE_TEXT_BYTES, "%s %s %u/%u %u ", format_name, share->id,
		share->threshold, share->count, share->number);
	text_hex(share->part, SHARE_SECRET_BYTES, text + len);
	len += HEX_BYTES;
	text[len++] = ' ';
	check_of(text, (size_t)len, check);
	len += snprintf(text + len, SHARE_TEXT_BYTES - (size_t)len, "%s\n", check);
	return (size_t)len;
}

static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

static bool parse_hex(const char *hex, uint8_t *bytes, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++) {
		int high = digit_of(hex[2 * i]), low = high < 0 ? -1 : digit_of(hex[2 * i + 1]);
		if (low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int share_parse(const char *text, size_t len_bytes, struct share *share)
{
	enum { CHECK_CHARS = 2 * CHECK_BYTES, TAIL_BYTES = HEX_BYTES + 1 + CHECK_CHARS };
	char head[SHARE_TEXT_BYTES], name[32], check[2 * CHECK_BYTES + 1], more;

	while (len_bytes && (text[len_bytes - 1] == '\n' || text[len_bytes - 1] == '\r'))
		len_bytes--;
	if (len_bytes <= TAIL_BYTES || len_bytes >= SHARE_TEXT_BYTES)
		return -EINVAL;
	size_t head_bytes = len_bytes - TAIL_BYTES;
	check_of(text, len_bytes - CHECK_CHARS, check);
	if (memcmp(check, text + len_bytes - CHECK_CHARS, CHECK_CHARS))
		return -EINVAL;
	memcpy(head, text, head_bytes); /* nothing secret in it */
	head[head_bytes] = '\0';
	if (sscanf(head, "%31s %23s %2u/%2u %2u %c", name, share->id, &share->threshold,
		    &share->count, &share->number, &more) != 5 ||
		strcmp(name, format_name))
		return -EINVAL;
	if (share->threshold < 2 || share->threshold > share->count || share->count > SHARES_MAX ||
		!share->number || share->number > share->count)
		return -EINVAL;
	return parse_hex(text + head_bytes, share->part, SHARE_SECRET_BYTES) ? 0 : -EINVAL;
}
