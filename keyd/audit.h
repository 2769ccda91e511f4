/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The audit log: every decision of keyd, one JSON object a line, each bound to the one before by a
 * hash (docs/KEYSTORE.md). A record is on the medium before audit_append() returns, and what it
 * permits happens after that.
 *
 * "hash" is the last member of a line: SHA-256, in hex, over the line's bytes without the member and
 * the newline, that is over {"seq":…,"prev":"…"}. "prev" is the hash of the line before, zeros in the
 * first.
 */
#ifndef KEYD_AUDIT_H
#define KEYD_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "peer.h"

#define AUDIT_FILE "audit.log"

enum { AUDIT_HASH_BYTES = 65, AUDIT_REASON_BYTES = 64 };

struct audit {
	int fd; /* -1: closed */
	uint64_t size_bytes;
	uint64_t next_seq;
	char head[AUDIT_HASH_BYTES]; /* hash of the last record */
	bool unusable;               /* a write failed in a way that cannot be taken back */
};

/* One decision. Strings are borrowed; NULL or empty ones are left out. */
struct audit_event {
	const char *event;     /* "level-create", "attach", … */
	const struct peer *by; /* NULL: keyd itself */
	const char *level;
	const char *volume; /* UUID */
	const char *path;
	const char *detail;
	const char *result; /* "ok", "denied", … */
};

struct audit_verdict {
	uint64_t records;        /* whole lines */
	uint64_t first_bad_line; /* 0: none */
	char reason[AUDIT_REASON_BYTES];
	char head[AUDIT_HASH_BYTES];
	uint64_t last_seq;
	uint64_t whole_bytes; /* up to the end of the last whole line */
	bool torn;            /* part of a line follows: without its newline, or with zeros in it */
};

/* Checks the log in dir_fd from its first line to its last. 0 (the verdict tells) or -errno. */
int audit_verify(int dir_fd, struct audit_verdict *verdict) __attribute__((warn_unused_result));

/*
 * Opens the log in dir_fd, made if it is missing. A torn last line, left by a crash, is moved to a
 * file of its own; that and any break of the chain are logged and recorded. 0 or -errno.
 */
int audit_open(struct audit *audit, int dir_fd) __attribute__((warn_unused_result));

/* 0 when the record is durable. After any error the decision must not be carried out. */
int audit_append(struct audit *audit, const struct audit_event *event)
	__attribute__((warn_unused_result));

void audit_close(struct audit *audit);

#endif
