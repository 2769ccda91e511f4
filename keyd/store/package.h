/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What an export holds once it is opened: levels with their keys and volumes, in the clear (the format:
 * docs/EXPORT.md). It lives in secret memory, in keyd and for a moment in keyadm, and nowhere else.
 *
 *   head | level, its volumes | level, its volumes | … | SHA-256 of all before
 *
 * All integers little-endian. Pure functions of their arguments.
 */
#ifndef KEYD_PACKAGE_H
#define KEYD_PACKAGE_H

#include <stddef.h>
#include <stdint.h>

#include "cipher.h"
#include "ledger.h"
#include "proto.h"
#include "record.h"
#include "wrap.h"

enum {
	PACKAGE_BYTES_MAX = 16 * 1024 * 1024,
	PACKAGE_HOST_BYTES = 64,
};

struct package_head {
	char id[LEDGER_ID_BYTES];
	char host[PACKAGE_HOST_BYTES]; /* where it was made; for people */
	int64_t made_at;               /* seconds since the epoch */
	uint32_t levels;
};

struct package_level {
	char name[PROTO_LEVEL_BYTES];
	char fingerprint[FINGERPRINT_BYTES];
	enum record_state state; /* RECORD_ACTIVE or RECORD_SUSPENDED */
	int64_t created_at;
	uint32_t volumes;   /* that follow */
	const uint8_t *key; /* WRAP_KEY_BYTES; borrowed */
};

struct package_volume {
	char uuid[PROTO_UUID_BYTES];
	char fingerprint[FINGERPRINT_BYTES];
	char path[PROTO_PATH_BYTES];
	const struct cipher *cipher;
	uint32_t sector_bytes;
	uint64_t data_offset_bytes;
	uint64_t size_bytes;
	int64_t created_at;
	const uint8_t *key; /* cipher->key_bytes; borrowed */
};

/* Writing: the caller adds what the head and each level announce, in order. */
struct package_writer {
	uint8_t *bytes; /* secret memory of the caller's */
	size_t cap_bytes;
	size_t used_bytes;
};

/* The length of a package with so much in it; more than PACKAGE_BYTES_MAX when it is too much. */
size_t package_bytes(size_t levels, size_t volumes, size_t path_bytes);

/* All 0, or -ENOSPC: the writer's memory is too small. -ENAMETOOLONG for a path beyond its bound. */
int package_begin(struct package_writer *w, const struct package_head *head)
	__attribute__((warn_unused_result));
int package_add_level(struct package_writer *w, const struct package_level *level)
	__attribute__((warn_unused_result));
int package_add_volume(struct package_writer *w, const struct package_volume *volume)
	__attribute__((warn_unused_result));
int package_end(struct package_writer *w) __attribute__((warn_unused_result));

/* Reading, front to back. */
struct package_reader {
	const uint8_t *at, *end; /* what is left, without the digest */
	uint32_t levels_left;
	uint32_t volumes_left; /* of the level read last */
};

/*
 * Checks all of it: lengths, digest, every field, every key against its fingerprint; after 0 the
 * functions below do not fail but at the end. -EBADMSG (cut, changed, or none at all),
 * -EPROTONOSUPPORT (of a later keyd), -EIO.
 */
int package_check(const uint8_t *bytes, size_t len_bytes) __attribute__((warn_unused_result));

/* 0, -EBADMSG, -EPROTONOSUPPORT, -EIO. */
int package_open(struct package_reader *r, const uint8_t *bytes, size_t len_bytes,
	struct package_head *head) __attribute__((warn_unused_result));

/* The next level, past what is left of the one before. 0, -ENODATA at the end, -EBADMSG. */
int package_next_level(struct package_reader *r, struct package_level *level)
	__attribute__((warn_unused_result));

/* The next volume of the level. 0, -ENODATA at its end, -EBADMSG. */
int package_next_volume(struct package_reader *r, struct package_volume *volume)
	__attribute__((warn_unused_result));

#endif
