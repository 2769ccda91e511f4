/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Room on the state disk that is kept for what must not fail there: destroying, suspending, zeroizing, starting. It is
 * a folder of files, RESERVE_DIR, with blocks and inodes of their own. When a write between reserve_begin() and
 * reserve_end() finds no room, files are removed until it does. Every other write fails with -ENOSPC from then on, until
 * the reserve is whole again. One for the process, of the key store that was opened last; used by its one thread.
 */
#ifndef KEYD_RESERVE_H
#define KEYD_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "keystore.h"

#define RESERVE_DIR "reserve"

/* The state directory (borrowed until reserve_close()), and whatever is left there of a reserve. */
void reserve_open(int dir_fd);
void reserve_close(void);

/*
 * Makes the reserve as large as the store may need, or completes it. 0 or -errno: it is not whole. Cheap when
 * the store has not changed since it was.
 */
int reserve_fill(const struct keystore *ks) __attribute__((warn_unused_result));

/* Whether the last reserve_fill() succeeded, and nothing was given since. */
bool reserve_is_whole(void);

/* From here to its reserve_end() writes may use the reserve. May be nested. */
void reserve_begin(void);
void reserve_end(void);

/* For durable.c. Whether a write may be tried at all. */
bool reserve_permits(void);

/* rc is the error of a write. True: there is more room now, and it is to be tried again. */
bool reserve_helps(int rc);

#endif
