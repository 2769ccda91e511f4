/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A key store for fuzz targets, the same each time but for its keys: level red with a volume, level blue suspended with one,
 * level gone destroyed; audit log, ledger and holders. In memory (/dev/shm).
 */
#ifndef TESTS_FUZZ_LAB_H
#define TESTS_FUZZ_LAB_H

#include <stddef.h>
#include <stdint.h>

enum { LAB_FILES_MAX = 32, LAB_PATH_BYTES = 160 };

struct lab_file {
	char path[LAB_PATH_BYTES]; /* in the store */
	uint8_t *data;
	size_t len;
};

struct lab {
	char dir[64];
	char volume[40]; /* UUID of red's */
	uint8_t key[64]; /* its volume's */
	struct lab_file files[LAB_FILES_MAX];
	size_t file_count;
};

/* Makes the store at the first call. */
struct lab *lab_get(void);

/* Puts the store's directory into its first state, whatever was done to it. */
void lab_reset(const struct lab *lab);

/* Replaces, or makes, one file. */
void lab_write(const struct lab *lab, const char *path, const void *data, size_t len);

#endif
