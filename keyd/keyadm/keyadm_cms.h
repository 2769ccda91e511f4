/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Opening an export with a recipient's private key, which never leaves keyadm. */
#ifndef KEYD_KEYADM_CMS_H
#define KEYD_KEYADM_CMS_H

#include <stddef.h>
#include <stdint.h>

/*
 * One certificate in PEM from path becomes DER, at most cap_bytes, at to. 0 and *len_bytes, or a negative
 * errno: then the reason has been told on stderr.
 */
int keyadm_certificate(const char *path, uint8_t *to, size_t cap_bytes, size_t *len_bytes)
	__attribute__((warn_unused_result));

/*
 * Opens the CMS envelope der with the PEM private key in key_path, whose passphrase, if it has one, comes
 * from fd_text (keyadm_passphrase.h). *plain is secret memory that the caller frees. As above.
 */
int keyadm_cms_open(const uint8_t *der, size_t der_bytes, const char *key_path, const char *fd_text,
	uint8_t **plain, size_t *plain_bytes) __attribute__((warn_unused_result));

#endif
