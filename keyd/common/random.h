/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Random bytes, from getrandom(2) at each use. The kernel seeds its generator anew when a virtual machine
 * goes on from a snapshot; a generator inside this process would go on with the same state each time.
 */
#ifndef KEYD_RANDOM_H
#define KEYD_RANDOM_H

#include <stddef.h>

/* Fills to[0 .. len_bytes). 0 or -errno. Any thread. */
int random_fill(void *to, size_t len_bytes) __attribute__((warn_unused_result));

/*
 * Makes random_fill() the source of all that OpenSSL draws itself in this process: content keys of CMS,
 * ephemeral keys, nonces of the TPM's and the token's library. Once, before other threads. 0 or -EIO.
 */
int random_for_openssl(void) __attribute__((warn_unused_result));

#endif
