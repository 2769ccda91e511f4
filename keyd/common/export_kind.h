/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* How the files of exports are told apart; for keyd and keyadm (docs/EXPORT.md). Pure functions. */
#ifndef KEYD_EXPORT_KIND_H
#define KEYD_EXPORT_KIND_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

/* What files begin with, but for the version's digit and a NUL: 16 bytes in all. */
#define EXPORT_MAGIC_OPEN   "TGTKEYD keys v"
#define EXPORT_MAGIC_SEALED "TGTKEYD seal v"

enum {
	EXPORT_MAGIC_BYTES = 16,
	EXPORT_SEALED_ID_AT = 40, /* where the number of a sealed one is, to be read by anybody */
};

enum export_kind {
	EXPORT_UNKNOWN,
	EXPORT_OPEN,   /* a package in the clear: package.h */
	EXPORT_SEALED, /* under a passphrase: envelope.h */
	EXPORT_CMS,    /* for recipients: recipients.h; any DER sequence is taken for one */
};

/* By how it begins: of any version. */
enum export_kind export_kind_of(const uint8_t *bytes, size_t len_bytes);

/* The number of a sealed export, as the file says; empty when it is none. */
void export_sealed_id(const uint8_t *bytes, size_t len_bytes, char id[PROTO_EXPORT_ID_BYTES]);

#endif
