/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A LUN's write cache, which is the kernel's page cache: tgt keeps WCE in the caching mode page (SBC-3
 * 6.4.5) and knows no more of it. Main thread only.
 */
#ifndef BS_CRYPT_CACHING_H
#define BS_CRYPT_CACHING_H

#include <stdbool.h>

#include "tgt.h"

/* With the write cache off every write is to be durable. */
bool caching_off(const struct scsi_cmd *cmd);

typedef int caching_perform(int host_no, struct scsi_cmd *cmd);

/*
 * MODE SELECT and START STOP UNIT, done by tgt's own function and then here: a SAM status, or the command
 * completes later. An initiator that has switched the cache off flushes no more: what was written before is
 * durable when it is told so, and writes under way, which may be told GOOD without being durable, have
 * ended. If that fails, the cache is as it was. What stops is flushed before it is answered, unless NO_FLUSH is set
 * (SBC-3 5.25). While a SANITIZE is under way, which may last, neither waits for it: both are refused.
 */
int caching_mode_select(int host_no, struct scsi_cmd *cmd, caching_perform *tgts_own);
int caching_start_stop(int host_no, struct scsi_cmd *cmd, caching_perform *tgts_own);

#endif
