/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The soak's commands: what each sends, and what its answer must be (SBC-4 chapter 5). */
#include <inttypes.h>
#include <string.h>

#include "soak.h"

enum {
	ILLEGAL_REQUEST = 0x05,
	ASC_LBA_RANGE = 0x21,
	ASC_INVALID_FIELD = 0x24,
	ASC_PARAMETER_LENGTH = 0x1a,
	FLAG_FUA = 0x08,
	FLAG_DPO = 0x10,
	FLAG_BYTCHK = 0x02,
	FLAG_NDOB = 0x01,
	FLAG_UNMAP = 0x08,
	COMPARE_WRITE_BLOCKS_MAX = 128,
	MORE_BYTES_MAX = 8192, /* than the CDB says */
	ANSWER_BYTES_MAX = 256,
	UNMAP_HEADER_BYTES = 8,
	UNMAP_LIST_BYTES = 24, /* with one descriptor */
	LBA_STATUS_BYTES = 24, /* with one descriptor */
};

/* --- CDBs ------------------------------------------------------------------------------------------ */

static void make_cdb(struct soak_op *op, uint8_t flags)
{
	uint8_t *cdb = op->cdb;

	memset(cdb, 0, SOAK_CDB_BYTES);
	cdb[0] = op->kind->opcode;
	switch (cdb[0] >> 5) {
	case 0:
		op->cdb_len = 6;
		soak_put_be(cdb + 1, 3, op->lba);
		cdb[4] = (uint8_t)op->blocks;
		return;
	case 1:
	case 2:
		op->cdb_len = 10;
		soak_put_be(cdb + 2, 4, op->lba);
		soak_put_be(cdb + 7, 2, op->blocks);
		break;
	case 5:
		op->cdb_len = 12;
		soak_put_be(cdb + 2, 4, op->lba);
		soak_put_be(cdb + 6, 4, op->blocks);
		break;
	default:
		op->cdb_len = 16;
		soak_put_be(cdb + 2, 8, op->lba);
		soak_put_be(cdb + 10, 4, op->blocks);
	}
	cdb[1] = flags;
}

static void must_fail(struct soak_op *op, uint8_t asc)
{
	op->key = ILLEGAL_REQUEST;
	op->asc = asc;
}

/* SBC-4 says that no block at an LBA that is not there may be refused as well; tgt does. */
static bool out_of_range(const struct soak *k, const struct soak_op *op)
{
	return op->lba >= k->blocks || op->blocks > k->blocks - op->lba;
}

/* Now and then the initiator expects to transfer less than the CDB says, or more. */
static size_t transfer(struct soak *k, struct soak_op *op)
{
	size_t bytes = (size_t)op->blocks * k->block_bytes;

	if (!soak_one_in(op, 50) || !bytes)
		return bytes;
	if (soak_one_in(op, 2))
		return soak_below(op, (uint32_t)bytes) + 1;
	return bytes <= SOAK_TRANSFER_MAX / 2 ? bytes + soak_below(op, MORE_BYTES_MAX) + 1 : bytes;
}

static uint8_t cache_flags(struct soak_op *op)
{
	return (soak_one_in(op, 40) ? FLAG_FUA : 0) | (soak_one_in(op, 10) ? FLAG_DPO : 0);
}

/* READ (6), WRITE (6): no length of zero, a short LBA. */
static void fit_6(struct soak *k, struct soak_op *op)
{
	if (op->kind->opcode >> 5)
		return;
	op->lba &= SOAK_LBA_6_MAX;
	if (op->blocks > 256)
		op->blocks = 256;
	if (!op->blocks)
		op->blocks = 256;
	(void)k;
}

/* --- reading --------------------------------------------------------------------------------------- */

