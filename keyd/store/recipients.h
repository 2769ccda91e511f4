/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The envelope of an export for people who have a certificate: CMS AuthEnvelopedData (RFC 5083, RFC 5652)
 * with AES-256-GCM, the content key for each recipient under RSA-OAEP (RFC 3560) or ECDH (RFC 5753).
 */
#ifndef KEYD_RECIPIENTS_H
#define KEYD_RECIPIENTS_H

#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>
#include <openssl/x509.h>

enum {
	RECIPIENTS_MAX = 16,
	RECIPIENT_SUBJECT_BYTES = 256,
	RECIPIENT_SHA256_BYTES = 65,
	RECIPIENTS_WHY_BYTES = 384,
};

struct recipient {
	X509 *certificate;                     /* owned */
	char subject[RECIPIENT_SUBJECT_BYTES]; /* printable ASCII */
	char sha256[RECIPIENT_SHA256_BYTES];   /* of the certificate, in hex */
};

struct recipients {
	struct recipient items[RECIPIENTS_MAX];
	size_t count;
};

/*
 * Takes certificates, DER, one after the other. 0; -EINVAL when one is none, or is not fit to be sent
 * keys to (not valid now, another use, weak key): why tells what to do; -EIO. Then recipients_clear().
 */
int recipients_parse(struct recipients *to, const uint8_t *der, size_t der_bytes,
	char why[RECIPIENTS_WHY_BYTES]) __attribute__((warn_unused_result));

/* [{"subject": …, "sha256": …}, …]; NULL: out of memory. */
struct json_object *recipients_json(const struct recipients *to);

/*
 * Seals plain into *file, DER, a new heap block that the caller frees. Plaintext goes from plain straight
 * into the cipher. 0, -ENOMEM, or -EIO.
 */
int recipients_seal(const struct recipients *to, const uint8_t *plain, size_t plain_bytes,
	uint8_t **file, size_t *file_bytes) __attribute__((warn_unused_result));

/* Frees the certificates. Harmless on a zeroed one. */
void recipients_clear(struct recipients *to);

#endif
