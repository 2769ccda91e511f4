/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Whether the calling thread, tgtd's main one, is the bottleneck: it has been running, and not waiting
 * for something to do, for most of the last milliseconds. What others can do is then better left to
 * them. Main thread only.
 */
#ifndef BS_CRYPT_BUSY_H
#define BS_CRYPT_BUSY_H

#include <stdbool.h>

bool busy_lately(void);

#endif
