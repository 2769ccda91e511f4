/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "command.h"

#include <stdlib.h>

#include "busy.h"
#include "process.h"
#include "request.h"
#include "secret.h"

/* A SCSI command under way. */
struct command {
	struct request request; /* first */
	struct range_claim claim;
	bool claimed;
	struct scsi_cmd *cmd;
};

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

enum claim_kind { CLAIM_NONE, CLAIM_SHARED, CLAIM_EXCLUSIVE };

static const struct decoder {
	uint8_t opcode;
	enum request_op op;
	enum claim_kind claim;
	enum outcome (*decode)(struct scsi_cmd *cmd, struct request *req);
} decoders[] = {
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

static const struct decoder *decoder_for(uint8_t opcode)
{
	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++) {
		if (decoders[i].opcode == opcode)
			return &decoders[i];
	}
	return NULL;
}

/* Opcodes that tgt itself serves for a disk. TEST UNIT READY also tells tgt that the map counts. */
static const uint8_t tgt_opcodes[] = {
	ALLOW_MEDIUM_REMOVAL,
	INQUIRY,
	MAINT_PROTOCOL_IN,
	MODE_SELECT,
	MODE_SELECT_10,
	MODE_SENSE,
	MODE_SENSE_10,
	PERSISTENT_RESERVE_IN,
	PERSISTENT_RESERVE_OUT,
	READ_CAPACITY,
	RELEASE,
	REPORT_LUNS,
	REQUEST_SENSE,
	RESERVE,
	SEND_DIAGNOSTIC,
	SERVICE_ACTION_IN,
	START_STOP,
	TEST_UNIT_READY,
};

static const struct {
	uint8_t key;
	uint16_t asc; /* and qualifier */
} senses[OUTCOME_COUNT] = {
	[OUTCOME_NOT_READY] = {NOT_READY, 0x0401},      /* becoming ready */
	[OUTCOME_NO_ACCESS] = {DATA_PROTECT, 0x7471},   /* logical unit access not authorized */
	[OUTCOME_READ_ERROR] = {MEDIUM_ERROR, 0x1100},  /* unrecovered read error */
	[OUTCOME_WRITE_ERROR] = {MEDIUM_ERROR, 0x0c00}, /* write error */
	[OUTCOME_NO_SPACE] = {DATA_PROTECT, 0x2707},    /* space allocation failed write protect */
	[OUTCOME_INTERNAL] = {HARDWARE_ERROR, 0x4400},  /* internal target failure */
	[OUTCOME_MISCOMPARE] = {MISCOMPARE, 0x1d00},    /* miscompare during verify operation */
	[OUTCOME_INVALID_FIELD] = {ILLEGAL_REQUEST, 0x2400},
	[OUTCOME_INVALID_OPCODE] = {ILLEGAL_REQUEST, 0x2000},
	[OUTCOME_LBA_RANGE] = {ILLEGAL_REQUEST, 0x2100},
	[OUTCOME_PARAMETER_LENGTH] = {ILLEGAL_REQUEST, 0x1a00},
};

void command_register_opcodes(struct backingstore_template *bst)
{
	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++) {
		unsigned char opcode = decoders[i].opcode;
		bs_create_opcode_map(bst, &opcode, 1);
	}
	for (size_t i = 0; i < sizeof(tgt_opcodes); i++) {
		unsigned char opcode = tgt_opcodes[i];
		bs_create_opcode_map(bst, &opcode, 1);
	}
}

/* tgt's own functions for a disk, before they are mended: the same for every LUN. */
static int (*tgt_perform[NR_SCSI_OPCODES])(int host_no, struct scsi_cmd *cmd);

/*
 * An initiator may expect data of a command that returns none, or less. tgt allocates what it expects
 * uninitialized, from a heap in which other clients' plaintext was, and sends all that the command
 * does not take off by a residual. So nothing but zeros is in it when the command starts.
 */
static int perform_zeroed(int host_no, struct scsi_cmd *cmd)
{
	if (scsi_get_in_length(cmd) && scsi_get_in_buffer(cmd))
		memset(scsi_get_in_buffer(cmd), 0, scsi_get_in_length(cmd));
	return tgt_perform[cmd->scb[0]](host_no, cmd);
}

/* READ fills what it sends or fails, and tgt sets its residual. */
static bool is_read(unsigned opcode)
{
	const struct decoder *d = decoder_for((uint8_t)opcode);

	return d && d->op == REQUEST_READ;
}

