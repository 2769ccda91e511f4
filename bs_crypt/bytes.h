/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Numbers as SCSI has them: big-endian, of any number of bytes up to eight. */
#ifndef BS_CRYPT_BYTES_H
#define BS_CRYPT_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t get_be(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

static inline void put_be(uint8_t *p, size_t bytes, uint64_t value)
{
	while (bytes--) {
		p[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

#endif
