/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * All that keyadm says to people, made from keyd's JSON. Members that are missing show as "-"; control
 * characters never reach the terminal.
 */
#ifndef KEYD_KEYADM_FORMAT_H
#define KEYD_KEYADM_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

#include "proto.h"

enum { FORMAT_SIZE_BYTES = 32 };

/* Tells "keyadm: …" in one line on stderr. Returns err, a negative errno. */
int keyadm_refuse(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* 0 for a REPLY with PROTO_OK; otherwise tells its message and returns a negative errno. */
int keyadm_check_reply(const struct proto_msg *reply) __attribute__((warn_unused_result));

/* "10 GiB", "1.5 TiB", "1000 bytes". Returns out. */
const char *format_size(char out[FORMAT_SIZE_BYTES], uint64_t bytes);

/* Text as a terminal may have it: with escapes, as text_piece() makes them. No newline either. */
void format_text(FILE *out, const char *text);

/* The same for several lines: newlines stay. */
void format_lines(FILE *out, const char *text);

/* format_text() of what printf would write. */
void format_print(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A JSON text for a terminal: the same values, with \u escapes in place of what format_text() would escape. */
void format_json(FILE *out, const char *json);

/* "label           text" on a line of its own. */
void format_pair(FILE *out, const char *label, const char *text);

/* What a member of object says, "-" if there is none. Lives as long as object. */
const char *format_member(struct json_object *object, const char *key);

/* A member's number, or the length of the array it is; 0 if there is none. */
uint64_t format_count(struct json_object *object, const char *key);

/* What an erase class promises, in plain words; "" for one that is unknown here. Static storage. */
const char *format_erase_class(const char *erase_class);

/* The answers of the commands. */
void format_status(FILE *out, struct json_object *status);
void format_levels(FILE *out, struct json_object *levels);
void format_level(FILE *out, struct json_object *level);
void format_volumes(FILE *out, struct json_object *volumes);
void format_volume(FILE *out, struct json_object *volume);
void format_certificate(FILE *out, struct json_object *certificate);

/* True when it is of a key that was replaced: its volume may live. */
bool format_is_sanitization(struct json_object *certificate);

/* The audit log, one JSON object a line, as one line each for people. */
void format_audit(FILE *out, const char *lines);

#endif
