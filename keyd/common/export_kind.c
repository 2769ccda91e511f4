/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "export_kind.h"

#include <string.h>

enum { DER_SEQUENCE = 0x30 };

enum export_kind export_kind_of(const uint8_t *bytes, size_t len_bytes)
{
	static const struct {
		const char *magic;
		enum export_kind kind;
	} kinds[] = {{EXPORT_MAGIC_OPEN, EXPORT_OPEN}, {EXPORT_MAGIC_SEALED, EXPORT_SEALED}};

	if (len_bytes < EXPORT_MAGIC_BYTES)
		return EXPORT_UNKNOWN;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!memcmp(bytes, kinds[i].magic, strlen(kinds[i].magic)))
			return kinds[i].kind;
	}
	return bytes[0] == DER_SEQUENCE ? EXPORT_CMS : EXPORT_UNKNOWN;
}

void export_sealed_id(const uint8_t *bytes, size_t len_bytes, char id[PROTO_EXPORT_ID_BYTES])
{
	memset(id, 0, PROTO_EXPORT_ID_BYTES);
	if (export_kind_of(bytes, len_bytes) == EXPORT_SEALED &&
		len_bytes >= EXPORT_SEALED_ID_AT + PROTO_EXPORT_ID_BYTES)
		memcpy(id, bytes + EXPORT_SEALED_ID_AT, PROTO_EXPORT_ID_BYTES - 1);
}
