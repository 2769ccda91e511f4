/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "provision.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum {
	UNMAP_HEADER_BYTES = 8,
	UNMAP_DESCRIPTOR_BYTES = 16,
	MAPPED = 0, /* or not known: PROVISIONING STATUS, SBC-3 table 72 */
	DEALLOCATED = 1,
};

static int parse_descriptor(
	const uint8_t *descriptor, uint64_t lun_bytes, uint32_t block_bytes, struct extent *extent)
{
	uint64_t lba = get_be(descriptor, 8), blocks = get_be(descriptor + 8, 4);
	uint64_t capacity = lun_bytes / block_bytes;

	if (lba > capacity || blocks > capacity - lba)
		return -ERANGE;
	extent->first_byte = lba * block_bytes;
	extent->len_bytes = blocks * block_bytes;
	return 0;
}

/* How many whole descriptors there are. */
static int count_descriptors(const uint8_t *list, size_t list_bytes, size_t *descriptors)
{
	if (list_bytes < UNMAP_HEADER_BYTES)
		return -EMSGSIZE;
	/* Of all that there is, also of what did not come: UNMAP DATA LENGTH, from byte 2 on. */
	size_t data_bytes = (size_t)get_be(list, 2), described = (size_t)get_be(list + 2, 2);
	if (data_bytes < described + UNMAP_HEADER_BYTES - 2)
		return -EINVAL;
	if (described > list_bytes - UNMAP_HEADER_BYTES)
		described = list_bytes - UNMAP_HEADER_BYTES;
	*descriptors = described / UNMAP_DESCRIPTOR_BYTES;
	return 0;
}

int provision_parse_unmap(const uint8_t *list, size_t list_bytes, uint64_t lun_bytes,
	uint32_t block_bytes, struct extent **extents, unsigned *count)
{
	size_t descriptors;
	int rc = count_descriptors(list, list_bytes, &descriptors);

	*extents = NULL;
	*count = 0;
	if (rc || !descriptors)
		return rc;
	struct extent *found = calloc(descriptors, sizeof(*found));
	if (!found)
		return -ENOMEM;
	for (size_t i = 0; i < descriptors && !rc; i++) {
		rc = parse_descriptor(list + UNMAP_HEADER_BYTES + i * UNMAP_DESCRIPTOR_BYTES,
			lun_bytes, block_bytes, &found[*count]);
		*count += !rc && found[*count].len_bytes;
	}
	if (rc || !*count) {
		free(found);
		found = NULL;
		*count = 0;
	}
	*extents = found;
	return rc;
}

struct extent provision_span(const struct extent *extents, unsigned count)
{
	uint64_t first = count ? UINT64_MAX : 0, end = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t end_here = extents[i].first_byte + extents[i].len_bytes;
		first = extents[i].first_byte < first ? extents[i].first_byte : first;
		end = end_here > end ? end_here : end;
	}
	return (struct extent){.first_byte = first, .len_bytes = end - first};
}

/* A descriptor has 32 bits for the length; an initiator takes what follows for the next one's. */
static void write_descriptor(const struct extent *extent, uint32_t block_bytes, uint8_t *data)
{
	uint64_t blocks = extent->len_bytes / block_bytes;

	memset(data, 0, LBA_STATUS_DESCRIPTOR_BYTES);
	put_be(data, 8, extent->first_byte / block_bytes);
	put_be(data + 8, 4, blocks < UINT32_MAX ? blocks : UINT32_MAX);
	data[12] = extent->mapped ? MAPPED : DEALLOCATED;
}

static void copy_within(uint8_t *data, size_t room, size_t at, const uint8_t *from, size_t len)
{
	if (at < room)
		memcpy(data + at, from, len < room - at ? len : room - at);
}

size_t provision_write_status(const struct extent *extents, unsigned count, uint32_t block_bytes,
	uint8_t *data, size_t room_bytes)
{
	size_t len = LBA_STATUS_HEADER_BYTES;
	uint8_t part[LBA_STATUS_DESCRIPTOR_BYTES] = {0};

	for (unsigned i = 0; i < count; i++) {
		write_descriptor(&extents[i], block_bytes, part);
		copy_within(data, room_bytes, len, part, sizeof(part));
		len += sizeof(part);
		if (extents[i].len_bytes / block_bytes > UINT32_MAX)
			break; /* the next would not follow this one */
	}
	memset(part, 0, sizeof(part));
	put_be(part, 4, len - 4); /* PARAMETER DATA LENGTH: what follows it */
	copy_within(data, room_bytes, 0, part, LBA_STATUS_HEADER_BYTES);
	return len;
}
