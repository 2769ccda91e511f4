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

bool text_is_path(const char *path)
{
	const unsigned char *s = (const unsigned char *)path;

	if (path[0] != '/' || strnlen(path, PROTO_PATH_BYTES) >= PROTO_PATH_BYTES)
		return false;
	while (*s) {
		size_t len = utf8_sequence(s);
		if (!len || *s < 0x20 || *s == 0x7f)
			return false;
		s += len;
	}
	return true;
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
