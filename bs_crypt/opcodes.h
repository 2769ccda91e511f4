/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The opcodes of an encrypted LUN, as tgt looks them up. Main thread only. */
#ifndef BS_CRYPT_OPCODES_H
#define BS_CRYPT_OPCODES_H

#include "tgt.h"

/* Tells tgt which opcodes the template serves: those that work, here or in tgt, and no others. */
void opcodes_register(struct backingstore_template *bst);

/*
 * Mends the LUN's own copy of tgt's opcode table: COMPARE AND WRITE, which tgt's block device leaves
 * out, is served, VERIFY without BYTCHK, which tgt calls good unseen, comes here, as do UNMAP and GET
 * LBA STATUS; TEST UNIT READY tells of the key, reservations conflict as they should, and no command
 * sends what its buffer held before. Call in bs_init, when the LUN's options are known.
 */
void opcodes_mend(struct scsi_lu *lu);

#endif
