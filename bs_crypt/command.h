/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * SCSI commands of an encrypted LUN: the only part that knows CDBs, sense data and tgt's struct
 * scsi_cmd. References are to SBC-3 (T10/BSR INCITS 514) and SPC-4.
 */
#ifndef BS_CRYPT_COMMAND_H
#define BS_CRYPT_COMMAND_H

#include "tgt.h"

#include "range.h"
#include "volume.h"

/* A LUN of tgtd with bs-type crypt: tgt allocates it behind its struct scsi_lu. Main thread only. */
struct crypt_lun {
	struct opts opts;
	struct volume *volume; /* NULL: no medium */
	struct capacity *capacity;
	struct range_lock ranges;
};

static inline struct crypt_lun *crypt_lun(struct scsi_lu *lu)
{
	return (struct crypt_lun *)(void *)(lu + 1);
}

/* Tells tgt which opcodes the template serves: those that work, here or in tgt, and no others. */
void command_register_opcodes(struct backingstore_template *bst);

/*
 * Mends the LUN's own copy of tgt's opcode table: COMPARE AND WRITE, which tgt's block device leaves
 * out, is served, VERIFY without BYTCHK, which tgt calls good unseen, comes here, and no command sends
 * what its buffer held before. Call in bs_init.
 */
void command_mend_opcodes(struct scsi_lu *lu);

/*
 * tgt's bs_cmd_submit: starts cmd, which completes later, asynchronously, with its precise sense.
 * 0; or -ENOMEM, which tgt turns into HARDWARE ERROR, INTERNAL TARGET FAILURE.
 */
int command_submit(struct scsi_cmd *cmd);

#endif
