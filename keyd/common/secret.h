/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The one allocator for key material (DESIGN 7).
 *
 * Every block has its own pages: locked in RAM, left out of core dumps, wiped in a forked child,
 * with an inaccessible page before and after. Thread-safe: no shared state.
 */
#ifndef KEYD_SECRET_H
#define KEYD_SECRET_H

#include <stddef.h>

/*
 * A zeroed block of len_bytes, 16-byte aligned, its end close to the guard page. The caller owns it
 * and gives it back with secret_free(). NULL with errno set when memory cannot be had *or cannot be
 * locked* (ENOMEM, EPERM, EAGAIN): a key is never put into memory that may be swapped.
 */
void *secret_alloc(size_t len_bytes) __attribute__((malloc, warn_unused_result));

/* Wipes and unmaps a block of secret_alloc(). NULL is allowed. */
void secret_free(void *secret);

/* Overwrites len_bytes in a way the compiler cannot drop. For secrets in memory owned by others. */
void secret_wipe(void *memory, size_t len_bytes);

#endif
