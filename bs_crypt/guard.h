/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What initiators may send that tgt is not ready for. It looks at a command before tgt does, and at those
 * of tgt's functions that it replaces in the LUN's own opcode table:
 *
 * - tgt allocates what an initiator expects to receive uninitialized, from a heap in which other clients'
 *   plaintext was, and sends all of it when a command is refused before its own function has run (unknown
 *   opcode, unit attention, reservation, no such LUN). Here nothing is sent unless a function says what.
 * - An expected length near 4 GiB is rounded up to nothing: the buffer is smaller than its length. Such
 *   a command is refused and transfers nothing.
 * - ABORT TASK or LOGICAL UNIT RESET of a command that waits in the LUN's queue, behind an ordered one,
 *   leaves it in the queue and frees it, and counts it as one that ran. Commands that waited for a client
 *   that has gone end inside the loop that starts them, which then goes on with freed ones.
 * - MODE SENSE without a data-in buffer writes to address 2, and ends tgtd with all its LUNs.
 * - MODE SELECT reads a block descriptor that was not sent, from what lies behind the buffer, and keeps it.
 */
#ifndef BS_CRYPT_GUARD_H
#define BS_CRYPT_GUARD_H

#include "tgt.h"

/*
 * Guards the LUN, and its target's LUN 0, which answers what is sent to LUNs that are not there. Call in
 * bs_init, before anything else replaces functions of the table. Main thread.
 */
void guard_lun(struct scsi_lu *lu);

#endif
