/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What a LUN tells of itself: the block limits, block device characteristics and logical block provisioning VPD pages
 * (B0h, B1h, B2h; SBC-3 6.6.4, 6.6.3 and 6.6.6) and the bits of READ CAPACITY (16), which say what is really served, whatever
 * tgtadm is told. Main thread only.
 */
#ifndef BS_CRYPT_INQUIRY_H
#define BS_CRYPT_INQUIRY_H

#include "tgt.h"

/* Takes tgt's pages and settings over. Call in bs_init, when the LUN's options are known. */
void inquiry_mend(struct scsi_lu *lu);

/* The LUN has another volume. */
void inquiry_refresh(struct scsi_lu *lu);

#endif
