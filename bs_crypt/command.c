/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "command.h"

#include <stdlib.h>

#include "busy.h"
#include "bytes.h"
#include "cdb.h"
#include "process.h"
#include "secret.h"

/* A SCSI command under way. */
struct command {
	struct request request; /* first */
	struct range_claim claim;
	bool claimed;
	command_flushed *flushed; /* of command_flush() */
	struct scsi_cmd *cmd;
};

static const struct {
	uint8_t key;
	uint16_t asc; /* and qualifier */
} senses[OUTCOME_COUNT] = {
	[OUTCOME_NOT_READY] = {NOT_READY, 0x0401},      /* becoming ready */
	[OUTCOME_SANITIZING] = {NOT_READY, 0x041b},     /* sanitize in progress */
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
	[OUTCOME_INVALID_PARAMETER] = {ILLEGAL_REQUEST, 0x2600},
	[OUTCOME_WRITE_PROTECTED] = {DATA_PROTECT, 0x2700},
	[OUTCOME_NO_MEDIUM] = {NOT_READY, 0x3a00},
};

static int give_lba_status(struct scsi_cmd *cmd, const struct request *req)
{
	uint64_t allocated = get_be(cmd->scb + 10, 4), expected = scsi_get_in_length(cmd);
	size_t room = (size_t)(allocated < expected ? allocated : expected);
	size_t len = provision_write_status(req->extents, req->extent_count,
		1U << cmd->dev->blk_shift, scsi_get_in_buffer(cmd), room);

	scsi_set_in_resid_by_actual(cmd, (uint32_t)(len < room ? len : room));
	return SAM_STAT_GOOD;
}

int command_refuse(struct scsi_cmd *cmd, enum outcome out)
{
	scsi_set_in_resid_by_actual(cmd, 0);
	scsi_set_out_resid_by_actual(cmd, 0);
	sense_data_build(cmd, senses[out].key, senses[out].asc);
	return SAM_STAT_CHECK_CONDITION;
}

/* The status of what is done, with its sense, or the data that only doing it could tell. */
static int set_result(struct scsi_cmd *cmd, const struct request *req)
{
	enum outcome out = req->outcome;

	if (out == OUTCOME_GOOD)
		return req->op == REQUEST_MAP ? give_lba_status(cmd, req) : SAM_STAT_GOOD;
	int status = command_refuse(cmd, out);
	if (out == OUTCOME_MISCOMPARE)
		sense_data_build_with_info(
			cmd, senses[out].key, senses[out].asc, req->miscompare_byte);
	return status;
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
	int status = set_result(cmd, request);

	if (c->flushed)
		c->flushed(cmd, request->outcome == OUTCOME_GOOD);
	if (request->outcome != OUTCOME_GOOD || request->op != REQUEST_WRITE)
		scrub_received(cmd, request);
	if (c->claimed)
		range_release(&crypt_lun(cmd->dev)->ranges, &c->claim);
	volume_put(request->volume);
	free(request->extents);
	free(c);
	target_cmd_io_done(cmd, status);
}

static void claim_granted(struct range_claim *claim)
{
	struct command *c =
		(struct command *)(void *)((char *)claim - offsetof(struct command, claim));

	request_start(&c->request);
}

/* The claim covers whole sectors: a write that ends inside one merges it with the stored rest. */
static void set_claim(struct command *c, const struct decoder *d)
{
	uint64_t block = UINT64_C(1) << c->cmd->dev->blk_shift;

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

	if (!c) {
		free(prepared->request.extents);
		return -ENOMEM;
	}
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
	enum outcome out = cdb_decode(cmd, d, &c.request);
	if (out != OUTCOME_GOOD)
		return start(&c, out);
	set_claim(&c, d);
	if (!range_free(&lun->ranges, &c.claim) || !request_now(&c.request))
		return start(&c, OUTCOME_GOOD);
	return c.request.outcome == OUTCOME_GOOD ? 0 : start(&c, c.request.outcome);
}

int command_flush(struct scsi_cmd *cmd, command_flushed *flushed)
{
	struct crypt_lun *lun = crypt_lun(cmd->dev);
	struct command c = {.cmd = cmd, .flushed = flushed};

	c.request.op = REQUEST_FLUSH;
	c.request.volume = lun->volume;
	c.request.done = command_done;
	c.claim.granted = claim_granted;
	c.claim.exclusive = true; /* all that is under way goes first */
	c.claim.len_bytes = cmd->dev->size;
	if (!lun->volume || !start(&c, OUTCOME_GOOD))
		return SAM_STAT_GOOD;
	return command_refuse(cmd, OUTCOME_INTERNAL);
}
