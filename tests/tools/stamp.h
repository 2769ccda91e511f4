/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Stamped data: every 512 bytes say where they belong and which version they are, and all of the
 * rest follows from that, so a reader can tell stale, misplaced and damaged data apart.
 */
#ifndef TESTS_STAMP_H
#define TESTS_STAMP_H

#include <stddef.h>
#include <stdint.h>

enum { STAMP_BYTES = 512 };

/* Fills buf (a multiple of STAMP_BYTES) for the LUN's byte offset. */
void stamp_fill(uint8_t *buf, size_t len_bytes, uint64_t offset_bytes, uint32_t version);

/*
 * 0 when every unit of buf is a whole stamp for its place with a version in lowest..highest, else
 * -1 with *bad_offset at the first that is not and *found its version (0: no stamp at all).
 */
int stamp_verify(const uint8_t *buf, size_t len_bytes, uint64_t offset_bytes, uint32_t lowest,
	uint32_t highest, uint64_t *bad_offset, uint32_t *found);

#endif
