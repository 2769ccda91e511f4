/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyadm certificate: the key that certificates are verified with, and verifying without keyd. */
#ifndef KEYD_KEYADM_CERTIFICATE_H
#define KEYD_KEYADM_CERTIFICATE_H

#include "client.h"
#include "keyadm_args.h"

/* Prints the public key that the answer to STATUS has, or puts it into the new file --out. 0 or -errno, told. */
int keyadm_certificate_key(const struct keyadm_args *args, const struct client *c)
	__attribute__((warn_unused_result));

/* Verifies the certificate in the file that word[2] names with the public key of --key. 0 or -errno, told. */
int keyadm_certificate_verify(const struct keyadm_args *args) __attribute__((warn_unused_result));

#endif
