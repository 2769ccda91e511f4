/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "random.h"

enum { UUID_CHARS = 36, UUID_RAW_BYTES = 16 };

bool text_is_level_name(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strnlen(name, PROTO_LEVEL_BYTES);

	if (!len || len >= PROTO_LEVEL_BYTES || name[0] == '.' || name[0] == '-')
		return false;
	return strspn(name, allowed) == len;
}

bool text_is_uuid(const char *uuid)
{
	if (strnlen(uuid, UUID_CHARS + 1) != UUID_CHARS)
		return false;
	for (int i = 0; i < UUID_CHARS; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? uuid[i] != '-' : !strchr("0123456789abcdef", uuid[i]))
			return false;
	}
	return true;
}

bool text_names_uuid(const char *name)
{
	char lower[UUID_CHARS + 1] = "";

	if (strnlen(name, UUID_CHARS + 1) != UUID_CHARS)
		return false;
	for (int i = 0; i < UUID_CHARS; i++)
		lower[i] =
			(char)(name[i] >= 'A' && name[i] <= 'F' ? name[i] + ('a' - 'A') : name[i]);
	return text_is_uuid(lower);
}

/* Length of the UTF-8 sequence at s (RFC 3629), 0 if there is none. s is NUL-terminated. */
static size_t utf8_sequence(const unsigned char *s)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max;
		size_t len;
	} forms[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	if (s[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first_min || s[0] > forms[i].first_max)
			continue;
		if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++) {
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
		}
		return forms[i].len;
	}
	return 0;
}

/* Of the sequence at s. */
static uint32_t code_point(const unsigned char *s, size_t len)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = s[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | (s[i] & 0x3f);
	return code;
}

/*
 * Nobody sees these, or they make a reader see something else: controls, marks, overrides and isolates of
 * direction, separators of lines, what has no width, tags. Joiners stay: some scripts cannot be written without.
 */
static bool is_deceptive(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x00, 0x1f},
		{0x7f, 0x9f},
		{0xad, 0xad},
		{0x61c, 0x61c},
		{0x180e, 0x180e},
		{0x200b, 0x200b},
		{0x200e, 0x200f},
		{0x2028, 0x202e},
		{0x2060, 0x206f},
		{0xfeff, 0xfeff},
		{0xfff9, 0xfffb},
		{0xe0000, 0xe007f},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}

static bool is_ascii_control(uint32_t code)
{
	return code < 0x20 || code == 0x7f;
}

/* Whether all of text is UTF-8 of which nothing is refused. */
static bool consists_of(const char *text, bool (*refused)(uint32_t code))
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		size_t len = utf8_sequence(s);
		if (!len || (refused && refused(code_point(s, len))))
			return false;
		s += len;
	}
	return true;
}

bool text_is_utf8(const char *text)
{
	return consists_of(text, NULL);
}

static bool is_absolute(const char *path)
{
	return path[0] == '/' && strnlen(path, PROTO_PATH_BYTES) < PROTO_PATH_BYTES;
}

bool text_is_path(const char *path)
{
	return is_absolute(path) && consists_of(path, is_deceptive);
}

bool text_is_recorded_path(const char *path)
{
	return is_absolute(path) && consists_of(path, is_ascii_control);
}

const char *text_piece(const char *s, char piece[TEXT_PIECE_BYTES])
{
	const unsigned char *at = (const unsigned char *)s;
	size_t len = utf8_sequence(at);
	uint32_t code = len ? code_point(at, len) : 0;

	if (!len || is_ascii_control(code)) {
		(void)snprintf(piece, TEXT_PIECE_BYTES, "\\x%02x", at[0]);
		return s + 1;
	}
	if (is_deceptive(code)) {
		(void)snprintf(piece, TEXT_PIECE_BYTES, "\\u{%x}", (unsigned int)code);
	} else {
		memcpy(piece, s, len);
		piece[len] = '\0';
	}
	return s + len;
}

void text_escape(char *dst, size_t cap, const char *src)
{
	char piece[TEXT_PIECE_BYTES];
	size_t used = 0;

	while (*src) {
		src = text_piece(src, piece);
		size_t len = strlen(piece);
		if (used + len >= cap)
			break;
		memcpy(dst + used, piece, len);
		used += len;
	}
	dst[used] = '\0';
}

const char *text_tgt_refuses(const char *path)
{
	size_t len = strlen(path), plain = strcspn(path, ",\"$`\\#");

	if (plain < len)
		return path + plain;
	return len && path[len - 1] == ' ' ? path + len - 1 : NULL;
}

void text_sanitize(char *dst, size_t cap, const char *src)
{
	size_t i = 0;

	for (; i + 1 < cap && src[i]; i++)
		dst[i] = (char)(src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?');
	dst[i] = '\0';
}

void text_time(char out[TEXT_TIME_BYTES], int64_t unix_seconds)
{
	time_t t = (time_t)unix_seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, TEXT_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm))
		(void)snprintf(out, TEXT_TIME_BYTES, "unknown");
}

void text_hex(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

int text_new_uuid(char out[PROTO_UUID_BYTES])
{
	uint8_t raw[UUID_RAW_BYTES];
	char hex[2 * UUID_RAW_BYTES + 1];

	int rc = random_fill(raw, sizeof(raw));
	if (rc)
		return rc;
	raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40); /* version 4 */
	raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80); /* variant of RFC 4122 */
	text_hex(raw, sizeof(raw), hex);
	memset(out, 0, PROTO_UUID_BYTES);
	(void)snprintf(out, PROTO_UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		hex + 16, hex + 20);
	return 0;
}

int text_copy(char *dst, size_t cap, const char *src)
{
	size_t len = strnlen(src, cap);

	memset(dst, 0, cap);
	if (len >= cap)
		return -ENAMETOOLONG;
	memcpy(dst, src, len);
	return 0;
}
