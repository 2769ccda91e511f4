/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The ledger of exports: every key that left the machine in readable form, one JSON object a line.
 * A certificate of destruction lists the entries that it cannot reach.
 */
#ifndef KEYD_LEDGER_H
#define KEYD_LEDGER_H

#include <stdint.h>

#include <json-c/json.h>

#include "peer.h"

#define LEDGER_FILE "exports.log"

enum { LEDGER_ID_BYTES = 24 };

struct ledger_entry {
	const struct peer *by;
	const char *level;
	const char *volume; /* UUID */
	const char *fingerprint;
};

/*
 * Writes the entry durably, before the key leaves, and gives its number ("exp-" and 16 hexadecimal
 * digits). 0 or -errno: then the key must not leave.
 */
int ledger_append(int dir_fd, const struct ledger_entry *entry, char id[LEDGER_ID_BYTES])
	__attribute__((warn_unused_result));

/*
 * A new array with the entries of volume (a UUID), or of every volume of level when volume is NULL, or
 * all when level is NULL, too.
 * Lines that cannot be read count in *damaged. NULL when the ledger cannot be read or memory is out.
 */
struct json_object *ledger_outstanding(
	int dir_fd, const char *level, const char *volume, uint64_t *damaged);

#endif
