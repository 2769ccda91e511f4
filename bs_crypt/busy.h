/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What keeps the calling thread, tgtd's main one, so busy. Main thread only. */
#ifndef BS_CRYPT_BUSY_H
#define BS_CRYPT_BUSY_H

#include <stdbool.h>

/* A command of client has come. Only whether it is the same as before counts. */
void busy_note_client(const void *client);

/*
 * Whether the thread is the bottleneck: it has been running, and not waiting for something to do, for
 * most of the last milliseconds. What others can do is then better left to them.
 */
bool busy_lately(void);

/* Whether the commands of that time came from several clients in turn. */
bool busy_with_many(void);

#endif
