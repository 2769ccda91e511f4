/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The LUKS2 header of a volume, written by somebody who can write the storage: the first byte says what the others
 * are, JSON or the binary header before it. Checksums are made right, or nothing would get past them.
 */
#include "fuzz.h"

#include <endian.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "../../bs_crypt/luks.h"
#include "../../keyd/store/luks_format.h"

/* LUKS2 on-disk format 1.1, 2.1 */
enum { HEADER_BYTES = 16384, BINARY_BYTES = 4096, CHECKSUM_AT = 448, CHECKSUM_BYTES = 64 };
enum { DATA_BYTES = 1 << 20 };

static uint8_t good[HEADER_BYTES];
static off_t file_bytes;
static const uint8_t key[CIPHER_KEY_MAX] = {1, 2, 3};
static const struct luks_format format = {
	.uuid = "11111111-2222-4333-8444-555555555555",
	.level = "red",
	.sector_bytes = 512,
};

static void make_good(void)
{
	struct luks_format fmt = format;
	uint64_t offset_bytes;
	int fd;

	fmt.cipher = cipher_default();
	FUZZ_ASSERT(!luks_format(&fmt, key, &fd, &offset_bytes));
	FUZZ_ASSERT(pread(fd, good, sizeof(good), 0) == (ssize_t)sizeof(good));
	file_bytes = (off_t)offset_bytes + DATA_BYTES;
	(void)close(fd);
}

static void put_checksum(uint8_t *header)
{
	memset(header + CHECKSUM_AT, 0, CHECKSUM_BYTES);
	SHA256(header, HEADER_BYTES, header + CHECKSUM_AT);
}

static void check(struct luks *luks)
{
	const struct luks_segment *segment = luks_segment(luks);

	FUZZ_ASSERT(memchr(segment->uuid, 0, sizeof(segment->uuid)));
	FUZZ_ASSERT(memchr(segment->cipher, 0, sizeof(segment->cipher)));
	int rc = luks_verify_key(luks, key, cipher_default()->key_bytes);
	FUZZ_ASSERT(rc <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t header[HEADER_BYTES];
	struct luks *luks;

	if (!file_bytes)
		make_good();
	if (!len)
		return 0;
	memcpy(header, good, sizeof(header));
	size_t at = data[0] & 1 ? 0 : BINARY_BYTES,
	       room = data[0] & 1 ? BINARY_BYTES : HEADER_BYTES - BINARY_BYTES;
	if (at)
		memset(header + at, 0, room);
	memcpy(header + at, data + 1, len - 1 < room ? len - 1 : room);
	put_checksum(header);

	int fd = memfd_create("volume", MFD_CLOEXEC);
	FUZZ_ASSERT(fd >= 0 && !ftruncate(fd, file_bytes));
	FUZZ_ASSERT(pwrite(fd, header, sizeof(header), 0) == (ssize_t)sizeof(header));
	if (!luks_read(fd, &luks)) {
		check(luks);
		luks_free(luks);
	}
	(void)close(fd);
	return 0;
}
