/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The texts that cross keyd's borders: names and UUIDs checked before use, times and bytes made
 * readable. Pure functions, thread-safe.
 */
#ifndef KEYD_TEXT_H
#define KEYD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"

enum {
	TEXT_TIME_BYTES = 32,  /* "2026-01-31T12:00:00Z" and its NUL */
	TEXT_PIECE_BYTES = 12, /* an escape as "\u{10ffff}" and its NUL */
};

/* 1 to 63 of [A-Za-z0-9._-], not starting with '.' or '-': also safe as a file name. */
bool text_is_level_name(const char *name);

/* RFC 4122's text form: 36 characters, lower case. */
bool text_is_uuid(const char *uuid);

/* Valid UTF-8 (RFC 3629). */
bool text_is_utf8(const char *text);

/*
 * True for that form in either case. No new level gets such a name: it would be taken for a volume's. Levels of an
 * earlier keyd may have one.
 */
bool text_names_uuid(const char *name);

/*
 * Absolute, shorter than PROTO_PATH_BYTES, valid UTF-8 of which text_piece() escapes nothing: what JSON, logs
 * and terminals can carry unchanged.
 */
bool text_is_path(const char *path);

/*
 * What an earlier keyd took for a path: control characters beyond ASCII and what changes the direction of
 * text may be in it. Such a path is still read from records and exports; show it with text_piece().
 */
bool text_is_recorded_path(const char *path);

/*
 * The first character of s, which is not empty, as terminals and logs may have it: itself, or an escape for a
 * control character (\x1b, \u{9b}), for one that changes the direction of text, separates lines or is
 * invisible (\u{202e}), and for a byte that is no UTF-8 (\xff). Returns what follows it in s.
 */
const char *text_piece(const char *s, char piece[TEXT_PIECE_BYTES]);

/* Copies src to dst (cap bytes, always terminated) piece by piece; what has no room is left out. */
void text_escape(char *dst, size_t cap, const char *src);

/*
 * The first character of path that tgt cannot carry, or NULL: tgtadm splits its parameters at commas, tgt-admin hands
 * paths to a shell in double quotes, and targets.conf ends a value at '#' and drops spaces at its end.
 */
const char *text_tgt_refuses(const char *path);

/* Copies src to dst (cap bytes, always terminated), with '?' for every byte that is not printable
 * ASCII: for what a peer says about itself. */
void text_sanitize(char *dst, size_t cap, const char *src);

/* RFC 3339, UTC, seconds. */
void text_time(char out[TEXT_TIME_BYTES], int64_t unix_seconds);

/* Lower-case hexadecimal; out has 2 * len + 1 bytes. */
void text_hex(const uint8_t *bytes, size_t len, char *out);

/* A random (version 4) UUID. 0 or -errno. */
int text_new_uuid(char out[PROTO_UUID_BYTES]) __attribute__((warn_unused_result));

/* Copies src whole into dst[cap], the rest zeroed. -ENAMETOOLONG leaves dst empty. */
int text_copy(char *dst, size_t cap, const char *src) __attribute__((warn_unused_result));

#endif
