/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The two copies of the LUKS2 header of a file or block device, as keyd makes them: 16 KiB each, one after the other.
 * They are somebody else's text: what is read here names a volume, and decides nothing. Reading changes nothing.
 */
#ifndef KEYD_KEYADM_HEADER_H
#define KEYD_KEYADM_HEADER_H

#include <stdint.h>

#include "luks.h"

enum { HEADER_COPY_BYTES = 16 * 1024, HEADER_COPIES = 2 };

struct header {
	uint8_t copy[HEADER_COPIES][HEADER_COPY_BYTES];
};

/* What fd, a file or block device, begins with; past its end header, which was zeros, stays. 0 or -errno. */
int header_read(int fd, struct header *header) __attribute__((warn_unused_result));

/*
 * What the header says, from whichever copy is whole; from the newer one if both are. The UUID is one by its form.
 * 0; -EINVAL: no LUKS2 header, or none of keyd's making; or -errno.
 */
int header_segment(const struct header *header, struct luks_segment *segment)
	__attribute__((warn_unused_result));

#endif
