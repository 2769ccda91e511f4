/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Which of the soak's commands comes next, and where it goes. */
#include "soak.h"

enum {
	HOT_BLOCKS = 64, /* at the end of the LUN, where many meet */
	TRIES_MAX = 16,
};

static uint32_t choose_blocks(const struct soak *k, struct soak_op *op)
{
	uint32_t much = SOAK_TRANSFER_MAX / k->block_bytes, n = soak_below(op, 1000);

	if (n < 750)
		return 1 + soak_below(op, 8);
	if (n < 965)
		return 1 + soak_below(op, 32768 / k->block_bytes);
	return n < 995 ? 0 : 1 + soak_below(op, much);
}

static uint64_t lba_limit(uint8_t opcode)
{
	if (!(opcode >> 5))
		return SOAK_LBA_6_MAX;
	return opcode >> 5 == 4 || opcode == 0x42 ? UINT64_MAX : UINT32_MAX;
}

static uint64_t somewhere(struct soak_op *op, uint64_t first, uint64_t blocks)
{
	uint64_t room = blocks > op->blocks ? blocks - op->blocks : 0;

	return first + soak_below(op, (uint32_t)room + 1);
}

static void choose_range(struct soak *k, struct soak_op *op)
{
	uint32_t n = soak_below(op, 1000);

	op->blocks = choose_blocks(k, op);
	if (n < 400)
		op->lba = somewhere(op, op->conn->own_first, op->conn->own_blocks);
	else if (n < 850)
		op->lba = somewhere(op, k->blocks - HOT_BLOCKS, HOT_BLOCKS);
	else if (n < 985)
		op->lba = somewhere(op, k->shared_first, k->blocks - k->shared_first);
	else if (n < 990)
		op->lba = k->blocks - op->blocks; /* ends with the last block */
	else if (n < 997)
		op->lba = k->blocks - soak_below(op, op->blocks + 1); /* beyond it */
	else
		op->lba = UINT64_MAX >> soak_below(op, 40);
	op->lba &= lba_limit(op->kind->opcode);
}

static const struct soak_kind *choose_kind(const struct soak *k, struct soak_op *op)
{
	const struct soak_kind *kind;
	uint32_t sum = 0, n;

	for (kind = soak_kinds; kind->name; kind++)
		sum += kind->thin && !k->thin ? 0 : kind->weight;
	n = soak_below(op, sum);
	for (kind = soak_kinds;; kind++) {
		uint32_t weight = kind->thin && !k->thin ? 0 : kind->weight;

		if (n < weight)
			return kind;
		n -= weight;
	}
}

bool soak_choose(struct soak *k, struct soak_op *op)
{
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		op->random = soak_random(&op->conn->random);
		op->start = model_now(&k->model);
		op->out_bytes = op->in_bytes = 0;
		op->lba = op->blocks = op->changes = 0;
		op->writer = NULL;
		op->key = op->asc = 0;
		op->may_miscompare = false;
		op->kind = choose_kind(k, op);
		if (!op->kind->no_range)
			choose_range(k, op);
		if (op->kind->make(k, op))
			return true;
	}
	return false;
}
