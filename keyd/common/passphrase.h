/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Reading a passphrase from a descriptor; for keyd and keyadm. */
#ifndef KEYD_PASSPHRASE_H
#define KEYD_PASSPHRASE_H

#include "proto.h"

/*
 * All of fd to its end into *passphrase (secret memory), without a newline at the end, if there is one.
 * 0, -ENODATA (empty), -E2BIG (more than PROTO_PASSPHRASE_BYTES), or -errno: then it is wiped.
 */
int passphrase_read(int fd, struct proto_passphrase *passphrase)
	__attribute__((warn_unused_result));

#endif
