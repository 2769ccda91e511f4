/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Where keyadm gets a passphrase from. */
#ifndef KEYD_KEYADM_PASSPHRASE_H
#define KEYD_KEYADM_PASSPHRASE_H

#include <stdbool.h>

#include "proto.h"

#define KEYADM_CUSTODIES "file, passphrase, tpm2, pkcs11"

enum keyadm_asks {
	KEYADM_ASKS_NEVER,
	KEYADM_ASKS_ALWAYS,
	KEYADM_ASKS_WITH_PIN,  /* with --pin, or when a descriptor is given */
	KEYADM_ASKS_TOKEN_PIN, /* of a token that has one already: asked once */
	KEYADM_ASKS_UNKNOWN,
};

/* Whether a custody of this name needs a passphrase when it is entered; UNKNOWN: there is none such. */
enum keyadm_asks keyadm_custody_asks(const char *custody);

/*
 * The passphrase of ("key store", …), from the descriptor whose number fd_text is, or with NULL from the
 * terminal, without echo; twice, if it is a new one. *passphrase is in secret memory, and wiped on failure. 0, or a negative errno: then
 * the reason has been told on stderr.
 */
int keyadm_passphrase(const char *fd_text, bool is_new, const char *of,
	struct proto_passphrase *passphrase) __attribute__((warn_unused_result));

/* The same for the PIN of a token. */
int keyadm_token_pin(const char *fd_text, struct proto_passphrase *pin)
	__attribute__((warn_unused_result));

#endif
