/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What an administrator sends in chunks before EXPORT (certificates) or IMPORT (an export, perhaps opened
 * already: so it lives in secret memory). It belongs to the connection and ends with it.
 */
#ifndef KEYD_UPLOAD_H
#define KEYD_UPLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

enum { UPLOAD_BYTES_MAX = 17 * 1024 * 1024 }; /* the largest package in any envelope */

struct upload {
	uint8_t *bytes; /* secret memory, owned; NULL: none */
	size_t total_bytes;
	size_t have_bytes;
};

/*
 * Takes a chunk; one at offset 0 starts anew. 0, -EINVAL (not the next chunk), -EFBIG, -ENOMEM (or it
 * cannot be locked): after an error nothing is left of it.
 */
int upload_add(struct upload *upload, const struct proto_upload *chunk)
	__attribute__((warn_unused_result));

/* 0, or -ENODATA: there is none, or not all of it. */
int upload_complete(const struct upload *upload) __attribute__((warn_unused_result));

/* Wipes and frees it. Harmless on a zeroed one. */
void upload_clear(struct upload *upload);

#endif
