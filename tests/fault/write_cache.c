/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "write_cache.h"

#include <errno.h>
#include <string.h>

enum { UNIT_ATTENTION = 6, UNIT_ATTENTIONS_MAX = 8, WCE = 0x04 };

int attended_command(struct session *s, const uint8_t *cdb, size_t cdb_len, const void *out,
	size_t out_len, void *in, size_t in_cap, struct outcome *result)
{
	int rc = -EIO;

	for (int i = 0; i < UNIT_ATTENTIONS_MAX; i++) {
		rc = session_command(s, cdb, cdb_len, out, out_len, in, in_cap, result);
		if (rc || result->key != UNIT_ATTENTION)
			break;
	}
	return rc;
}

int write_cache_off_data(struct session *s, uint8_t data[WRITE_CACHE_DATA_BYTES])
{
	const uint8_t sense[6] = {0x1a, 0x08, 0x08, 0, WRITE_CACHE_DATA_BYTES};
	struct outcome result;

	if (attended_command(s, sense, 6, NULL, 0, data, WRITE_CACHE_DATA_BYTES, &result) ||
		result.status)
		return -EIO;
	memset(data, 0, 4); /* the header is reserved in MODE SELECT */
	data[4] &= 0x3f;
	data[6] &= (uint8_t)~WCE;
	return 0;
}

int write_cache_off(struct session *s)
{
	const uint8_t select[6] = {0x15, 0x10, 0, 0, WRITE_CACHE_DATA_BYTES};
	uint8_t data[WRITE_CACHE_DATA_BYTES];
	struct outcome result;

	if (write_cache_off_data(s, data) ||
		attended_command(s, select, 6, data, WRITE_CACHE_DATA_BYTES, NULL, 0, &result))
		return -EIO;
	return result.status ? -EIO : 0;
}
