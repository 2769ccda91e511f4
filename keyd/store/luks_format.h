/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Makes the LUKS2 header of a volume with a new key (DESIGN 3) in memory, through libcryptsetup, without
 * device-mapper and without key slots.
 */
#ifndef KEYD_LUKS_FORMAT_H
#define KEYD_LUKS_FORMAT_H

#include <stdint.h>

#include "cipher.h"

struct luks_format {
	const char *uuid;
	const char *level; /* for the tgt-keyd token, which only people read */
	const struct cipher *cipher;
	uint32_t sector_bytes;
};

/*
 * *header_fd becomes a memfd, owned by the caller, that holds the header and nothing else, and that
 * nobody can change any more: its length is *data_offset_bytes, where the volume's data starts. key has fmt->cipher->key_bytes bytes. It takes
 * some 50 ms. 0 or -errno (-EIO when libcryptsetup refuses; the reason is logged).
 */
int luks_format(const struct luks_format *fmt, const uint8_t *key, int *header_fd,
	uint64_t *data_offset_bytes) __attribute__((warn_unused_result));

#endif
