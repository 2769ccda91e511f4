/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * SCSI commands of an encrypted LUN, from tgt's call to status and sense. This, cdb.h and opcodes.h
 * are the only parts that know CDBs, sense data and tgt's struct scsi_cmd. References are to SBC-3
 * (T10/BSR INCITS 514) and SPC-4.
 */
#ifndef BS_CRYPT_COMMAND_H
#define BS_CRYPT_COMMAND_H

#include "tgt.h"

#include "range.h"
#include "request.h"
#include "volume.h"

/* A LUN of tgtd with bs-type crypt: tgt allocates it behind its struct scsi_lu. Main thread only. */
struct crypt_lun {
	struct opts opts;
	struct volume *volume; /* NULL: no medium */
	struct capacity *capacity;
	struct range_lock ranges;
	bool made_read_only; /* tgt's readonly is set because the volume is, and not by the administrator */
	bool sanitizing; /* a SANITIZE is under way: other commands that touch the medium are not served */
};

static inline struct crypt_lun *crypt_lun(struct scsi_lu *lu)
{
	return (struct crypt_lun *)(void *)(lu + 1);
}

/* Ends cmd with out's sense; no data goes either way. CHECK CONDITION, for tgt. */
int command_refuse(struct scsi_cmd *cmd, enum outcome out);

/*
 * tgt's bs_cmd_submit: starts cmd, which completes later, asynchronously, with its precise sense.
 * 0; or -ENOMEM, which tgt turns into HARDWARE ERROR, INTERNAL TARGET FAILURE.
 */
int command_submit(struct scsi_cmd *cmd);

typedef void command_flushed(struct scsi_cmd *cmd, bool good);

/*
 * For a command that tgt has done: waits until all that is under way on the LUN has ended, flushes, calls
 * flushed (NULL: nothing) and answers. GOOD when that comes later, or there is no volume; CHECK CONDITION,
 * with sense, when it cannot be begun.
 */
int command_flush(struct scsi_cmd *cmd, command_flushed *flushed);

#endif
