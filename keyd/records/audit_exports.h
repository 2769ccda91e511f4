/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What the audit log says about keys that left and came: a set of texts, kept in memory while keyd runs, for the ledger to be
 * compared with. Of an export or import "ID SUBJECT" (a volume's UUID, or a level), of a vouching "vouched ID".
 */
#ifndef KEYD_AUDIT_EXPORTS_H
#define KEYD_AUDIT_EXPORTS_H

#include <stddef.h>

#include <json-c/json.h>

struct audit_event;

enum { AUDIT_EXPORT_BYTES = 128 };

/* The text for an export or import. */
void audit_export_text(char text[AUDIT_EXPORT_BYTES], const char *id, const char *subject);
void audit_vouching_text(char text[AUDIT_EXPORT_BYTES], const char *id);

/* Adds what a record is about, if it is about that. set is an object. 0 or -ENOMEM. */
int audit_exports_add(struct json_object *set, const struct audit_event *event)
	__attribute__((warn_unused_result));

/* The same for a line of the log. */
int audit_exports_add_line(struct json_object *set, const char *line)
	__attribute__((warn_unused_result));

#endif
