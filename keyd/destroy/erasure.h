/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What destroying a key does on the medium, step by step. Every step may be repeated after a crash in
 * or after it; destroy.c puts them in order. A scope is a level with all its volumes, or one volume.
 */
#ifndef KEYD_ERASURE_H
#define KEYD_ERASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keystore.h"
#include "record.h"

struct scope {
	struct level *level;
	struct volume *volume; /* of that level; NULL: the whole level */
};

struct erase_class {
	const char *name; /* NIST SP 800-88: "clear", "purge" */
	const char *reason;
};

/* What destroying the scope does to remnants of its keys. Static storage. */
struct erase_class erasure_class(const struct keystore *ks, const struct scope *scope);

/*
 * Writes the intent, or replaces it: state RECORD_REVOKING or RECORD_ERASING, body the draft
 * certificate. Once it is durable no key of the scope may leave. 0 or -errno.
 */
int erasure_write_intent(const struct keystore *ks, const struct scope *scope,
	enum record_state state, const char *body) __attribute__((warn_unused_result));

/* 0 and the record, which the caller clears; -ENOENT; -EBADMSG. */
int erasure_read_intent(const struct keystore *ks, const struct scope *scope, struct record *rec)
	__attribute__((warn_unused_result));

/* The same for a request, which changes nothing for the keys; writing replaces. 0 or -errno. */
int erasure_write_request(const struct keystore *ks, const struct scope *scope, const char *body)
	__attribute__((warn_unused_result));
int erasure_read_request(const struct keystore *ks, const struct scope *scope, struct record *rec)
	__attribute__((warn_unused_result));
int erasure_remove_request(const struct keystore *ks, const struct scope *scope)
	__attribute__((warn_unused_result));

/* Begins as {0}. */
struct erasure_progress {
	unsigned attempts; /* before this one */
	bool last_attempt; /* unlink what cannot be overwritten */
	uint64_t erased;   /* files */
	int first_error;   /* 0 or -errno */
};

/*
 * Errors of a medium may pass: true when all is to be gone over once more, and progress is at its start again.
 * What stays after the last attempt stays in first_error.
 */
bool erasure_try_again(struct erasure_progress *progress);

/*
 * Erases up to budget key files of the scope, the level's own first: without it the others are lost
 * already. 1: call again; 0: done as far as it can be, see first_error.
 */
int erasure_step(const struct keystore *ks, const struct scope *scope, unsigned budget,
	struct erasure_progress *progress) __attribute__((warn_unused_result));

struct erasure_findings {
	uint64_t files_left;
	bool key_opens; /* the key could still be unwrapped */
};

/* Looks for what erasure_step() should have left nothing of. 0 or -errno. */
int erasure_verify(const struct keystore *ks, const struct scope *scope,
	struct erasure_findings *findings) __attribute__((warn_unused_result));

/*
 * Where the custody can forget: replaces the root key, without the scope's keys, which are destroying
 * and so are not wrapped again. Errors of rewrap_store().
 */
int erasure_renew_root(struct keystore *ks, const struct scope *scope)
	__attribute__((warn_unused_result));

/*
 * Where the custody has a key of its own for each level in a device: destroys the level's there, and looks
 * that it is gone. 0; -EREMOTEIO (the device does not answer) or -errno: it is to be tried again.
 */
int erasure_destroy_in_device(struct keystore *ks, const struct scope *scope)
	__attribute__((warn_unused_result));

/* Final: the name, or the volume, cannot come back. 0 or -errno. */
int erasure_write_tombstone(const struct keystore *ks, const struct scope *scope,
	int64_t destroyed_at, const char *body) __attribute__((warn_unused_result));

int erasure_write_certificate(const struct keystore *ks, const struct scope *scope,
	const char *json) __attribute__((warn_unused_result));

/* The certificate's text in a heap block, which the caller frees. 0, -ENOENT, or -errno. */
int erasure_read_certificate(const struct keystore *ks, const struct scope *scope, char **json)
	__attribute__((warn_unused_result));

/* Also the statement of an earlier sanitization: the tombstone says more. */
int erasure_remove_intent(const struct keystore *ks, const struct scope *scope)
	__attribute__((warn_unused_result));

/*
 * The statement about a sanitization of scope->volume (sanitize.h): state RECORD_REVOKING, RECORD_ERASING,
 * RECORD_HEADER_DUE or RECORD_RENEWED, body the certificate or its draft. Writing replaces. 0 or -errno.
 */
int erasure_write_sanitize(const struct keystore *ks, const struct scope *scope,
	enum record_state state, const char *body) __attribute__((warn_unused_result));
int erasure_read_sanitize(const struct keystore *ks, const struct scope *scope, struct record *rec)
	__attribute__((warn_unused_result));

/* As erasure_write_certificate() and erasure_read_certificate(), of the volume's sanitization number. */
int erasure_write_sanitize_certificate(const struct keystore *ks, const struct volume *volume,
	uint32_t number, const char *json) __attribute__((warn_unused_result));
int erasure_read_sanitize_certificate(const struct keystore *ks, const struct volume *volume,
	uint32_t number, char **json) __attribute__((warn_unused_result));

#endif
