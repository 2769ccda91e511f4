/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* UNMAP's parameter list, from an initiator: whatever is taken lies on the LUN, in whole blocks. */
#include "fuzz.h"

#include <errno.h>

#include "../../bs_crypt/provision.h"

static void check(const struct extent *extents, unsigned count, uint64_t lun_bytes, uint32_t unit)
{
	struct extent span = provision_span(extents, count);

	FUZZ_ASSERT(count <= UNMAP_DESCRIPTORS_MAX && !extents == !count);
	for (unsigned i = 0; i < count; i++) {
		const struct extent *e = &extents[i];
		FUZZ_ASSERT(e->len_bytes && e->len_bytes <= lun_bytes);
		FUZZ_ASSERT(e->first_byte <= lun_bytes - e->len_bytes);
		FUZZ_ASSERT(!(e->first_byte % unit) && !(e->len_bytes % unit));
		FUZZ_ASSERT(e->first_byte >= span.first_byte);
		FUZZ_ASSERT(e->first_byte + e->len_bytes <= span.first_byte + span.len_bytes);
	}
}

/* The first byte chooses the LUN: its blocks, and whether it is small or as large as can be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct extent *extents;
	unsigned count;

	if (!len || len > 1 + UINT16_MAX)
		return 0;
	uint32_t unit = data[0] & 1 ? 4096 : 512;
	uint64_t lun_bytes = data[0] & 2 ? (UINT64_C(1) << 62) : (UINT64_C(64) << 20);
	int rc = provision_parse_unmap(data + 1, len - 1, lun_bytes, unit, &extents, &count);
	FUZZ_ASSERT(!rc || rc == -EMSGSIZE || rc == -EINVAL || rc == -ERANGE);
	if (!rc)
		check(extents, count, lun_bytes, unit);
	else
		FUZZ_ASSERT(!extents && !count);
	free(extents);
	return 0;
}
