/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * SANITIZE (SBC-4 5.30) with the service action CRYPTOGRAPHIC ERASE: the volume's key is destroyed and
 * another one takes its place (volume_sanitize()). No other service action is served.
 *
 * The command runs to its end before its status is sent, with IMMED or without: a status GOOD is never a
 * promise. It begins when the commands before it have ended; those that come while it runs get NOT
 * READY, SANITIZE IN PROGRESS. One that fails leaves the old key or the new one in use, so there is no
 * failure mode to leave, and AUSE makes no difference. ZNR is refused: there are no zones.
 */
#ifndef BS_CRYPT_COMMAND_SANITIZE_H
#define BS_CRYPT_COMMAND_SANITIZE_H

#include "tgt.h"

enum { SANITIZE_OPCODE = 0x48 };

/* Puts SANITIZE into a LUN's own opcode table, and what it means for reads into its VPD page B1h. */
void sanitize_add_to(struct scsi_lu *lu);

#endif
