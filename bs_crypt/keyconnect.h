/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Getting a connection to keyd that is ready for ATTACH. */
#ifndef BS_CRYPT_KEYCONNECT_H
#define BS_CRYPT_KEYCONNECT_H

#include <stddef.h>

#include "proto.h"

/*
 * Connects to keyd's socket and exchanges HELLO; waits 4 s at most in all. On success the caller owns
 * *ch. -EKEYREJECTED: keyd denies this process; -EBUSY: this process has another connection, or keyd
 * has not read its end yet; any other error: it cannot be had now. The reason is in why. Any thread.
 */
int keyconnect_open(const char *socket, struct proto_channel *ch, char *why, size_t why_bytes)
	__attribute__((warn_unused_result));

#endif
