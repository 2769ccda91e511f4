/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cdb.h"

#include <errno.h>
#include <stdlib.h>

#include "bytes.h"
#include "caching.h"
#include "command.h"

enum {
	CDB1_FUA = 0x08,
	CDB1_VRPROTECT = 0xe0,
	CDB1_BYTCHK = 0x06,
	CDB1_BYTCHK_COMPARE = 0x02, /* the whole data-out buffer, SBC-3 5.29 */
	CDB1_BYTCHK_SAME = 0x06,    /* one block of it, with each */
	CDB1_NDOB = 0x01,           /* WRITE SAME(16) without a data-out buffer */
	CDB1_UNMAP = 0x08,          /* WRITE SAME */
	CDB1_ANCHOR = 0x01,         /* UNMAP */
	CDB1_PBDATA = 0x04,
	CDB1_LBDATA = 0x02,
};

static uint64_t block_bytes(const struct scsi_cmd *cmd)
{
	return UINT64_C(1) << cmd->dev->blk_shift;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The range that the CDB names. Lengths are recomputed in 64 bits: tgt's cmd->tl wraps at 4 GiB. */
static enum outcome decode_range(struct scsi_cmd *cmd, struct request *req)
{
	uint64_t lba = scsi_rw_offset(cmd->scb);
	uint64_t blocks = scsi_rw_count(cmd->scb);
	uint64_t capacity = cmd->dev->size >> cmd->dev->blk_shift;

	if (lba > capacity || blocks > capacity - lba)
		return OUTCOME_LBA_RANGE;
	req->offset_bytes = lba << cmd->dev->blk_shift;
	req->len_bytes = blocks << cmd->dev->blk_shift;
	return OUTCOME_GOOD;
}

/* Zero blocks: from the first one to the last of the medium. */
static void extend_to_end(struct scsi_cmd *cmd, struct request *req)
{
	if (!req->len_bytes)
		req->len_bytes = cmd->dev->size - req->offset_bytes;
}

static enum outcome decode_read(struct scsi_cmd *cmd, struct request *req)
{
	req->data = scsi_get_in_buffer(cmd);
	req->len_bytes = smaller(req->len_bytes, scsi_get_in_length(cmd));
	req->durable = cmd->scb[0] != READ_6 && (cmd->scb[1] & CDB1_FUA);
	return OUTCOME_GOOD;
}

static enum outcome decode_write(struct scsi_cmd *cmd, struct request *req)
{
	req->data = scsi_get_out_buffer(cmd);
	req->len_bytes = smaller(req->len_bytes, scsi_get_out_length(cmd));
	req->durable = (cmd->scb[0] != WRITE_6 && (cmd->scb[1] & CDB1_FUA)) || caching_off(cmd);
	return OUTCOME_GOOD;
}

/* As tgt does for the writes that it knows of. */
static void set_out_residual(struct scsi_cmd *cmd, uint64_t len_bytes)
{
	if (len_bytes != scsi_get_out_length(cmd))
		scsi_set_out_resid_by_actual(cmd, (uint32_t)smaller(len_bytes, UINT32_MAX));
}

static enum outcome decode_or_write(struct scsi_cmd *cmd, struct request *req)
{
	set_out_residual(cmd, req->len_bytes);
	return decode_write(cmd, req);
}

/* The medium is verified, so the data has to be on it. */
static enum outcome decode_write_verify(struct scsi_cmd *cmd, struct request *req)
{
	enum outcome out = decode_write(cmd, req);

	req->durable = true;
	return out;
}

static enum outcome decode_verify_same(struct scsi_cmd *cmd, struct request *req)
{
	set_out_residual(cmd, block_bytes(cmd));
	if (scsi_get_out_length(cmd) < block_bytes(cmd))
		return OUTCOME_PARAMETER_LENGTH;
	req->op = REQUEST_VERIFY_SAME;
	req->data = scsi_get_out_buffer(cmd);
	return OUTCOME_GOOD;
}

/* BYTCHK 10b is reserved. */
static enum outcome decode_verify(struct scsi_cmd *cmd, struct request *req)
{
	uint8_t bytchk = cmd->scb[1] & CDB1_BYTCHK;

	if (cmd->scb[1] & CDB1_VRPROTECT)
		return OUTCOME_INVALID_FIELD;
	if (!bytchk)
		return OUTCOME_GOOD; /* no data: the medium is read, and nothing compared */
	if (bytchk == CDB1_BYTCHK_SAME)
		return decode_verify_same(cmd, req);
	if (bytchk != CDB1_BYTCHK_COMPARE)
		return OUTCOME_INVALID_FIELD;
	set_out_residual(cmd, req->len_bytes);
	req->data = scsi_get_out_buffer(cmd);
	req->len_bytes = smaller(req->len_bytes, scsi_get_out_length(cmd));
	return OUTCOME_GOOD;
}

/* SBC-3 5.2: the data-out buffer holds the blocks to compare, then those to write. */
static enum outcome decode_compare_write(struct scsi_cmd *cmd, struct request *req)
{
	uint64_t len_bytes = req->len_bytes;

	if (scsi_get_out_length(cmd) != 2 * len_bytes)
		return OUTCOME_INVALID_FIELD;
	if (len_bytes / block_bytes(cmd) > COMPARE_WRITE_BLOCKS_MAX)
		return OUTCOME_INVALID_FIELD;
	return decode_write(cmd, req);
}

/* No block stands for one of zeros. */
static bool is_zero(const uint8_t *block, size_t len)
{
	return !block || (!block[0] && !memcmp(block, block + 1, len - 1));
}

/* tgt has made sure that the data-out buffer is one block or absent. */
static enum outcome decode_write_same(struct scsi_cmd *cmd, struct request *req)
{
	bool ndob = cmd->scb[0] == WRITE_SAME_16 && (cmd->scb[1] & CDB1_NDOB);
	bool has_data = scsi_get_out_length(cmd) == block_bytes(cmd);

	if (ndob == has_data)
		return ndob ? OUTCOME_INVALID_FIELD : OUTCOME_PARAMETER_LENGTH;
	extend_to_end(cmd, req);
	req->data = has_data ? scsi_get_out_buffer(cmd) : NULL;
	req->durable = caching_off(cmd);
	/* What is unmapped reads as zeros (LBPRZ): zeros need not be written. tgt refuses thick LUNs. */
	if (cmd->scb[1] & CDB1_UNMAP && !(cmd->scb[1] & (CDB1_LBDATA | CDB1_PBDATA)) &&
		is_zero(req->data, block_bytes(cmd)))
		req->op = REQUEST_UNMAP;
	if (cmd->scb[1] & CDB1_LBDATA)
		req->stamp = STAMP_LBA32;
	else if (cmd->scb[1] & CDB1_PBDATA)
		req->stamp = STAMP_LBA64;
	return OUTCOME_GOOD;
}

/* The whole volume is flushed, whatever the range, and always before status (IMMED or not). */
static enum outcome decode_flush(struct scsi_cmd *cmd, struct request *req)
{
	(void)cmd;
	req->len_bytes = 0;
	return OUTCOME_GOOD;
}

static enum outcome decode_prefetch(struct scsi_cmd *cmd, struct request *req)
{
	if (req->offset_bytes == cmd->dev->size)
		return OUTCOME_LBA_RANGE;
	extend_to_end(cmd, req);
	return OUTCOME_GOOD;
}

static enum outcome parse_outcome(int rc)
{
	switch (rc) {
	case 0:
		return OUTCOME_GOOD;
	case -EMSGSIZE:
		return OUTCOME_PARAMETER_LENGTH;
	case -EINVAL:
		return OUTCOME_INVALID_PARAMETER;
	case -ERANGE:
		return OUTCOME_LBA_RANGE;
	default:
		return OUTCOME_INTERNAL;
	}
}

/* A list of which less came than the CDB says is not taken for a shorter one. */
static enum outcome decode_unmap(struct scsi_cmd *cmd, struct request *req)
{
	uint32_t list_bytes = (uint32_t)get_be(cmd->scb + 7, 2);

	if (!volume_discards(req->volume))
		return OUTCOME_INVALID_OPCODE;
	if (cmd->scb[1] & CDB1_ANCHOR)
		return OUTCOME_INVALID_FIELD;
	if (list_bytes > scsi_get_out_length(cmd))
		return OUTCOME_PARAMETER_LENGTH;
	set_out_residual(cmd, list_bytes);
	if (!list_bytes)
		return OUTCOME_GOOD;
	int rc = provision_parse_unmap(scsi_get_out_buffer(cmd), list_bytes, cmd->dev->size,
		(uint32_t)block_bytes(cmd), &req->extents, &req->extent_count);
	struct extent span = provision_span(req->extents, req->extent_count);
	req->offset_bytes = span.first_byte;
	req->len_bytes = span.len_bytes;
	req->durable = caching_off(cmd);
	return parse_outcome(rc);
}

/* GET LBA STATUS, the service action that opcodes.c leaves to this. */
static enum outcome decode_lba_status(struct scsi_cmd *cmd, struct request *req)
{
	uint64_t lba = get_be(cmd->scb + 2, 8), room = get_be(cmd->scb + 10, 4);
	uint64_t count = room / LBA_STATUS_DESCRIPTOR_BYTES;

	if (lba >= cmd->dev->size >> cmd->dev->blk_shift)
		return OUTCOME_LBA_RANGE;
	req->offset_bytes = lba << cmd->dev->blk_shift;
	extend_to_end(cmd, req);
	req->extent_count = (unsigned)smaller(count ? count : 1, LBA_STATUS_DESCRIPTORS_MAX);
	req->extents = calloc(req->extent_count, sizeof(*req->extents));
	return req->extents ? OUTCOME_GOOD : OUTCOME_INTERNAL;
}

static const struct decoder decoders[] = {
	{READ_6, REQUEST_READ, CLAIM_SHARED, decode_read},
	{READ_10, REQUEST_READ, CLAIM_SHARED, decode_read},
	{READ_12, REQUEST_READ, CLAIM_SHARED, decode_read},
	{READ_16, REQUEST_READ, CLAIM_SHARED, decode_read},
	{WRITE_6, REQUEST_WRITE, CLAIM_EXCLUSIVE, decode_write},
	{WRITE_10, REQUEST_WRITE, CLAIM_EXCLUSIVE, decode_write},
	{WRITE_12, REQUEST_WRITE, CLAIM_EXCLUSIVE, decode_write},
	{WRITE_16, REQUEST_WRITE, CLAIM_EXCLUSIVE, decode_write},
	{WRITE_VERIFY, REQUEST_WRITE_VERIFY, CLAIM_EXCLUSIVE, decode_write_verify},
	{WRITE_VERIFY_12, REQUEST_WRITE_VERIFY, CLAIM_EXCLUSIVE, decode_write_verify},
	{WRITE_VERIFY_16, REQUEST_WRITE_VERIFY, CLAIM_EXCLUSIVE, decode_write_verify},
	{VERIFY_10, REQUEST_VERIFY, CLAIM_SHARED, decode_verify},
	{VERIFY_12, REQUEST_VERIFY, CLAIM_SHARED, decode_verify},
	{VERIFY_16, REQUEST_VERIFY, CLAIM_SHARED, decode_verify},
	{COMPARE_AND_WRITE, REQUEST_COMPARE_WRITE, CLAIM_EXCLUSIVE, decode_compare_write},
	{ORWRITE_16, REQUEST_OR_WRITE, CLAIM_EXCLUSIVE, decode_or_write},
	{WRITE_SAME, REQUEST_WRITE_SAME, CLAIM_EXCLUSIVE, decode_write_same},
	{WRITE_SAME_16, REQUEST_WRITE_SAME, CLAIM_EXCLUSIVE, decode_write_same},
	{UNMAP, REQUEST_UNMAP, CLAIM_EXCLUSIVE, decode_unmap},
	{SERVICE_ACTION_IN, REQUEST_MAP, CLAIM_NONE, decode_lba_status},
	{SYNCHRONIZE_CACHE, REQUEST_FLUSH, CLAIM_NONE, decode_flush},
	{SYNCHRONIZE_CACHE_16, REQUEST_FLUSH, CLAIM_NONE, decode_flush},
	{PRE_FETCH_10, REQUEST_PREFETCH, CLAIM_NONE, decode_prefetch},
	{PRE_FETCH_16, REQUEST_PREFETCH, CLAIM_NONE, decode_prefetch},
};

const struct decoder *decoder_at(size_t i)
{
	return i < sizeof(decoders) / sizeof(decoders[0]) ? &decoders[i] : NULL;
}

const struct decoder *decoder_for(uint8_t opcode)
{
	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++) {
		if (decoders[i].opcode == opcode)
			return &decoders[i];
	}
	return NULL;
}

enum outcome cdb_decode(struct scsi_cmd *cmd, const struct decoder *d, struct request *req)
{
	if (!d)
		return OUTCOME_INVALID_OPCODE;
	if (!req->volume)
		return OUTCOME_NOT_READY;
	if (crypt_lun(cmd->dev)->sanitizing)
		return OUTCOME_SANITIZING;
	req->op = d->op;
	enum outcome out = decode_range(cmd, req);
	if (out == OUTCOME_GOOD && req->op == REQUEST_READ) /* else nothing is sent (guard.c) */
		scsi_set_in_resid_by_actual(cmd, (uint32_t)smaller(req->len_bytes, UINT32_MAX));
	return out == OUTCOME_GOOD ? d->decode(cmd, req) : out;
}