void command_mend_opcodes(struct scsi_lu *lu)
{
	struct device_type_operations *ops = lu->dev_type_template.ops;

	/* Same checks, same reservation conflicts: tgt's sbc_rw() knows these opcodes. */
	ops[COMPARE_AND_WRITE] = ops[WRITE_16];
	ops[VERIFY_10] = ops[READ_10];
	ops[VERIFY_12] = ops[READ_12];
	ops[VERIFY_16] = ops[READ_16];
	for (unsigned i = 0; i < NR_SCSI_OPCODES; i++) {
		if (is_read(i) || !ops[i].cmd_perform)
			continue;
		tgt_perform[i] = ops[i].cmd_perform;
		ops[i].cmd_perform = perform_zeroed;
	}
}

static void set_sense(struct scsi_cmd *cmd, const struct request *req)
{
	enum outcome out = req->outcome;

	scsi_set_in_resid_by_actual(cmd, 0);
	scsi_set_out_resid_by_actual(cmd, 0);
	if (out == OUTCOME_MISCOMPARE)
		sense_data_build_with_info(
			cmd, senses[out].key, senses[out].asc, req->miscompare_byte);
	else
		sense_data_build(cmd, senses[out].key, senses[out].asc);
}

/*
 * Plaintext from the client that nobody needs any more: of a refused write, or to compare with. What a
 * write leaves is ciphertext. Data for the client is wiped when tgt has sent and freed it.
 */
static void scrub_received(struct scsi_cmd *cmd, const struct request *req)
{
	if (!process_scrubs())
		return;
	if (scsi_get_out_length(cmd) && scsi_get_out_buffer(cmd))
		secret_wipe(scsi_get_out_buffer(cmd), scsi_get_out_length(cmd));
	if (req->outcome == OUTCOME_NO_ACCESS || req->outcome == OUTCOME_NOT_READY)
		process_scrub_cached();
}

static void command_done(struct request *request)
{
	struct command *c = (struct command *)request;
	struct scsi_cmd *cmd = c->cmd;
	int status = SAM_STAT_GOOD;

	if (request->outcome != OUTCOME_GOOD) {
		set_sense(cmd, request);
		status = SAM_STAT_CHECK_CONDITION;
	}
	if (request->outcome != OUTCOME_GOOD || request->op != REQUEST_WRITE)
		scrub_received(cmd, request);
	if (c->claimed)
		range_release(&crypt_lun(cmd->dev)->ranges, &c->claim);
	volume_put(request->volume);
	free(c);
	target_cmd_io_done(cmd, status);
}

static void claim_granted(struct range_claim *claim)
{
	struct command *c =
		(struct command *)(void *)((char *)claim - offsetof(struct command, claim));

	request_start(&c->request);
}

static enum outcome decode(struct scsi_cmd *cmd, const struct decoder *d, struct request *req)
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

/* The claim covers whole sectors: a write that ends inside one merges it with the stored rest. */
static void set_claim(struct command *c, const struct decoder *d)
{
	uint64_t block = block_bytes(c->cmd);

	c->claim.granted = claim_granted;
	c->claim.exclusive = d->claim == CLAIM_EXCLUSIVE;
	c->claim.first_byte = c->request.offset_bytes;
	if (d->claim != CLAIM_NONE)
		c->claim.len_bytes = (c->request.len_bytes + block - 1) / block * block;
}

/* Completes later, with out before any work, or by doing the work. */
static int start(const struct command *prepared, enum outcome out)
{
	struct command *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = *prepared;
	set_cmd_async(c->cmd);
	if (c->request.volume)
		(void)volume_get(c->request.volume);
	if (out != OUTCOME_GOOD) {
		request_fail(&c->request, out); /* no claim */
		return 0;
	}
	c->claimed = true;
	range_acquire(&crypt_lun(c->cmd->dev)->ranges, &c->claim);
	return 0;
}

int command_submit(struct scsi_cmd *cmd)
{
	struct crypt_lun *lun = crypt_lun(cmd->dev);
	const struct decoder *d = decoder_for(cmd->scb[0]);
	struct command c = {.cmd = cmd};

	busy_note_client(cmd->it_nexus);
	c.request.volume = lun->volume;
	c.request.done = command_done;
	enum outcome out = decode(cmd, d, &c.request);
	if (out != OUTCOME_GOOD)
		return start(&c, out);
	set_claim(&c, d);
	if (!range_free(&lun->ranges, &c.claim) || !request_now(&c.request))
		return start(&c, OUTCOME_GOOD);
	return c.request.outcome == OUTCOME_GOOD ? 0 : start(&c, c.request.outcome);
}
