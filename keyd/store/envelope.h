/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * An export on its way: a package (package.h) sealed under a passphrase, by keyd, which also opens it.
 * The other envelope, CMS for recipients' certificates, is in recipients.h. The format: docs/EXPORT.md.
 */
#ifndef KEYD_ENVELOPE_H
#define KEYD_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "ledger.h"
#include "proto.h"

/*
 * Seals plain into *file, a new heap block (no plaintext in it) that the caller frees. Takes up to a
 * second. 0, -EKEYREJECTED (the passphrase is too short), or -errno.
 */
int envelope_seal(const uint8_t *plain, size_t plain_bytes, const char id[LEDGER_ID_BYTES],
	const struct proto_passphrase *passphrase, uint8_t **file, size_t *file_bytes)
	__attribute__((warn_unused_result));

/*
 * Opens file into *plain, secret memory that the caller frees. Takes as long. 0, -EBADMSG (damaged),
 * -EPROTONOSUPPORT (of a later keyd), -EKEYREJECTED (not the passphrase), or -errno.
 */
int envelope_open(const uint8_t *file, size_t file_bytes, const struct proto_passphrase *passphrase,
	uint8_t **plain, size_t *plain_bytes) __attribute__((warn_unused_result));

#endif
