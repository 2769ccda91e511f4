/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "mark.h"

enum {
	LANE_WORDS = 8, /* what the inner loops do at once: one vector of AVX-512, four of SSE2 */
	WORD_MAGIC = 0,
	WORD_LBA,
	WORD_WRITER,
	WORD_VERSION,
	HEADER_WORDS,
};

static const uint64_t magic = 0x6c6f61642d6d6b31; /* "load-mk1" */
static const uint64_t step = 0xd1342543de82ef95;

static uint64_t seed_of(const struct mark *m)
{
	uint64_t x = m->lba * 0x9e3779b97f4a7c15 + m->version;

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9 + m->writer;
	return (x ^ x >> 32) * 0x94d049bb133111eb;
}

static void first_lane(uint64_t lane[LANE_WORDS], uint64_t seed)
{
	uint64_t i;

	for (i = 0; i < LANE_WORDS; i++)
		lane[i] = seed + i * step;
}

static void mark_block(uint64_t *block, uint32_t words, const struct mark *m)
{
	uint64_t lane[LANE_WORDS];
	uint32_t i, j;

	first_lane(lane, seed_of(m));
	for (i = 0; i < words; i += LANE_WORDS)
		for (j = 0; j < LANE_WORDS; j++) {
			block[i + j] = lane[j];
			lane[j] += LANE_WORDS * step;
		}
	block[WORD_MAGIC] = magic;
	block[WORD_LBA] = m->lba;
	block[WORD_WRITER] = m->writer;
	block[WORD_VERSION] = m->version;
}

/* Is everything after the header as the header says? */
static bool is_whole(const uint64_t *block, uint32_t words, const struct mark *m)
{
	uint64_t lane[LANE_WORDS], wrong = 0, diff[LANE_WORDS] = {0};
	uint32_t i, j;

	first_lane(lane, seed_of(m));
	for (j = HEADER_WORDS; j < LANE_WORDS; j++)
		wrong |= block[j] ^ lane[j];
	for (i = LANE_WORDS; i < words; i += LANE_WORDS)
		for (j = 0; j < LANE_WORDS; j++) {
			lane[j] += LANE_WORDS * step;
			diff[j] |= block[i + j] ^ lane[j];
		}
	for (j = 0; j < LANE_WORDS; j++)
		wrong |= diff[j];
	return !wrong;
}

static bool within(const struct mark *m, uint64_t lba, const struct mark_bounds *bounds)
{
	return m->lba == lba && (!bounds->writer || m->writer == bounds->writer) &&
	       m->version >= bounds->lowest && m->version <= bounds->highest;
}

void mark_blocks(uint64_t *buf, uint32_t block_bytes, uint32_t blocks, const struct mark *first)
{
	uint32_t words = block_bytes / sizeof(*buf), i;
	struct mark m = *first;

	for (i = 0; i < blocks; i++, m.lba++)
		mark_block(buf + (size_t)i * words, words, &m);
}

uint32_t mark_check(const uint64_t *buf, uint32_t block_bytes, uint32_t blocks,
	const struct mark_bounds *bounds, struct mark_fault *fault)
{
	uint32_t words = block_bytes / sizeof(*buf), faults = 0, i;

	for (i = 0; i < blocks; i++) {
		const uint64_t *block = buf + (size_t)i * words;
		struct mark m = {block[WORD_LBA], block[WORD_WRITER], block[WORD_VERSION]};
		bool whole = block[WORD_MAGIC] == magic && is_whole(block, words, &m);

		if (whole && within(&m, bounds->first_lba + i, bounds))
			continue;
		if (!faults++) {
			fault->lba = bounds->first_lba + i;
			fault->found = whole ? m : (struct mark){0};
		}
	}
	return faults;
}

const char *mark_fault_text(const struct mark_fault *fault, const struct mark_bounds *bounds,
	char text[MARK_FAULT_TEXT_BYTES])
{
	const struct mark *found = &fault->found;
	int n;

	if (!found->version)
		n = snprintf(text, MARK_FAULT_TEXT_BYTES, "LBA %" PRIu64 " holds no whole mark",
			fault->lba);
	else
		n = snprintf(text, MARK_FAULT_TEXT_BYTES,
			"LBA %" PRIu64 " holds version %" PRIu64 " of LBA %" PRIu64
			" by writer %016" PRIx64,
			fault->lba, found->version, found->lba, found->writer);
	if (bounds->writer)
		snprintf(text + n, (size_t)(MARK_FAULT_TEXT_BYTES - n),
			", want version %" PRIu64 " to %" PRIu64 " by writer %016" PRIx64,
			bounds->lowest, bounds->highest, bounds->writer);
	else
		snprintf(text + n, (size_t)(MARK_FAULT_TEXT_BYTES - n),
			", want a block marked for its place (was the area ever filled?)");
	return text;
}
