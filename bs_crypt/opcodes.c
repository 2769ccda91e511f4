/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "opcodes.h"

#include "caching.h"
#include "cdb.h"
#include "command.h"
#include "command_sanitize.h"

/* Opcodes that tgt itself serves for a disk. TEST UNIT READY also tells tgt that the map counts. */
static const uint8_t tgt_opcodes[] = {
	ALLOW_MEDIUM_REMOVAL,
	INQUIRY,
	SANITIZE_OPCODE,
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

void opcodes_register(struct backingstore_template *bst)
{
	for (size_t i = 0; decoder_at(i); i++) {
		unsigned char opcode = decoder_at(i)->opcode;
		bs_create_opcode_map(bst, &opcode, 1);
	}
	for (size_t i = 0; i < sizeof(tgt_opcodes); i++) {
		unsigned char opcode = tgt_opcodes[i];
		bs_create_opcode_map(bst, &opcode, 1);
	}
}

typedef int perform_fn(int host_no, struct scsi_cmd *cmd);

static perform_fn *tgt_perform[NR_SCSI_OPCODES]; /* the same for every LUN */

/* What tgt asks first of a command for a disk, for those that it does not ask itself. */
static int perform_read(int host_no, struct scsi_cmd *cmd)
{
	(void)host_no;
	if (device_reserved(cmd))
		return SAM_STAT_RESERVATION_CONFLICT;
	if (cmd->dev->attrs.removable && !cmd->dev->attrs.online)
		return command_refuse(cmd, OUTCOME_NO_MEDIUM);
	return command_submit(cmd) ? command_refuse(cmd, OUTCOME_INTERNAL) : SAM_STAT_GOOD;
}

static int perform_write(int host_no, struct scsi_cmd *cmd)
{
	if (device_reserved(cmd))
		return SAM_STAT_RESERVATION_CONFLICT;
	if (cmd->dev->attrs.readonly || cmd->dev->attrs.swp)
		return command_refuse(cmd, OUTCOME_WRITE_PROTECTED);
	return perform_read(host_no, cmd);
}

/* tgt's own is good as long as the LUN is online, which a destroyed one is. */
static int test_unit_ready(int host_no, struct scsi_cmd *cmd)
{
	const struct crypt_lun *lun = crypt_lun(cmd->dev);
	int status = spc_test_unit(host_no, cmd);

	if (status != SAM_STAT_GOOD)
		return status;
	enum outcome out = lun->sanitizing ? OUTCOME_SANITIZING
			   : lun->volume   ? request_status(lun->volume)
					   : OUTCOME_NOT_READY;
	return out == OUTCOME_GOOD ? SAM_STAT_GOOD : command_refuse(cmd, out);
}

/* tgt forgets that it conflicts with RESERVE (6). */
static int mode_sense(int host_no, struct scsi_cmd *cmd)
{
	return device_reserved(cmd) ? SAM_STAT_RESERVATION_CONFLICT
				    : tgt_perform[cmd->scb[0]](host_no, cmd);
}

static int mode_select(int host_no, struct scsi_cmd *cmd)
{
	return caching_mode_select(host_no, cmd, tgt_perform[cmd->scb[0]]);
}

static int start_stop(int host_no, struct scsi_cmd *cmd)
{
	return caching_start_stop(host_no, cmd, tgt_perform[cmd->scb[0]]);
}

/*
 * When the holder of a reservation takes its registration back, the other registrants are to be told,
 * of a reservation for registrants (SPC-4 5.13.11.2.2). tgt tells, for each of them, everybody but that
 * one: the holder, too, and not the only one that is left. The holder had no attention pending, or the
 * command would have ended with it.
 */
static int reserve_out(int host_no, struct scsi_cmd *cmd)
{
	struct scsi_lu *lu = cmd->dev;
	uint8_t action = cmd->scb[1] & 0x1f, type = lu->pr_holder ? lu->pr_holder->pr_type : 0;
	int status = tgt_perform[cmd->scb[0]](host_no, cmd);

	if (!type || lu->pr_holder ||
		(action != PR_OUT_REGISTER && action != PR_OUT_REGISTER_AND_IGNORE_EXISTING_KEY))
		return status;
	ua_sense_clear(cmd->itn_lu_info, ASC_RESERVATIONS_RELEASED);
	struct list_head *first = lu->registration_list.next;
	bool one = first != &lu->registration_list && first->next == &lu->registration_list;
	if (one && (type == PR_TYPE_WRITE_EXCLUSIVE_REGONLY ||
			   type == PR_TYPE_EXCLUSIVE_ACCESS_REGONLY))
		ua_sense_add_it_nexus(
			list_entry(first, struct registration, registration_siblings)->nexus_id, lu,
			ASC_RESERVATIONS_RELEASED);
	return status;
}

/*
 * SPC-4 5.13.1 (table 65), SBC-3 4.17 (table 13): what conflicts with another initiator's persistent
 * reservation, from any initiator, or from one that is not registered.
 */
enum {
	WRITE_CONFLICTS = PR_WE_FA | PR_EA_FA | PR_WE_FN | PR_EA_FN,
	READ_CONFLICTS = PR_EA_FA | PR_EA_FN,
};

/* tgt looks up conflicts by opcode. READ CAPACITY (16) shares this one and conflicts with nothing. */
static int get_lba_status(int host_no, struct scsi_cmd *cmd)
{
	struct device_type_operations *row = &cmd->dev->dev_type_template.ops[cmd->scb[0]];
	uint8_t shared = row->pr_conflict_bits;

	row->pr_conflict_bits = READ_CONFLICTS;
	int conflict = spc_access_check(cmd);
	row->pr_conflict_bits = shared;
	return conflict ? SAM_STAT_RESERVATION_CONFLICT : perform_read(host_no, cmd);
}

static perform_fn *tgt_report_opcodes; /* the same for every LUN */

/* tgt's own, asked for one opcode, says of all that bs-type crypt knows that they are supported. */
static int report_opcodes(int host_no, struct scsi_cmd *cmd)
{
	const struct device_type_operations *row = &cmd->dev->dev_type_template.ops[cmd->scb[3]];
	bool all = !(cmd->scb[2] & 0x07); /* REPORTING OPTIONS, SPC-4 6.35 */

	if (!all && row->cmd_perform == spc_illegal_op)
		return command_refuse(cmd, OUTCOME_INVALID_FIELD);
	return tgt_report_opcodes(host_no, cmd);
}

/* Instead of tgt's; what is NULL is tgt's function. */
static struct service_action service_action_in[] = {
	{SAI_READ_CAPACITY_16, NULL}, {SAI_GET_LBA_STATUS, get_lba_status}, {0, NULL}};
static struct service_action maintenance_in[] = {
	{MPI_REPORT_SUPPORTED_OPCODES, report_opcodes}, {0, NULL}};

static perform_fn *tgt_action(const struct device_type_operations *row, uint32_t wanted)
{
	const struct service_action *action = row->service_actions;

	while (action->service_action != wanted)
		action++;
	return action->cmd_perform;
}

static void mend_service_actions(struct device_type_operations *ops)
{
	service_action_in[0].cmd_perform =
		tgt_action(&ops[SERVICE_ACTION_IN], SAI_READ_CAPACITY_16);
	ops[SERVICE_ACTION_IN].service_actions = service_action_in;
	tgt_report_opcodes = tgt_action(&ops[MAINT_PROTOCOL_IN], MPI_REPORT_SUPPORTED_OPCODES);
	ops[MAINT_PROTOCOL_IN].service_actions = maintenance_in;
}

/*
 * Rows of tgt's table that are wrong or missing for an encrypted LUN. Like names the opcode whose
 * function of tgt serves, which knows all of these, unless perform does.
 */
static const struct mend {
	uint8_t opcode;
	uint8_t like;
	uint8_t conflicts;
	perform_fn *perform;
} mends[] = {
	{TEST_UNIT_READY, 0, 0, test_unit_ready},
	{MODE_SENSE, 0, WRITE_CONFLICTS, mode_sense},
	{MODE_SENSE_10, 0, WRITE_CONFLICTS, mode_sense},
	{MODE_SELECT, 0, WRITE_CONFLICTS, mode_select},
	{MODE_SELECT_10, 0, WRITE_CONFLICTS, mode_select},
	{START_STOP, 0, PR_SPECIAL, start_stop},
	{PERSISTENT_RESERVE_OUT, 0, 0, reserve_out},
	{COMPARE_AND_WRITE, WRITE_16, WRITE_CONFLICTS, NULL},
	{ORWRITE_16, ORWRITE_16, WRITE_CONFLICTS, NULL},
	{WRITE_VERIFY, WRITE_VERIFY, WRITE_CONFLICTS, NULL},
	{WRITE_VERIFY_12, WRITE_VERIFY_12, WRITE_CONFLICTS, NULL},
	{WRITE_VERIFY_16, WRITE_VERIFY_16, WRITE_CONFLICTS, NULL},
	{WRITE_SAME, WRITE_SAME, WRITE_CONFLICTS, NULL},
	{WRITE_SAME_16, WRITE_SAME_16, WRITE_CONFLICTS, NULL},
	{UNMAP, 0, WRITE_CONFLICTS, perform_write},
	{VERIFY_10, READ_10, READ_CONFLICTS, NULL},
	{VERIFY_12, READ_12, READ_CONFLICTS, NULL},
	{VERIFY_16, READ_16, READ_CONFLICTS, NULL},
	{PRE_FETCH_10, 0, READ_CONFLICTS, perform_read}, /* which tgt takes for writes */
	{PRE_FETCH_16, 0, READ_CONFLICTS, perform_read},
};

static void mend_rows(struct device_type_operations *ops)
{
	for (size_t i = 0; i < sizeof(mends) / sizeof(mends[0]); i++) {
		const struct mend *m = &mends[i];
		ops[m->opcode].cmd_perform = m->perform ? m->perform : tgt_perform[m->like];
		ops[m->opcode].pr_conflict_bits = m->conflicts;
	}
}

/* What serves an opcode, before perform_zeroed(): the same for every LUN that has it. */
static perform_fn *perform_inner[NR_SCSI_OPCODES];

enum { ANSWER_BYTES_MAX = 64 << 10 }; /* of a command that reads no blocks */

/*
 * guard.c sees to it that nothing is sent that the command does not say it has. Should one of tgt's
 * functions say more than it wrote, it is zeros: the buffer comes uninitialized from a heap in which other
 * clients' plaintext was. None has more; an initiator may expect 2 GiB.
 */
static int perform_zeroed(int host_no, struct scsi_cmd *cmd)
{
	if (scsi_get_in_length(cmd) && scsi_get_in_buffer(cmd))
		memset(scsi_get_in_buffer(cmd), 0,
			scsi_get_in_length(cmd) < ANSWER_BYTES_MAX ? scsi_get_in_length(cmd)
								   : ANSWER_BYTES_MAX);
	return perform_inner[cmd->scb[0]](host_no, cmd);
}

/* READ fills what it sends or fails, and tgt sets its residual. An illegal opcode sends nothing. */
static bool sends_what_it_should(unsigned opcode, perform_fn *perform)
{
	const struct decoder *d = decoder_for((uint8_t)opcode);

	return (d && d->op == REQUEST_READ) || perform == spc_illegal_op;
}

static void zero_buffers(struct device_type_operations *ops)
{
	for (unsigned i = 0; i < NR_SCSI_OPCODES; i++) {
		if (!ops[i].cmd_perform || sends_what_it_should(i, ops[i].cmd_perform))
			continue;
		perform_inner[i] = ops[i].cmd_perform;
		ops[i].cmd_perform = perform_zeroed;
	}
}

void opcodes_mend(struct scsi_lu *lu)
{
	struct device_type_operations *ops = lu->dev_type_template.ops;

	for (unsigned i = 0; i < NR_SCSI_OPCODES; i++)
		tgt_perform[i] = ops[i].cmd_perform;
	mend_rows(ops);
	mend_service_actions(ops);
	sanitize_add_to(lu);
	if (!crypt_lun(lu)->opts.discard)
		ops[UNMAP].cmd_perform = spc_illegal_op;
	zero_buffers(ops);
}
