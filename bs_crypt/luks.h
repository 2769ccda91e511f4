/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The LUKS2 header of a volume, through libcryptsetup, in user space alone. The header is read once,
 * when the volume is opened; checking a key later touches memory only, so that a hung disk cannot
 * hold up the thread that also revokes keys.
 */
#ifndef BS_CRYPT_LUKS_H
#define BS_CRYPT_LUKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"
#include "store.h"

struct luks;

/* What the header says of its one data segment. */
struct luks_segment {
	char uuid[PROTO_UUID_BYTES];
	char cipher[PROTO_CIPHER_BYTES]; /* such as aes-cbc-essiv:sha256 */
	uint32_t sector_bytes;
	uint64_t data_offset_bytes;
};

/*
 * Reads the header of the file open as fd. The caller owns *luks. -EINVAL: no LUKS2 header.
 * -EKEYREJECTED: one with several segments, integrity protection, an IV offset, or a digest that
 * takes long, none of which tgt-crypt volumes have.
 */
int luks_read(int fd, struct luks **luks) __attribute__((warn_unused_result));

/* Lives as long as luks. */
const struct luks_segment *luks_segment(const struct luks *luks);

/* Whether key is the volume's, by the header's digest. 0, -EPERM if it is not, or -errno. */
int luks_verify_key(struct luks *luks, const uint8_t *key, size_t key_bytes)
	__attribute__((warn_unused_result));

/*
 * Whether the volume was ever used with discard=on: the standard's own persistent flag, allow-discards,
 * which cryptsetup(8) shows and heeds. Setting it writes the header, and waits until that is durable.
 * 0 or -errno.
 */
bool luks_discards(const struct luks *luks);
int luks_set_discards(struct luks *luks) __attribute__((warn_unused_result));

/*
 * Writes the header in header_fd, whose length is header_bytes, to the start of the store, durably. The
 * second of its two copies comes first, then the first one, then the area for key slots: whatever crashes,
 * one copy on the medium is whole, the old or the new. Waits for the device. 0 or -errno.
 */
int luks_write(struct store *store, int header_fd, uint64_t header_bytes)
	__attribute__((warn_unused_result));

/* NULL is allowed. */
void luks_free(struct luks *luks);

#endif
