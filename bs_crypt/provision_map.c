/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What a volume has mapped. */
#include "provision.h"

/* A hole's sectors are those that lie in it as a whole; data's all that it touches. */
static int map_one(struct volume *vol, uint64_t first_byte, struct extent *extent)
{
	uint64_t unit = volume_sector_bytes(vol), end;
	bool hole;
	int rc = volume_map(vol, first_byte, &end, &hole);

	if (rc)
		return rc;
	end = (hole ? end : end + unit - 1) / unit * unit;
	if (end <= first_byte) { /* a hole smaller than a sector */
		end = first_byte + unit;
		hole = false;
	}
	*extent = (struct extent){
		.first_byte = first_byte, .len_bytes = end - first_byte, .mapped = !hole};
	return 0;
}

int provision_map(struct volume *vol, uint64_t first_byte, struct extent *extents, unsigned room,
	unsigned *count)
{
	uint64_t end = volume_size_bytes(vol);
	int rc = 0;

	for (*count = 0; *count < room && first_byte < end && !rc;) {
		struct extent *next = &extents[*count];
		rc = map_one(vol, first_byte, next);
		first_byte += next->len_bytes;
		bool joins = !rc && *count && next[-1].mapped == next->mapped;
		if (joins)
			next[-1].len_bytes += next->len_bytes;
		*count += !rc && !joins;
	}
	return rc;
}
