/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * json-c with one way to fail: a member that cannot be added is missing, and the document says so by
 * json_add() returning false. All values are copied; member is taken over.
 */
#ifndef KEYD_JSONHELP_H
#define KEYD_JSONHELP_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

bool json_add(struct json_object *object, const char *key, struct json_object *member);
/* The same for a member that may be missing: NULL adds null. */
bool json_add_or_null(struct json_object *object, const char *key, struct json_object *member);

bool json_add_string(struct json_object *object, const char *key, const char *value);
bool json_add_number(struct json_object *object, const char *key, uint64_t value);
bool json_add_bool(struct json_object *object, const char *key, bool value);

/* RFC 3339; null for 0, "not known" or "not yet". */
bool json_add_time(struct json_object *object, const char *key, int64_t unix_seconds);

/* Appends item, taken over, to array. */
bool json_append(struct json_object *array, struct json_object *item);

/* The string member called key; "" when there is none. Borrowed. */
const char *json_string(struct json_object *object, const char *key);

/* The number member called key; 0 when there is none. */
uint64_t json_number(struct json_object *object, const char *key);

#endif
