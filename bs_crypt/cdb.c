/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cdb.h"

enum {
	CDB1_FUA = 0x08,
	CDB1_VRPROTECT = 0xe0,
	CDB1_BYTCHK = 0x06,
	CDB1_BYTCHK_COMPARE = 0x02, /* the whole data-out buffer, SBC-3 5.29 */
	CDB1_NDOB = 0x01,           /* WRITE SAME(16) without a data-out buffer */
	CDB1_PBDATA = 0x04,
	CDB1_LBDATA = 0x02,
	COMPARE_WRITE_BLOCKS_MAX = 128, /* what tgt's block limits VPD page (B0h) tells */
	CACHING_PAGE = 0x08,
	CACHING_WCE = 0x04,
};

static uint64_t block_bytes(const struct scsi_cmd *cmd)
{
	return UINT64_C(1) << cmd->dev->blk_shift;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* With the write cache off (WCE, SPC-4 7.5.5), every write is to be durable. */
static bool write_cache_off(const struct scsi_cmd *cmd)
{
	const struct mode_pg *pg = find_mode_page(cmd->dev, CACHING_PAGE, 0);

	return !pg || !(pg->mode_data[0] & CACHING_WCE);
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
	req->durable = (cmd->scb[0] != WRITE_6 && (cmd->scb[1] & CDB1_FUA)) || write_cache_off(cmd);
	return OUTCOME_GOOD;
}

/* As tgt does for the other writes, which it knows of. */
static enum outcome decode_or_write(struct scsi_cmd *cmd, struct request *req)
{
	if (req->len_bytes != scsi_get_out_length(cmd))
		scsi_set_out_resid_by_actual(cmd, (uint32_t)smaller(req->len_bytes, UINT32_MAX));
	return decode_write(cmd, req);
}

/* The medium is verified, so the data has to be on it. */
static enum outcome decode_write_verify(struct scsi_cmd *cmd, struct request *req)
{
	enum outcome out = decode_write(cmd, req);

	req->durable = true;
	return out;
}

/* BYTCHK 11b, one block against all, is not implemented; 10b is reserved. */
static enum outcome decode_verify(struct scsi_cmd *cmd, struct request *req)
{
	uint8_t bytchk = cmd->scb[1] & CDB1_BYTCHK;

	if (cmd->scb[1] & CDB1_VRPROTECT)
		return OUTCOME_INVALID_FIELD;
	if (!bytchk)
		return OUTCOME_GOOD; /* no data: the medium is read, and nothing compared */
	if (bytchk != CDB1_BYTCHK_COMPARE)
		return OUTCOME_INVALID_FIELD;
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

/* tgt has made sure that the data-out buffer is one block or absent. */
static enum outcome decode_write_same(struct scsi_cmd *cmd, struct request *req)
{
	bool ndob = cmd->scb[0] == WRITE_SAME_16 && (cmd->scb[1] & CDB1_NDOB);
	bool has_data = scsi_get_out_length(cmd) == block_bytes(cmd);

	if (ndob == has_data)
		return ndob ? OUTCOME_INVALID_FIELD : OUTCOME_PARAMETER_LENGTH;
	extend_to_end(cmd, req);
	req->data = has_data ? scsi_get_out_buffer(cmd) : NULL;
	req->durable = write_cache_off(cmd);
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
	extend_to_end(cmd, req);
	return OUTCOME_GOOD;
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
	req->op = d->op;
	if (req->op != REQUEST_READ)
		scsi_set_in_resid_by_actual(cmd, 0); /* nothing to send, whatever is expected */
	enum outcome out = decode_range(cmd, req);
	return out == OUTCOME_GOOD ? d->decode(cmd, req) : out;
}
