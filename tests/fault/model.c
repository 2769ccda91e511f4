/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sweep.h"

enum { READ_BYTES = 1 << 20 };

static int complain(const struct sweep *s, uint64_t lba, const char *what)
{
	fprintf(stderr, "sweep: fault %" PRIu64 ", %s: block %" PRIu64 " %s\n", s->faults, s->doing,
		lba, what);
	return -EIO;
}

static int read_blocks(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	struct outcome result;
	char text[16];

	if (session_read(&s->session, lba, blocks, s->back, &result))
		return complain(s, lba, "cannot be read back: no answer");
	if (result.status)
		return complain(s, lba, outcome_text(&result, text));
	return 0;
}

int model_read_back(struct sweep *s, uint64_t lba, uint32_t blocks, bool changed, bool done)
{
	size_t block = s->session.block_bytes;
	uint64_t first = lba < MARGIN_BLOCKS ? 0 : lba - MARGIN_BLOCKS;
	uint64_t end = lba + blocks + MARGIN_BLOCKS;

	if (end > s->session.blocks)
		end = s->session.blocks;
	if (read_blocks(s, first, (uint32_t)(end - first)))
		return -EIO;
	for (uint64_t at = first; at < end; at++) {
		const uint8_t *found = s->back + (at - first) * block;
		bool inside = at >= lba && at < lba + blocks;
		bool old = !memcmp(found, s->model + at * block, block);
		bool new = inside &&changed && !memcmp(found, s->want + (at - lba) * block, block);

		if (!old && !new)
			return complain(
				s, at, inside ? "is neither old nor new" : "beside it changed");
		if (inside && done && !new)
			return complain(s, at, "is not what was acknowledged");
		memcpy(s->model + at * block, found, block);
	}
	return 0;
}

int model_compare(struct sweep *s)
{
	size_t block = s->session.block_bytes;
	uint32_t step = (uint32_t)(READ_BYTES / block);

	for (uint64_t at = 0; at < s->session.blocks; at += step) {
		if (s->session.blocks - at < step)
			step = (uint32_t)(s->session.blocks - at);
		if (read_blocks(s, at, step))
			return -EIO;
		if (memcmp(s->back, s->model + at * block, step * block))
			return complain(s, at, "or one after it is not as it was");
	}
	return 0;
}

int model_fill(struct sweep *s)
{
	size_t block = s->session.block_bytes;
	uint32_t step = (uint32_t)(READ_BYTES / block);
	struct outcome result;

	for (size_t i = 0; i < s->session.blocks * block; i++)
		s->model[i] = (uint8_t)sweep_random(s, 256);
	for (uint64_t at = 0; at < s->session.blocks; at += step) {
		if (s->session.blocks - at < step)
			step = (uint32_t)(s->session.blocks - at);
		if (session_write(&s->session, at, step, s->model + at * block, 0, &result) ||
			result.status)
			return complain(s, at, "cannot be written before any fault");
	}
	return 0;
}

int model_save(const struct sweep *s)
{
	size_t len = (size_t)s->session.blocks * s->session.block_bytes;
	FILE *f = fopen(s->model_path, "w");
	bool good = f && fwrite(s->model, 1, len, f) == len;

	if ((f && fclose(f)) || !good) {
		perror(s->model_path);
		return -EIO;
	}
	return 0;
}
