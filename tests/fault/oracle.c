/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * oracle IMAGE KEYFILE SECTOR_BYTES BYTES: the first BYTES of the LUN in the image to stdout, decrypted
 * as dm-crypt's aes-cbc-essiv:sha256 is defined, by OpenSSL alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "essiv.h"

int main(int argc, char **argv)
{
	struct essiv cipher;
	uint8_t sector[ESSIV_SECTOR_MAX];

	if (argc != 5) {
		fputs("usage: oracle IMAGE KEYFILE SECTOR_BYTES BYTES\n", stderr);
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
		     essiv_decrypt(&cipher, sector, sector_bytes, at) ||
		     fwrite(sector, sector_bytes, 1, stdout) != 1;
	}
	essiv_close(&cipher);
	return fclose(image) || fflush(stdout) || rc ? 1 : 0;
}
