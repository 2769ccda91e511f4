/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "audit_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "text.h"

const char audit_no_prev[AUDIT_HASH_BYTES] =
	"0000000000000000000000000000000000000000000000000000000000000000";

static const char line_end[] = "}\n";
static const char prev_key[] = ",\"prev\":\"";
static const char mac_key[] = ",\"mac\":\"";
static const char hash_key[] = ",\"hash\":\"";
_Static_assert((int)MAC_TEXT_BYTES == (int)AUDIT_HASH_BYTES, "both are 32 bytes in hex");

/* The digits of the member that ends at line[*end), if it is key's; *end moves to its start. */
static const char *take_member(const char *line, size_t *end, const char *key)
{
	size_t key_len = strlen(key), len = key_len + AUDIT_HASH_CHARS + 1;

	if (*end < len)
		return NULL;
	const char *member = line + *end - len;
	if (memcmp(member, key, key_len) != 0 || line[*end - 1] != '"')
		return NULL;
	*end -= len;
	return member + key_len;
}

int audit_line_parse(const char *line, size_t len, struct audit_line *parsed)
{
	size_t end = len - (sizeof(line_end) - 1);

	*parsed = (struct audit_line){0};
	if (len < sizeof(line_end) || memcmp(line + end, line_end, sizeof(line_end) - 1) != 0)
		return -EBADMSG;
	parsed->hash = take_member(line, &end, hash_key);
	parsed->hash_covers = end;
	parsed->mac = take_member(line, &end, mac_key);
	parsed->mac_covers = end;
	parsed->prev = take_member(line, &end, prev_key);
	if (!parsed->hash || !parsed->prev)
		return -EBADMSG;
	return sscanf(line, "{\"seq\":%" SCNu64 ",", &parsed->seq) == 1 ? 0 : -EBADMSG;
}

/* What hash and code are about: the covered bytes, closed as an object. */
static int close_object(const char *line, size_t covers, char whole[AUDIT_LINE_BYTES_MAX])
{
	if (covers + 1 > AUDIT_LINE_BYTES_MAX)
		return -EMSGSIZE;
	memcpy(whole, line, covers);
	whole[covers] = '}';
	return 0;
}

int audit_line_hash(const char *line, size_t covers, char hash[AUDIT_HASH_BYTES])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char whole[AUDIT_LINE_BYTES_MAX];

	int rc = close_object(line, covers, whole);
	if (rc)
		return rc;
	if (!SHA256((const uint8_t *)whole, covers + 1, digest))
		return -EIO;
	text_hex(digest, sizeof(digest), hash);
	return 0;
}

int audit_line_mac(struct mac *mac, const char *line, size_t covers, char code[MAC_TEXT_BYTES])
{
	char whole[AUDIT_LINE_BYTES_MAX];

	int rc = close_object(line, covers, whole);
	return rc ? rc : mac_text(mac, whole, covers + 1, code);
}

ssize_t audit_line_finish(const char *json, size_t len, struct mac *mac,
	char line[AUDIT_LINE_BYTES_MAX], char hash[AUDIT_HASH_BYTES])
{
	enum { TAIL = sizeof(mac_key) + sizeof(hash_key) + (size_t)2 * AUDIT_HASH_BYTES };
	char code[MAC_TEXT_BYTES];

	if (!len || len + TAIL + sizeof(line_end) > AUDIT_LINE_BYTES_MAX)
		return -EMSGSIZE;
	size_t used = len - 1; /* the closing brace comes last */
	memcpy(line, json, used);
	line[used] = '\0';
	if (mac) {
		int rc = audit_line_mac(mac, line, used, code);
		if (rc)
			return rc;
		used += (size_t)snprintf(
			line + used, AUDIT_LINE_BYTES_MAX - used, "%s%s\"", mac_key, code);
	}
	int rc = audit_line_hash(line, used, hash);
	if (rc)
		return rc;
	used += (size_t)snprintf(
		line + used, AUDIT_LINE_BYTES_MAX - used, "%s%s\"%s", hash_key, hash, line_end);
	return (ssize_t)used;
}
