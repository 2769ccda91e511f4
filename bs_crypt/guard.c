/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "guard.h"

#include "target.h"

enum {
	EXPECTED_BYTES_MAX = INT32_MAX, /* tgt rounds and allocates in 32 bits, signed */
	CDB1_RDPROTECT = 0xe0,          /* of no LUN here */
	BLOCK_DESCRIPTOR_BYTES = 8,
	MODE_HEADER_6_BYTES = 4,
	MODE_HEADER_10_BYTES = 8,
	ASC_PARAMETER_LENGTH = 0x1a00,
};

/* tgt's own functions: the same for every LUN. */
static void (*tgt_done)(struct target *target, struct scsi_cmd *cmd);
static int (*tgt_mode_sense)(int host_no, struct scsi_cmd *cmd);
static int (*tgt_mode_select)(int host_no, struct scsi_cmd *cmd);

/* tgt keeps the buffers, whatever the lengths say, and frees them. In place of the CDB comes one that is refused. */
static void refuse_too_long(struct scsi_cmd *cmd)
{
	static uint8_t invalid_field[16] = {READ_10, CDB1_RDPROTECT};

	scsi_set_in_length(cmd, 0);
	scsi_set_out_length(cmd, 0);
	cmd->scb = invalid_field;
}

static int guarded_perform(int host_no, struct scsi_cmd *cmd)
{
	if (scsi_get_in_length(cmd) > EXPECTED_BYTES_MAX ||
		scsi_get_out_length(cmd) > EXPECTED_BYTES_MAX)
		refuse_too_long(cmd);
	scsi_set_in_resid_by_actual(cmd, 0);
	return target_cmd_perform(host_no, cmd);
}

/* What is written where no buffer is goes nowhere: it is as if the allocation length were used up. */
static int mode_sense(int host_no, struct scsi_cmd *cmd)
{
	uint8_t nowhere[MODE_HEADER_10_BYTES];

	if (scsi_get_in_buffer(cmd))
		return tgt_mode_sense(host_no, cmd);
	scsi_set_in_buffer(cmd, nowhere);
	int status = tgt_mode_sense(host_no, cmd);
	scsi_set_in_buffer(cmd, NULL);
	return status;
}

/* The lengths of the list as sent, of its header, and of the block descriptors that it announces. */
static int mode_select(int host_no, struct scsi_cmd *cmd)
{
	bool six = cmd->scb[0] == MODE_SELECT;
	const uint8_t *list = scsi_get_out_buffer(cmd);
	uint32_t len = six ? cmd->scb[4] : (uint32_t)(cmd->scb[7] << 8 | cmd->scb[8]);
	uint32_t header = six ? MODE_HEADER_6_BYTES : MODE_HEADER_10_BYTES;

	if (len > scsi_get_out_length(cmd))
		len = scsi_get_out_length(cmd);
	if (len < header)
		return tgt_mode_select(host_no, cmd); /* refuses it */
	uint32_t descriptors = six ? list[3] : (uint32_t)(list[6] << 8 | list[7]);
	if (descriptors != BLOCK_DESCRIPTOR_BYTES || len >= header + descriptors)
		return tgt_mode_select(host_no, cmd);
	scsi_set_out_resid_by_actual(cmd, 0);
	sense_data_build(cmd, ILLEGAL_REQUEST, ASC_PARAMETER_LENGTH);
	return SAM_STAT_CHECK_CONDITION;
}

/* The part of tgt's own that every command needs that has been performed. */
static void leave_queue(struct scsi_cmd *cmd)
{
	struct tgt_cmd_queue *q = &cmd->dev->cmd_queue;

	list_del(&cmd->c_hlist);
	q->active_cmd--;
	if (cmd->attribute == MSG_ORDERED_TAG || cmd->attribute == MSG_HEAD_TAG)
		clear_queue_blocked(q);
}

static struct scsi_lu *lun_0(struct target *target)
{
	return list_first_entry(&target->device_list, struct scsi_lu, device_siblings);
}

/*
 * Called when it is aborted, and again when that has been answered. It never was active. Until the answer is
 * sent, nobody finds it to abort it again, and it is LUN 0's, which stays as long as the target: its own may
 * be taken away.
 */
static void aborted_in_queue(struct target *target, struct scsi_cmd *cmd)
{
	if (cmd_queued(cmd)) {
		list_del(&cmd->qlist);
		clear_cmd_queued(cmd);
		cmd->dev = lun_0(target);
	}
	list_del_init(&cmd->c_hlist);
}

/*
 * tgt's function starts what waited in the queue. What is done at once, for a client that has gone, ends
 * within it; the loop around it goes on with the rest of the queue.
 */
static void guarded_done(struct target *target, struct scsi_cmd *cmd)
{
	static const struct scsi_lu *starting;

	if (!cmd_processed(cmd)) {
		aborted_in_queue(target, cmd);
	} else if (starting && starting == cmd->dev) {
		leave_queue(cmd);
	} else {
		const struct scsi_lu *outer = starting;

		starting = cmd->dev;
		tgt_done(target, cmd);
		starting = outer;
	}
}

static void guard_commands(struct scsi_lu *lu)
{
	if (lu->cmd_perform != target_cmd_perform)
		return;
	lu->cmd_perform = guarded_perform;
	tgt_done = lu->cmd_done;
	lu->cmd_done = guarded_done;
}

void guard_lun(struct scsi_lu *lu)
{
	struct device_type_operations *ops = lu->dev_type_template.ops;

	guard_commands(lu);
	if (!list_empty(&lu->tgt->device_list))
		guard_commands(lun_0(lu->tgt));
	tgt_mode_sense = ops[MODE_SENSE].cmd_perform;
	tgt_mode_select = ops[MODE_SELECT].cmd_perform;
	ops[MODE_SENSE].cmd_perform = ops[MODE_SENSE_10].cmd_perform = mode_sense;
	ops[MODE_SELECT].cmd_perform = ops[MODE_SELECT_10].cmd_perform = mode_select;
}
