/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The soak's random numbers, and what its commands write. */
#include <string.h>

#include "soak.h"

enum { STAMP_WORDS = 2 };

uint64_t soak_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t soak_below(struct soak_op *op, uint32_t below)
{
	return (uint32_t)((soak_random(&op->random) >> 32) % below);
}

bool soak_one_in(struct soak_op *op, uint32_t n)
{
	return !soak_below(op, n);
}

void soak_put_be(uint8_t *p, size_t bytes, uint64_t value)
{
	while (bytes--) {
		p[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

/* A block that says by whom it is and where it belongs, and otherwise is noise. */
static void noise(const struct soak *k, const struct soak_op *op, uint64_t lba, uint8_t *bytes)
{
	uint64_t word[STAMP_WORDS] = {op->number, lba}, x = op->random ^ lba * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < k->block_bytes; i += sizeof(x)) {
		x ^= x << 13; /* xorshift64 */
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(bytes + i, &x, sizeof(x));
	}
	memcpy(bytes, word, sizeof(word));
}

void soak_fill(const struct soak *k, struct soak_op *op, uint8_t *buf, uint32_t blocks)
{
	op->random |= 1; /* 0 would stay 0 */
	for (uint32_t i = 0; i < blocks; i++)
		noise(k, op, op->lba + i, buf + (size_t)i * k->block_bytes);
}

/* The blocks in the buffer; where it ends inside one, the rest is what was there. */
void soak_from_buffer(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes)
{
	const struct soak_making *m = arg;
	size_t block = m->k->block_bytes, at = i * block;
	size_t n = m->op->out_bytes - at < block ? m->op->out_bytes - at : block;

	memcpy(bytes, m->op->buf + at, n);
	if (old)
		memcpy(bytes + n, old + n, block - n);
}

void soak_from_second_half(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes)
{
	const struct soak_making *m = arg;
	size_t block = m->k->block_bytes;

	(void)old;
	memcpy(bytes, m->op->buf + (m->op->blocks + i) * block, block);
}

void soak_ored(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes)
{
	const struct soak_making *m = arg;
	size_t block = m->k->block_bytes, at = i * block;

	for (size_t j = 0; j < block; j++)
		bytes[j] = old[j] | (at + j < m->op->out_bytes ? m->op->buf[at + j] : 0);
}

void soak_all_the_same(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes)
{
	const struct soak_making *m = arg;
	uint8_t flags = m->op->cdb[1];

	(void)old;
	if (m->op->out_bytes)
		memcpy(bytes, m->op->buf, m->k->block_bytes);
	else
		memset(bytes, 0, m->k->block_bytes);
	if (flags & SOAK_LBDATA)
		soak_put_be(bytes, 4, m->op->lba + i);
	else if (flags & SOAK_PBDATA)
		soak_put_be(bytes, 8, m->op->lba + i);
}

void soak_zeros(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes)
{
	(void)i;
	(void)old;
	memset(bytes, 0, ((const struct soak_making *)arg)->k->block_bytes);
}
