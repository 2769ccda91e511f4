/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "command_sanitize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

enum {
	CRYPTOGRAPHIC_ERASE = 0x03,
	CDB1_SERVICE_ACTION = 0x1f,
	CDB1_ZNR = 0x40,
	CDB_RESERVED_FIRST = 2,
	CDB_RESERVED_LAST = 6,
	CDB_PARAMETER_LENGTH = 7, /* 2 bytes; only OVERWRITE has parameters */

	/* Block device characteristics, SBC-4 6.6.2 */
	VPD_PAGE = 0xb1,
	VPD_BYTE = 3,            /* after the page's header */
	VPD_WACEREQ_READ = 0x10, /* what was erased is read without an error */

	ASC_NOT_READY_BECOMING = 0x0401,
	ASC_SANITIZE_IN_PROGRESS = 0x041b,
	ASC_SANITIZE_FAILED = 0x3103,
	ASC_NO_MEDIUM = 0x3a00,
	ASC_PROTECTED = 0x2700,
	ASC_NOT_AUTHORIZED = 0x7471,
	ASC_OPERATION_CODE = 0x2000,
	ASC_FIELD_IN_CDB = 0x2400,
	ASC_INTERNAL = 0x4400,
};

struct sense {
	uint8_t key; /* NO_SENSE: none */
	uint16_t asc;
};

/* A SANITIZE under way. */
struct sanitize_command {
	struct volume_sanitization sanitization; /* first */
	struct range_claim claim;
	struct scsi_cmd *cmd;
	struct volume *volume; /* a reference */
};

static struct sense check_cdb(const uint8_t *cdb)
{
	static const struct sense invalid = {ILLEGAL_REQUEST, ASC_FIELD_IN_CDB};

	if ((cdb[1] & CDB1_SERVICE_ACTION) != CRYPTOGRAPHIC_ERASE || (cdb[1] & CDB1_ZNR))
		return invalid;
	for (int i = CDB_RESERVED_FIRST; i <= CDB_RESERVED_LAST; i++) {
		if (cdb[i])
			return invalid;
	}
	if (cdb[CDB_PARAMETER_LENGTH] || cdb[CDB_PARAMETER_LENGTH + 1])
		return invalid;
	return (struct sense){NO_SENSE, 0};
}

static struct sense check_lun(struct scsi_lu *lu)
{
	const struct crypt_lun *lun = crypt_lun(lu);

	if (lun->sanitizing)
		return (struct sense){NOT_READY, ASC_SANITIZE_IN_PROGRESS};
	if (!lu->attrs.online || !lun->volume)
		return (struct sense){NOT_READY, ASC_NO_MEDIUM};
	if (lu->attrs.readonly || lu->attrs.swp)
		return (struct sense){DATA_PROTECT, ASC_PROTECTED};
	switch (volume_status(lun->volume)) {
	case 0:
		return (struct sense){NO_SENSE, 0};
	case -EAGAIN:
		return (struct sense){NOT_READY, ASC_NOT_READY_BECOMING};
	default:
		return (struct sense){DATA_PROTECT, ASC_NOT_AUTHORIZED};
	}
}

static struct sense sense_of(int rc)
{
	switch (rc) {
	case -EPERM: /* keyd.conf(5) forbids it: as if the LUN did not know the command */
		return (struct sense){ILLEGAL_REQUEST, ASC_OPERATION_CODE};
	case -EAGAIN:
		return (struct sense){NOT_READY, ASC_NOT_READY_BECOMING};
	default:
		return (struct sense){MEDIUM_ERROR, ASC_SANITIZE_FAILED};
	}
}

/* The initiator's name, out of what tgt shows administrators of a session. */
static void name_initiator(const struct it_nexus *nexus, char name[PROTO_INITIATOR_BYTES])
{
	static const char label[] = "Initiator: ";
	const char *at = nexus && nexus->info ? strstr(nexus->info, label) : NULL;

	name[0] = '\0';
	if (!at)
		return;
	at += sizeof(label) - 1;
	size_t len = strcspn(at, " \n");
	if (len >= PROTO_INITIATOR_BYTES)
		len = PROTO_INITIATOR_BYTES - 1;
	memcpy(name, at, len);
	name[len] = '\0';
}

