/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The sealed head of the audit log: which record is the last one, authenticated with the log's key, so
 * that a log that was shortened shows (docs/KEYSTORE.md).
 *
 * Two slots are written in turn, each in a block of its own: a crash while one is written leaves the
 * other. The record is durable before the slot is, and audit_append() returns after both. So a log may
 * be ahead of its head by records that nobody acted on, and is never behind.
 */
#ifndef KEYD_AUDIT_HEAD_H
#define KEYD_AUDIT_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "audit_line.h"
#include "mac.h"

#define AUDIT_HEAD_FILE "audit.head"

struct audit_head {
	uint64_t seq;
	char hash[AUDIT_HASH_BYTES];
	unsigned slot; /* where it lies */
	/* The other slot is none: a crash while it was written, and then the log has a record after seq. */
	bool other_damaged;
};

/* 0, -ENOENT, -EBADMSG (no slot is good under this key), or -errno. */
int audit_head_read(int dir_fd, struct mac *mac, struct audit_head *head)
	__attribute__((warn_unused_result));

/* Makes the file, durably, or replaces it; both slots say the same. 0 or -errno. */
int audit_head_create(int dir_fd, struct mac *mac, uint64_t seq, const char *hash)
	__attribute__((warn_unused_result));

/* A descriptor for audit_head_write(), which the caller closes, or -errno. */
int audit_head_open(int dir_fd) __attribute__((warn_unused_result));

/* Puts a head into slot (0 or 1), durably. 0 or -errno: nobody knows what the slot holds then. */
int audit_head_write(int fd, struct mac *mac, unsigned slot, uint64_t seq, const char *hash)
	__attribute__((warn_unused_result));

#endif
