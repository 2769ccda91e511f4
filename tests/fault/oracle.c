/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * oracle IMAGE KEYFILE SECTOR_BYTES BYTES [thin]: the first BYTES of the LUN in the image to stdout, decrypted
 * as dm-crypt's aes-cbc-essiv:sha256 is defined, by OpenSSL alone. On a thin LUN a sector of zeros is none, and zeros.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "essiv.h"

static bool is_zero(const uint8_t *sector, size_t sector_bytes)
{
	return !sector[0] && !memcmp(sector, sector + 1, sector_bytes - 1);
}

int main(int argc, char **argv)
{
	struct essiv cipher;
	uint8_t sector[ESSIV_SECTOR_MAX];

	if (argc != 5 && argc != 6) {
		fputs("usage: oracle IMAGE KEYFILE SECTOR_BYTES BYTES [thin]\n", stderr);
		return 2;
	}
	size_t sector_bytes = strtoul(argv[3], NULL, 0);
	uint64_t left = strtoull(argv[4], NULL, 0);
	FILE *image = fopen(argv[1], "r");
	if (!image || sector_bytes > sizeof(sector) || essiv_open(&cipher, argv[2])) {
		fputs("oracle: cannot read the image or the key\n", stderr);
		return 1;
	}
	int rc = fseek(image, ESSIV_DATA_OFFSET, SEEK_SET);
	for (uint64_t at = 0; !rc && at < left; at += sector_bytes) {
		rc = fread(sector, sector_bytes, 1, image) != 1 ||
		     (!(argc == 6 && is_zero(sector, sector_bytes)) &&
			     essiv_decrypt(&cipher, sector, sector_bytes, at)) ||
		     fwrite(sector, sector_bytes, 1, stdout) != 1;
	}
	essiv_close(&cipher);
	return fclose(image) || fflush(stdout) || rc ? 1 : 0;
}
