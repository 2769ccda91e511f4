/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What keyadm_format*.c share: labels and values below each other. */
#ifndef KEYD_KEYADM_FORMAT_PRIVATE_H
#define KEYD_KEYADM_FORMAT_PRIVATE_H

#include <stddef.h>
#include <stdio.h>

#include <json-c/json.h>

enum { PAIR_LABEL_WIDTH = 15 };

enum value_kind {
	VALUE_TEXT,
	VALUE_OPTIONAL, /* a text that need not be there, and is not shown then */
	VALUE_COUNT,
	VALUE_SIZE,
};

struct value {
	const char *label;
	const char *key;
	enum value_kind kind;
};

/* The member of object that is an array; NULL if there is none. */
struct json_object *array_of(struct json_object *object, const char *key);

/* How many items array has; 0 for NULL and what is no array. */
size_t length_of(struct json_object *array);

void put_pairs(FILE *out, struct json_object *object, const struct value *pairs, size_t count);
#define PAIRS(out, object, pairs) put_pairs(out, object, pairs, sizeof(pairs) / sizeof((pairs)[0]))

/* Each process, or volume, of an array on its own line, the first after label. */
void put_processes(FILE *out, const char *label, struct json_object *processes);
void put_volumes(FILE *out, struct json_object *volumes, const char *label);

#endif
