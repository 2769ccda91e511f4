/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A LUN that becomes larger while it is open: tgt reads the size at opening only, so it is put into tgt's
 * LUN here, and every initiator is told (SPC-4 5.14, CAPACITY DATA HAS CHANGED).
 */
#ifndef BS_CRYPT_CAPACITY_H
#define BS_CRYPT_CAPACITY_H

#include "volume.h"

struct capacity;
struct scsi_lu;

/* For a LUN whose volume is about to be opened. NULL: out of memory. Main thread only. */
struct capacity *capacity_new(struct scsi_lu *lu);

/* To be given to volume_open(). */
struct volume_watch *capacity_watch(struct capacity *capacity);

/* After the volume was closed, or not opened: its last notice may still be under way. NULL is allowed. Main thread only. */
void capacity_free(struct capacity *capacity);

#endif
