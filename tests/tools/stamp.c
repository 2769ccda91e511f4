/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "stamp.h"

enum { WORDS = STAMP_BYTES / 8 };

static const uint64_t magic = 0x7374616d70656421; /* "stamped!" */

static void make_unit(uint64_t unit[WORDS], uint64_t offset_bytes, uint32_t version)
{
	uint64_t x = offset_bytes * 0x9e3779b97f4a7c15u + version;
	size_t i;

	unit[0] = magic;
	unit[1] = offset_bytes;
	unit[2] = version;
	for (i = 3; i < WORDS; i++) {
		x ^= x << 13; /* xorshift64 */
		x ^= x >> 7;
		x ^= x << 17;
		unit[i] = x;
	}
}

void stamp_fill(uint8_t *buf, size_t len_bytes, uint64_t offset_bytes, uint32_t version)
{
	uint64_t unit[WORDS];
	size_t pos;

	for (pos = 0; pos < len_bytes; pos += STAMP_BYTES) {
		make_unit(unit, offset_bytes + pos, version);
		memcpy(buf + pos, unit, STAMP_BYTES);
	}
}

int stamp_verify(const uint8_t *buf, size_t len_bytes, uint64_t offset_bytes, uint32_t lowest,
	uint32_t highest, uint64_t *bad_offset, uint32_t *found)
{
	uint64_t unit[WORDS], want[WORDS];
	size_t pos;

	for (pos = 0; pos < len_bytes; pos += STAMP_BYTES) {
		memcpy(unit, buf + pos, STAMP_BYTES);
		make_unit(want, offset_bytes + pos, (uint32_t)unit[2]);
		*bad_offset = offset_bytes + pos;
		*found = 0;
		if (memcmp(unit, want, STAMP_BYTES))
			return -1;
		*found = (uint32_t)unit[2];
		if (*found < lowest || *found > highest)
			return -1;
	}
	return 0;
}