static void sanitize_done(struct completion *completion)
{
	struct sanitize_command *c = (struct sanitize_command *)completion;
	struct crypt_lun *lun = crypt_lun(c->cmd->dev);
	struct scsi_cmd *cmd = c->cmd;
	int rc = c->sanitization.rc, status = SAM_STAT_GOOD;

	if (rc) {
		const struct sense sense = sense_of(rc);
		sense_data_build(cmd, sense.key, sense.asc);
		status = SAM_STAT_CHECK_CONDITION;
	}
	lun->sanitizing = false;
	range_release(&lun->ranges, &c->claim);
	volume_put(c->volume);
	free(c);
	target_cmd_io_done(cmd, status);
}

/* Every command before this one has ended: none has the old key's ciphertext still to write. */
static void claim_granted(struct range_claim *claim)
{
	struct sanitize_command *c =
		(struct sanitize_command *)(void *)((char *)claim -
						    offsetof(struct sanitize_command, claim));

	volume_sanitize(c->volume, &c->sanitization);
}

static int start(struct scsi_cmd *cmd)
{
	struct crypt_lun *lun = crypt_lun(cmd->dev);
	struct sanitize_command *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	name_initiator(cmd->it_nexus, c->sanitization.initiator);
	c->sanitization.completion.done = sanitize_done;
	c->cmd = cmd;
	c->volume = volume_get(lun->volume);
	c->claim.granted = claim_granted;
	c->claim.exclusive = true;
	c->claim.len_bytes = cmd->dev->size;
	set_cmd_async(cmd);
	lun->sanitizing = true;
	range_acquire(&lun->ranges, &c->claim);
	return 0;
}

static int perform_sanitize(int host_no, struct scsi_cmd *cmd)
{
	(void)host_no;
	scsi_set_in_resid_by_actual(cmd, 0);
	scsi_set_out_resid_by_actual(cmd, 0);
	if (device_reserved(cmd))
		return SAM_STAT_RESERVATION_CONFLICT;
	struct sense sense = check_cdb(cmd->scb);
	if (sense.key == NO_SENSE)
		sense = check_lun(cmd->dev);
	if (sense.key == NO_SENSE && start(cmd))
		sense = (struct sense){HARDWARE_ERROR, ASC_INTERNAL};
	if (sense.key == NO_SENSE)
		return SAM_STAT_GOOD; /* later: it is asynchronous */
	sense_data_build(cmd, sense.key, sense.asc);
	return SAM_STAT_CHECK_CONDITION;
}

/* tgt's own, which fills the page anew. */
static void (*tgt_update)(struct scsi_lu *lu, void *data);

static void update_vpd(struct scsi_lu *lu, void *data)
{
	tgt_update(lu, data);
	lu->attrs.lu_vpd[PCODE_OFFSET(VPD_PAGE)]->data[VPD_BYTE] |= VPD_WACEREQ_READ;
}

static void mend_vpd(struct scsi_lu *lu)
{
	struct vpd *vpd = lu->attrs.lu_vpd[PCODE_OFFSET(VPD_PAGE)];

	if (!vpd || !vpd->vpd_update)
		return;
	tgt_update = vpd->vpd_update;
	vpd->vpd_update = update_vpd;
	vpd->data[VPD_BYTE] |= VPD_WACEREQ_READ;
}

void sanitize_add_to(struct scsi_lu *lu)
{
	/* For REPORT SUPPORTED OPERATION CODES; tgt walks it to the row without a function. */
	static struct service_action actions[] = {
		{CRYPTOGRAPHIC_ERASE, perform_sanitize},
		{0, NULL},
	};

	mend_vpd(lu);
	lu->dev_type_template.ops[SANITIZE_OPCODE] = (struct device_type_operations){
		.cmd_perform = perform_sanitize,
		.service_actions = actions,
		.pr_conflict_bits = PR_WE_FA | PR_EA_FA | PR_WE_FN | PR_EA_FN,
	};
}
