/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Marked blocks: every block says where it belongs, who wrote it and which version it is, and the
 * rest of it follows from that, so a reader can tell stale, misplaced and damaged blocks apart.
 *
 * In 64-bit words of the machine's byte order: a magic number, LBA, writer, version, then a seed
 * made of those three plus a constant for each further word. Cheap to make and to check: additions
 * and comparisons that compilers turn into vector instructions.
 */
#ifndef TESTS_BENCH_MARK_H
#define TESTS_BENCH_MARK_H

#include <stddef.h>
#include <stdint.h>

struct mark {
	uint64_t lba;
	uint64_t writer;
	uint64_t version;
};

/* What blocks that are read may hold. */
struct mark_bounds {
	uint64_t first_lba;
	uint64_t writer;          /* 0: anybody */
	uint64_t lowest, highest; /* versions */
};

/* A block that is not what it should be. */
struct mark_fault {
	uint64_t lba;      /* where it was read */
	struct mark found; /* all 0 when it has no whole mark */
};

enum { MARK_FAULT_TEXT_BYTES = 256 };

/* Marks blocks from first->lba on. buf is aligned to 8; block_bytes is a multiple of 64. */
void mark_blocks(uint64_t *buf, uint32_t block_bytes, uint32_t blocks, const struct mark *first);

/* How many of the blocks are out of bounds; with any, *fault is the first of them. */
uint32_t mark_check(const uint64_t *buf, uint32_t block_bytes, uint32_t blocks,
	const struct mark_bounds *bounds, struct mark_fault *fault);

/* One line about a fault, for people. Returns text. */
const char *mark_fault_text(const struct mark_fault *fault, const struct mark_bounds *bounds,
	char text[MARK_FAULT_TEXT_BYTES]);

#endif
