/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What an import is given: a package, certificates of recipients, a share, by the first byte. */
#include "fuzz.h"

#include <string.h>

#include <openssl/sha.h>

#include "../../keyd/common/export_kind.h"
#include "../../keyd/store/package.h"
#include "../../keyd/store/recipients.h"
#include "../../keyd/keyadm/shares.h"

enum { LENGTH_AT = 116 };

/* A package whose length and digest are right, so that the rest of it is looked at. */
static void fuzz_package(uint8_t *bytes, size_t len)
{
	struct package_reader reader;
	struct package_head head;
	struct package_level level;
	struct package_volume volume;
	uint32_t levels = 0;

	if (len >= LENGTH_AT + 4 + SHA256_DIGEST_LENGTH) {
		const uint8_t length[] = {
			(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), 0};
		memcpy(bytes + LENGTH_AT, length, sizeof(length));
		FUZZ_ASSERT(SHA256(
			bytes, len - SHA256_DIGEST_LENGTH, bytes + len - SHA256_DIGEST_LENGTH));
	}
	if (package_check(bytes, len))
		return;
	FUZZ_ASSERT(!package_open(&reader, bytes, len, &head));
	while (!package_next_level(&reader, &level)) {
		levels++;
		FUZZ_ASSERT(memchr(level.name, 0, sizeof(level.name)) && level.key);
		for (uint32_t i = 0; i < level.volumes; i++)
			FUZZ_ASSERT(!package_next_volume(&reader, &volume) && volume.cipher);
	}
	FUZZ_ASSERT(levels == head.levels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct recipients recipients = {.count = 0};
	char why[RECIPIENTS_WHY_BYTES] = "";
	struct share share;

	if (!len)
		return 0;
	uint8_t *bytes = malloc(
		len > 1 ? len - 1 : 1); /* of exactly this length: what is read beyond it shows */
	FUZZ_ASSERT(bytes);
	memcpy(bytes, data + 1, len - 1);
	(void)export_kind_of(bytes, len - 1);
	switch (data[0]) {
	case 0:
		fuzz_package(bytes, len - 1);
		break;
	case 1:
		if (recipients_parse(&recipients, bytes, len - 1, why))
			FUZZ_ASSERT(memchr(why, 0, sizeof(why)));
		recipients_clear(&recipients);
		break;
	default:
		if (!share_parse((const char *)bytes, len - 1, &share))
			FUZZ_ASSERT(share.threshold <= share.count && share.count <= SHARES_MAX);
	}
	free(bytes);
	return 0;
}
