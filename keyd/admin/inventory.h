/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What keyd tells administrators about itself, its levels and volumes, as JSON (docs/PROTOCOL.md).
 * Everything returns a new object, or NULL when memory is out.
 */
#ifndef KEYD_INVENTORY_H
#define KEYD_INVENTORY_H

#include <json-c/json.h>

#include "answer.h"
#include "keyd.h"
#include "version.h"

struct json_object *inventory_status(const struct keyd *keyd);

/* With details: the certificate when the level is destroyed, the exported keys when it is not. */
struct json_object *inventory_level(
	const struct keyd *keyd, const struct level *level, bool details);
struct json_object *inventory_levels(const struct keyd *keyd);

struct json_object *inventory_volume(
	const struct keyd *keyd, const struct volume *volume, bool details);

/* Those with this path on record, 64 at most, as an array: the path names none of them. */
struct json_object *inventory_volumes_at(const struct keyd *keyd, const char *path);

/* An answer's next(): an array of volumes. */
char *inventory_next_volumes(const struct keyd *keyd, struct answer_pieces *pieces, bool *failed);

/* The verdict on the audit log. */
struct json_object *inventory_audit(const struct audit *audit, const struct audit_verdict *verdict);

#endif