static bool make_read(struct soak *k, struct soak_op *op)
{
	fit_6(k, op);
	make_cdb(op, cache_flags(op));
	op->in_bytes = transfer(k, op);
	if (out_of_range(k, op))
		must_fail(op, ASC_LBA_RANGE);
	return true;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What was not, or could not be, transferred (RFC 7143 11.4.5). */
static int judge_residual(struct soak *k, const struct soak_op *op)
{
	int64_t expected = (int64_t)(op->in_bytes + op->out_bytes);
	int64_t want = expected - (int64_t)op->blocks * k->block_bytes;

	if (op->residual == want)
		return 0;
	snprintf(k->model.why, sizeof(k->model.why), "a residual of %" PRId64 ", not of %" PRId64,
		op->residual, want);
	return -1;
}

static int judge_read(struct soak *k, struct soak_op *op)
{
	if (judge_residual(k, op))
		return -1;
	return model_saw(&k->model, op->start, op->lba, op->buf,
		smaller(op->in_bytes, (size_t)op->blocks * k->block_bytes), NULL);
}

/* Fills the buffer with what may be there, or something else. */
static void guess(struct soak *k, struct soak_op *op)
{
	for (uint32_t i = 0; i < op->blocks; i++)
		(void)model_guess(&k->model, op->lba + i, op->buf + (size_t)i * k->block_bytes);
	if (op->blocks && soak_one_in(op, 4))
		op->buf[soak_below(op, op->blocks * k->block_bytes)] ^=
			(uint8_t)(1 + soak_below(op, 255));
}

static bool make_verify(struct soak *k, struct soak_op *op)
{
	bool compare = soak_one_in(op, 2);

	make_cdb(op, (compare ? FLAG_BYTCHK : 0) | (soak_one_in(op, 10) ? FLAG_DPO : 0));
	if (out_of_range(k, op)) {
		must_fail(op, ASC_LBA_RANGE);
		return true;
	}
	if (!compare)
		return true;
	guess(k, op);
	op->out_bytes = (size_t)op->blocks * k->block_bytes;
	op->may_miscompare = true;
	return true;
}

static int judge_verify(struct soak *k, struct soak_op *op)
{
	return model_saw(&k->model, op->start, op->lba, op->buf, op->out_bytes, NULL);
}

/* --- writing --------------------------------------------------------------------------------------- */

/* The model hears of the write. Blocks that others may be changing are left to them. */
static bool change(struct soak *k, struct soak_op *op, uint32_t blocks, bool depends, content_fn fn)
{
	struct soak_making m = {k, op};

	op->changes = blocks;
	if (model_alone(&k->model, op->lba, blocks) || model_crowded(&k->model, op->lba, blocks) ||
		(depends && model_changing(&k->model, op->lba, blocks)))
		return false;
	op->writer = model_write_begin(&k->model, op->number, op->lba, blocks, depends, fn, &m);
	return true;
}

static bool make_write_with(struct soak *k, struct soak_op *op, uint8_t flags, bool or)
{
	size_t wanted, has;

	fit_6(k, op);
	make_cdb(op, flags);
	wanted = (size_t)op->blocks * k->block_bytes;
	op->out_bytes = transfer(k, op);
	soak_fill(k, op, op->buf, (uint32_t)(op->out_bytes / k->block_bytes) + 1);
	if (out_of_range(k, op)) {
		must_fail(op, ASC_LBA_RANGE);
		return true;
	}
	has = smaller(op->out_bytes, wanted);
	return change(k, op, (uint32_t)((has + k->block_bytes - 1) / k->block_bytes),
		or || has % k->block_bytes, or ? soak_ored : soak_from_buffer);
}

static bool make_write(struct soak *k, struct soak_op *op)
{
	return make_write_with(k, op, cache_flags(op), false);
}

static int judge_write(struct soak *k, struct soak_op *op)
{
	return judge_residual(k, op);
}

static bool make_write_verify(struct soak *k, struct soak_op *op)
{
	return make_write_with(k, op, soak_one_in(op, 2) ? FLAG_BYTCHK : 0, false);
}

static bool make_or_write(struct soak *k, struct soak_op *op)
{
	return make_write_with(k, op, cache_flags(op), true);
}

static bool make_compare_write(struct soak *k, struct soak_op *op)
{
	size_t half;

	if (op->blocks > COMPARE_WRITE_BLOCKS_MAX + 2)
		op->blocks %= COMPARE_WRITE_BLOCKS_MAX;
	half = (size_t)op->blocks * k->block_bytes;
	make_cdb(op, cache_flags(op));
	memset(op->cdb + 10, 0, 4);
	op->cdb[13] = (uint8_t)op->blocks;
	op->out_bytes = 2 * half;
	if (out_of_range(k, op)) {
		must_fail(op, ASC_LBA_RANGE);
		return true;
	}
	soak_fill(k, op, op->buf + half, op->blocks);
	guess(k, op);
	if (op->blocks && soak_one_in(op, 50))
		op->out_bytes -= 4; /* SBC-4: neither too little nor too much */
	if (op->out_bytes != 2 * half || op->blocks > COMPARE_WRITE_BLOCKS_MAX) {
		must_fail(op, ASC_INVALID_FIELD);
		return true;
	}
	op->may_miscompare = true;
	return change(k, op, op->blocks, false, soak_from_second_half);
}

static int judge_compare_write(struct soak *k, struct soak_op *op)
{
	return model_saw(&k->model, op->start, op->lba, op->buf, op->out_bytes / 2, op->writer);
}

static uint8_t write_same_flags(struct soak *k, struct soak_op *op)
{
	bool sixteen = op->kind->opcode == 0x93;

	switch (soak_below(op, 8)) {
	case 0:
		return SOAK_LBDATA;
	case 1:
		return SOAK_PBDATA;
	case 2:
		return sixteen ? FLAG_NDOB : 0;
	case 3:
		return k->thin ? FLAG_UNMAP : 0;
	case 4:
		return soak_one_in(op, 8) ? SOAK_LBDATA | SOAK_PBDATA : 0;
	default:
		return 0;
	}
}

/* Blocks 0: to the end of the LUN; only where that is everybody's. */
static bool make_write_same(struct soak *k, struct soak_op *op)
{
	uint8_t flags = write_same_flags(k, op);
	uint32_t blocks = op->blocks;

	make_cdb(op, flags);
	op->out_bytes = flags & FLAG_NDOB ? 0 : k->block_bytes;
	if (flags == (SOAK_LBDATA | SOAK_PBDATA)) {
		must_fail(op, ASC_INVALID_FIELD);
		return true;
	}
	if (soak_one_in(op, 50)) {
		op->out_bytes = k->block_bytes / 2;
		must_fail(op, ASC_PARAMETER_LENGTH);
		return true;
	}
	if (out_of_range(k, op)) {
		must_fail(op, ASC_LBA_RANGE);
		return true;
	}
	soak_fill(k, op, op->buf, 1);
	if (flags & FLAG_UNMAP)
		memset(op->buf, 0, k->block_bytes);
	if (!blocks) {
		if (op->lba < k->shared_first || !soak_one_in(op, 20))
			return false;
		blocks = (uint32_t)(k->blocks - op->lba);
	}
	return change(k, op, blocks, false, soak_all_the_same);
}

/* A hint: blocks hold zeros afterwards or what they held. */
static bool make_unmap(struct soak *k, struct soak_op *op)
{
	make_cdb(op, 0);
	memset(op->cdb + 2, 0, 8);
	soak_put_be(op->cdb + 7, 2, UNMAP_LIST_BYTES);
	memset(op->buf, 0, UNMAP_LIST_BYTES);
	soak_put_be(op->buf, 2, UNMAP_LIST_BYTES - 2);
	soak_put_be(op->buf + 2, 2, UNMAP_LIST_BYTES - UNMAP_HEADER_BYTES);
	soak_put_be(op->buf + 8, 8, op->lba);
	soak_put_be(op->buf + 16, 4, op->blocks);
	op->out_bytes = UNMAP_LIST_BYTES;
	if (op->blocks && out_of_range(k, op)) {
		must_fail(op, ASC_LBA_RANGE);
		return true;
	}
	if (!op->blocks)
		return false;
	return change(k, op, op->blocks, false, soak_zeros);
}

/* --- what has no data of the disk ------------------------------------------------------------------- */

static bool make_flush(struct soak *k, struct soak_op *op)
{
	make_cdb(op, soak_one_in(op, 2) ? FLAG_BYTCHK : 0); /* IMMED is in the same place */
	if (op->blocks > k->blocks)
		op->blocks = 0;
	if (out_of_range(k, op))
		return false;
	return true;
}

static bool make_prefetch(struct soak *k, struct soak_op *op)
{
	make_cdb(op, soak_one_in(op, 2) ? FLAG_BYTCHK : 0);
	if (out_of_range(k, op))
		must_fail(op, ASC_LBA_RANGE);
	return true;
}

/* Commands whose answer is always the same: the first is kept for all that follow. */
static struct fixed {
	uint8_t cdb[SOAK_CDB_BYTES];
	size_t len, in_bytes, known;
	uint8_t answer[ANSWER_BYTES_MAX];
} fixed[] = {
	{{0x25}, 10, 8, 0, {0}},
	{{0x9e, 0x10, [13] = 32}, 16, 32, 0, {0}},
	{{0x12, [4] = 96}, 6, 96, 0, {0}},
	{{0x12, 1, 0xb0, [4] = 64}, 6, 64, 0, {0}},
	{{0x12, 1, 0x83, [4] = 128}, 6, 128, 0, {0}},
	{{0x1a, 8, 8, [4] = 36}, 6, 36, 0, {0}},
	{{0x5a, 8, 0x3f, [8] = 192}, 10, 192, 0, {0}},
	{{0xa0, [9] = 64}, 12, 64, 0, {0}},
};

static bool make_fixed(struct soak *k, struct soak_op *op)
{
	const struct fixed *f = &fixed[soak_below(op, sizeof(fixed) / sizeof(fixed[0]))];

	(void)k;
	memcpy(op->cdb, f->cdb, SOAK_CDB_BYTES);
	op->cdb_len = f->len;
	op->in_bytes = f->in_bytes;
	memset(op->buf, 0, f->in_bytes);
	op->lba = (uint64_t)(f - fixed);
	return true;
}

static int judge_fixed(struct soak *k, struct soak_op *op)
{
	struct fixed *f = &fixed[op->lba];

	if (!f->known) {
		f->known = 1;
		memcpy(f->answer, op->buf, f->in_bytes);
	}
	if (!memcmp(f->answer, op->buf, f->in_bytes))
		return 0;
	snprintf(k->model.why, sizeof(k->model.why), "another answer than before");
	return -1;
}

static bool make_test_unit_ready(struct soak *k, struct soak_op *op)
{
	(void)k;
	memset(op->cdb, 0, SOAK_CDB_BYTES);
	op->cdb_len = 6;
	return true;
}

static bool make_lba_status(struct soak *k, struct soak_op *op)
{
	if (op->lba >= k->blocks)
		return false;
	op->blocks = LBA_STATUS_BYTES; /* in the place of the allocation length */
	make_cdb(op, 0x12);
	op->in_bytes = LBA_STATUS_BYTES;
	return true;
}

const struct soak_kind soak_kinds[] = {
	{"READ (6)", 0x08, 60, make_read, judge_read, false, false},
	{"READ (10)", 0x28, 160, make_read, judge_read, false, false},
	{"READ (12)", 0xa8, 60, make_read, judge_read, false, false},
	{"READ (16)", 0x88, 100, make_read, judge_read, false, false},
	{"WRITE (6)", 0x0a, 40, make_write, judge_write, false, false},
	{"WRITE (10)", 0x2a, 120, make_write, judge_write, false, false},
	{"WRITE (12)", 0xaa, 40, make_write, judge_write, false, false},
	{"WRITE (16)", 0x8a, 80, make_write, judge_write, false, false},
	{"WRITE AND VERIFY (10)", 0x2e, 3, make_write_verify, judge_write, false, false},
	{"WRITE AND VERIFY (12)", 0xae, 3, make_write_verify, judge_write, false, false},
	{"WRITE AND VERIFY (16)", 0x8e, 3, make_write_verify, judge_write, false, false},
	{"VERIFY (10)", 0x2f, 20, make_verify, judge_verify, false, false},
	{"VERIFY (12)", 0xaf, 20, make_verify, judge_verify, false, false},
	{"VERIFY (16)", 0x8f, 20, make_verify, judge_verify, false, false},
	{"COMPARE AND WRITE", 0x89, 80, make_compare_write, judge_compare_write, false, false},
	{"ORWRITE", 0x8b, 50, make_or_write, judge_write, false, false},
	{"WRITE SAME (10)", 0x41, 20, make_write_same, NULL, false, false},
	{"WRITE SAME (16)", 0x93, 20, make_write_same, NULL, false, false},
	{"UNMAP", 0x42, 30, make_unmap, NULL, false, true},
	{"SYNCHRONIZE CACHE (10)", 0x35, 2, make_flush, NULL, false, false},
	{"SYNCHRONIZE CACHE (16)", 0x91, 2, make_flush, NULL, false, false},
	{"PRE-FETCH (10)", 0x34, 10, make_prefetch, NULL, false, false},
	{"PRE-FETCH (16)", 0x90, 10, make_prefetch, NULL, false, false},
	{"GET LBA STATUS", 0x9e, 10, make_lba_status, NULL, false, true},
	{"READ CAPACITY, INQUIRY, MODE SENSE, REPORT LUNS", 0x12, 20, make_fixed, judge_fixed, true,
		false},
	{"TEST UNIT READY", 0x00, 10, make_test_unit_ready, NULL, true, false},
	{0},
};
