/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "caching.h"

#include "command.h"

enum {
	CACHING_PAGE = 0x08,
	CACHING_WCE = 0x04,
	CDB4_POWER_CONDITION = 0xf0, /* START STOP UNIT */
	CDB4_NO_FLUSH = 0x04,
	CDB4_START = 0x01,
};

bool caching_off(const struct scsi_cmd *cmd)
{
	const struct mode_pg *pg = find_mode_page(cmd->dev, CACHING_PAGE, 0);

	return !pg || !(pg->mode_data[0] & CACHING_WCE);
}

static void set_cache(struct scsi_cmd *cmd, bool on)
{
	struct mode_pg *pg = find_mode_page(cmd->dev, CACHING_PAGE, 0);

	if (pg)
		pg->mode_data[0] =
			(uint8_t)((pg->mode_data[0] & ~CACHING_WCE) | (on ? CACHING_WCE : 0));
}

static void switched_off(struct scsi_cmd *cmd, bool flushed)
{
	set_cache(cmd, !flushed);
}

/* It was off already; another MODE SELECT that was under way may have failed and switched it on again. */
static void left_off(struct scsi_cmd *cmd, bool flushed)
{
	(void)flushed;
	set_cache(cmd, false);
}

int caching_mode_select(int host_no, struct scsi_cmd *cmd, caching_perform *tgts_own)
{
	bool was_on = !caching_off(cmd);

	if (crypt_lun(cmd->dev)->sanitizing)
		return command_refuse(cmd, OUTCOME_SANITIZING);
	int status = tgts_own(host_no, cmd);
	if (status == SAM_STAT_GOOD && caching_off(cmd))
		status = command_flush(cmd, was_on ? switched_off : left_off);
	if (status != SAM_STAT_GOOD)
		set_cache(
			cmd, was_on); /* tgt refuses some lists after it has taken a part of them */
	return status;
}

int caching_start_stop(int host_no, struct scsi_cmd *cmd, caching_perform *tgts_own)
{
	bool flushes = !(cmd->scb[4] & CDB4_NO_FLUSH) &&
		       (cmd->scb[4] & (CDB4_POWER_CONDITION | CDB4_START)) != CDB4_START;

	if (flushes && crypt_lun(cmd->dev)->sanitizing)
		return command_refuse(cmd, OUTCOME_SANITIZING);
	int status = tgts_own(host_no, cmd);
	return status == SAM_STAT_GOOD && flushes ? command_flush(cmd, NULL) : status;
}
