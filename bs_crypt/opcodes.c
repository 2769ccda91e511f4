/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "opcodes.h"

#include "cdb.h"

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

void opcodes_mend(struct scsi_lu *lu)
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
