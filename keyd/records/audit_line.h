/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * One line of the audit log, as bytes (docs/KEYSTORE.md):
 *
 *   {"seq":7,…,"prev":"…","mac":"…","hash":"…"}
 *
 * "hash" is SHA-256 over the line without that member and the newline, "mac" HMAC-SHA-256 over the line
 * without both. A line that was written without a key has no "mac". Pure functions.
 */
#ifndef KEYD_AUDIT_LINE_H
#define KEYD_AUDIT_LINE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mac.h"

enum {
	AUDIT_LINE_BYTES_MAX =
		32768, /* a path with every byte escaped, and the rest, several times */
	AUDIT_HASH_BYTES = 65,
	AUDIT_HASH_CHARS = AUDIT_HASH_BYTES - 1,
};

/* What "prev" says in the first line. */
extern const char audit_no_prev[AUDIT_HASH_BYTES];

/* A line taken apart; points into it. */
struct audit_line {
	uint64_t seq;
	const char *prev; /* AUDIT_HASH_CHARS digits, as the next two */
	const char *mac;  /* NULL: none */
	const char *hash;
	size_t mac_covers;  /* bytes from the start that the code is about, without the brace */
	size_t hash_covers; /* the same for the hash */
};

/* Takes line[0 .. len), which ends with its newline, apart. 0 or -EBADMSG: no record. */
int audit_line_parse(const char *line, size_t len, struct audit_line *parsed)
	__attribute__((warn_unused_result));

/* hash = SHA-256 of line[0 .. covers) and a closing brace. 0, -EMSGSIZE, -EIO. */
int audit_line_hash(const char *line, size_t covers, char hash[AUDIT_HASH_BYTES])
	__attribute__((warn_unused_result));

/* The same with mac's key. */
int audit_line_mac(struct mac *mac, const char *line, size_t covers, char code[MAC_TEXT_BYTES])
	__attribute__((warn_unused_result));

/*
 * Completes a record: json[0 .. len) with its closing brace, of which "prev" is the last member,
 * becomes a line with "mac" (unless mac is NULL), "hash" and newline; hash gets the hash. Returns
 * its length, -EMSGSIZE, or -EIO.
 */
ssize_t audit_line_finish(const char *json, size_t len, struct mac *mac,
	char line[AUDIT_LINE_BYTES_MAX], char hash[AUDIT_HASH_BYTES])
	__attribute__((warn_unused_result));

#endif
