/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* How exports, imports and the ledger of both read. */
#ifndef KEYD_KEYADM_LEDGER_H
#define KEYD_KEYADM_LEDGER_H

#include <stdio.h>

#include <json-c/json.h>

void format_export(FILE *out, struct json_object *answer);
void format_import(FILE *out, struct json_object *answer);
void format_ledger(FILE *out, struct json_object *answer);

/* The lines of a certificate about copies of its keys that are elsewhere. */
void format_exports(FILE *out, struct json_object *certificate);

#endif
