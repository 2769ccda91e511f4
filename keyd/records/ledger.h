/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The ledger of exports: every key that left the machine or came to it, one JSON object a line, nothing
 * ever changed. A certificate of destruction lists the entries that it cannot reach: those for which
 * nobody has vouched, in a line of its own, that the copy was destroyed.
 *
 * The ledger is only as good as the audit log, which is authenticated and has a record of each entry: where they disagree, what is outstanding
 * is unknown (ledger_doubt()).
 */
#ifndef KEYD_LEDGER_H
#define KEYD_LEDGER_H

#include <stdint.h>

#include <json-c/json.h>

#include "audit.h"
#include "peer.h"

#define LEDGER_FILE "exports.log"

enum { LEDGER_ID_BYTES = 24 }; /* "exp-", 16 hexadecimal digits and NULs */

/* Strings are borrowed; NULL ones are left out. */
struct ledger_entry {
	const char *id;
	const char *kind; /* "volume-key", "export", "import" (a copy is where it came from) */
	const struct peer *by;
	const char *level;
	const char *volume; /* UUID; NULL: the level with all its volumes, later ones too */
	const char *fingerprint;
	const char *to;                 /* "recipients", "passphrase", "passphrase, split 3 of 5" */
	struct json_object *recipients; /* NULL: none; an array otherwise, borrowed */
	const char *host;               /* where an import was made */
	const char *sha256;             /* of the file that left */
};

/* A new number for an export. 0 or -EIO. */
int ledger_new_id(char id[LEDGER_ID_BYTES]) __attribute__((warn_unused_result));

/* Writes the entry durably, before the key leaves. 0 or -errno: then the key must not leave. */
int ledger_append(int dir_fd, const struct ledger_entry *entry) __attribute__((warn_unused_result));

/* Writes, durably, that by vouches for the destruction of the copy called id. 0 or -errno. */
int ledger_vouch(int dir_fd, const struct peer *by, const char *id)
	__attribute__((warn_unused_result));

/*
 * A new array with all entries; those vouched for have a member "destroyed" that tells by whom. Lines
 * that cannot be read count in *damaged. NULL when the ledger cannot be read or memory is out.
 */
struct json_object *ledger_list(int dir_fd, uint64_t *damaged);

/*
 * Those that concern volume (a UUID) of level, or level with any of its volumes when volume is NULL, or
 * all when level is NULL, too, and
 * for which nobody has vouched. As above.
 */
struct json_object *ledger_outstanding(
	int dir_fd, const char *level, const char *volume, uint64_t *damaged);

/*
 * Why nobody can tell from the ledger which exports are outstanding; static storage. NULL: it has every export, import and volume key
 * that the audit log has, no vouching that the log does not have, and the log is authentic. An entry that only the ledger
 * has is no reason: keyd may have died before its record, and it counts as outstanding.
 */
const char *ledger_doubt(int dir_fd, const struct audit *audit);

/* The same, for which somebody has. */
struct json_object *ledger_vouched(int dir_fd, const char *level, const char *volume);

#endif
