/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Which parts of a LUN are mapped: the parameter data of UNMAP and GET LBA STATUS (SBC-3 5.28.2 and
 * 5.6.2), as it comes from and goes to initiators, and what is between. Knows neither tgt nor CDBs.
 */
#ifndef BS_CRYPT_PROVISION_H
#define BS_CRYPT_PROVISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "volume.h"

/* Part of a LUN. */
struct extent {
	uint64_t first_byte;
	uint64_t len_bytes;
	bool mapped; /* of GET LBA STATUS */
};

enum {
	UNMAP_DESCRIPTORS_MAX =
		4095, /* what a parameter list has room for: its length has 16 bits */
	LBA_STATUS_HEADER_BYTES = 8,
	LBA_STATUS_DESCRIPTOR_BYTES = 16,
	LBA_STATUS_DESCRIPTORS_MAX = 256, /* of an answer; the initiator asks again */
};

/*
 * Parses a parameter list of list_bytes for a LUN of lun_bytes in blocks of block_bytes. Descriptors
 * that the list cuts off are left out, as are those of no block. The caller frees *extents, which is
 * NULL when there is none. -EMSGSIZE: the list is shorter than its header; -EINVAL: its lengths
 * contradict each other; -ERANGE: a descriptor reaches past the end; -ENOMEM.
 */
int provision_parse_unmap(const uint8_t *list, size_t list_bytes, uint64_t lun_bytes,
	uint32_t block_bytes, struct extent **extents, unsigned *count)
	__attribute__((warn_unused_result));

/* From the first to the last byte that the extents touch; of length 0 when there is none. */
struct extent provision_span(const struct extent *extents, unsigned count);

/*
 * What is mapped of the volume from first_byte on: up to room extents, one after the other without a
 * gap, in whole sectors; at least one. *count tells how many. May wait for the store. 0 or -errno.
 */
int provision_map(struct volume *vol, uint64_t first_byte, struct extent *extents, unsigned room,
	unsigned *count) __attribute__((warn_unused_result));

/*
 * Writes the parameter data of GET LBA STATUS for the extents, as much as there is room for. Returns
 * its whole length.
 */
size_t provision_write_status(const struct extent *extents, unsigned count, uint32_t block_bytes,
	uint8_t *data, size_t room_bytes);

#endif
