/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Secrets in NV indices of a TPM 2.0, through tpm2-tss (TPM 2.0 Library specification, part 3, section
 * 31). An index is written by the owner hierarchy and read by who knows its authorization, if it has one,
 * while the PCRs that it is bound to are as they were. What crosses the bus is encrypted (part 1, section
 * 21). Blocks for as long as the TPM takes. One thread.
 *
 * Errors: -EKEYREJECTED (authorization), -EBUSY (the TPM's lockout after wrong ones), -EACCES (PCRs),
 * -ENOENT (no such index), -EEXIST, -ENOSPC (no room in the TPM), -EOPNOTSUPP (the owner hierarchy
 * has a password), -ENODEV (no TPM answers), -EIO; what the TPM said is logged.
 */
#ifndef KEYD_TPM2_H
#define KEYD_TPM2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TPM2_AUTH_BYTES = 32, TPM2_DATA_BYTES_MAX = 512, TPM2_PCRS = 24 };

struct tpm2; /* a connection */

/* Who may read an index. */
struct tpm2_terms {
	uint32_t pcrs; /* bit i: PCR i of the SHA-256 bank as it is when the index is defined */
	const uint8_t *auth; /* TPM2_AUTH_BYTES; NULL: none */
};

/* tcti as in tss2-tctildr(3), "device:/dev/tpmrm0"; NULL: its default. Closed with tpm2_close(). */
int tpm2_open(const char *tcti, struct tpm2 **tpm) __attribute__((warn_unused_result));

void tpm2_close(struct tpm2 *tpm);

/* 1, 0, or -errno. */
int tpm2_exists(struct tpm2 *tpm, uint32_t index) __attribute__((warn_unused_result));

int tpm2_define(struct tpm2 *tpm, uint32_t index, const struct tpm2_terms *terms, size_t len_bytes)
	__attribute__((warn_unused_result));

/* All of it; len_bytes as defined. */
int tpm2_write(struct tpm2 *tpm, uint32_t index, const uint8_t *data, size_t len_bytes)
	__attribute__((warn_unused_result));

/* data is secret memory. -ENODATA: nothing was written yet. */
int tpm2_read(struct tpm2 *tpm, uint32_t index, const struct tpm2_terms *terms, uint8_t *data,
	size_t len_bytes) __attribute__((warn_unused_result));

int tpm2_undefine(struct tpm2 *tpm, uint32_t index) __attribute__((warn_unused_result));

#endif
