/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "initiator.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static const char *check_name(char *name, size_t len)
{
	static const char *const types[] = {"iqn.", "eui.", "naa."};
	enum { TYPE_BYTES = 4, TYPES = sizeof(types) / sizeof(types[0]) };
	unsigned type = 0;

	if (len > INITIATOR_NAME_BYTES_MAX)
		return "is longer than 223 bytes";
	while (type < TYPES && (len <= TYPE_BYTES || memcmp(name, types[type], TYPE_BYTES)))
		type++;
	if (type == TYPES)
		return "does not begin with iqn., eui. or naa.";
	for (size_t i = 0; i < len; i++)
		if (!is_letter_or_digit(name[i]) && !strchr("-.:", name[i]))
			return "has a character other than A-Z a-z 0-9 - . :";
	return NULL;
}

static const char *check_alias(char *alias, size_t len)
{
	if (len > INITIATOR_ALIAS_BYTES_MAX)
		return "is longer than 255 bytes";
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)alias[i];

		if (c < ' ' || c == 0x7f)
			return "has a control character";
		if (!is_letter_or_digit(alias[i]) && !strchr("-._", alias[i]))
			alias[i] = '_';
	}
	return NULL;
}

static const struct row {
	const char *key;
	const char *(*check)(char *value, size_t len); /* why not, or NULL */
} rows[] = {
	{"InitiatorName", check_name},
	{"InitiatorAlias", check_alias},
};

static void show(char *to, size_t size, const char *value, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < len && at + sizeof("\\xNN...") <= size; i++) {
		if (value[i] > ' ' && value[i] < 0x7f && !strchr("\"\\", value[i]))
			to[at++] = value[i];
		else
			at += (size_t)snprintf(to + at, size - at, "\\x%02x", (uint8_t)value[i]);
		if (i + 1 < len && at + sizeof("\\xNN...") > size)
			at += (size_t)snprintf(to + at, size - at, "...");
	}
	to[at] = '\0';
}

/* A pair as tgt's text_key_find() sees it. */
static int check_pair(
	const char *key, size_t key_len, char *value, size_t len, struct initiator_fault *fault)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strlen(rows[i].key) != key_len || memcmp(rows[i].key, key, key_len))
			continue;
		const char *why = rows[i].check(value, len);
		if (!why)
			return 0;
		fault->key = rows[i].key;
		fault->why = why;
		show(fault->shown, sizeof(fault->shown), value, len);
		return -EINVAL;
	}
	return 0;
}

int initiator_check(char *text, size_t len, struct initiator_fault *fault)
{
	char *end = text + len;

	while (text < end) {
		char *equals = memchr(text, '=', (size_t)(end - text));
		char *value = equals ? equals + 1 : end;
		char *zero = value < end ? memchr(value, '\0', (size_t)(end - value)) : NULL;

		if (!zero)
			return 0;
		int rc = check_pair(
			text, (size_t)(equals - text), value, (size_t)(zero - value), fault);
		if (rc)
			return rc;
		text = zero + 1;
	}
	return 0;
}
