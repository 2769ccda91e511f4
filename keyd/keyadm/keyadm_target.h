/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The file or block device that becomes a volume: made, locked and allocated by keyadm with the
 * administrator's own rights, given its LUKS2 header, removed again if the creation fails.
 *
 * Functions that return a negative errno have told the reason on stderr already.
 */
#ifndef KEYD_KEYADM_TARGET_H
#define KEYD_KEYADM_TARGET_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto.h"

#define VOLUME_HEADER_BYTES ((uint64_t)16 << 20) /* LUKS2's default data offset; keyd keeps to it */
#define VOLUME_BYTES_MIN    ((uint64_t)1 << 20)
#define VOLUME_BYTES_MAX    ((uint64_t)1 << 62)

struct target {
	int fd;     /* read and write, holds an exclusive OFD lock on the whole file */
	int dir_fd; /* of the directory that path is in, checked (keyadm_path.h) */
	const char *path;
	bool created; /* by target_open(), so ours to remove */
	bool is_block;
	uint64_t size_bytes;               /* of what was there; 0 for a new file */
	const volatile sig_atomic_t *stop; /* if not zero, allocation ends with -EINTR */
};

/*
 * Makes path absolute with its folder's links resolved; its last part stays as it is. A folder that is
 * not there is an error unless path is absolute and must_exist is false.
 */
int target_resolve(const char *path, bool must_exist, char resolved[PROTO_PATH_BYTES])
	__attribute__((warn_unused_result));

/*
 * Creates path (absolute; it must outlive t) as a new 0600 file, or with force opens the regular file or
 * block device that is there, after a check of the way to it (keyadm_path.h). What somebody else uses is refused
 * (keyadm_users.h); the plugin and other keyadms hold an OFD lock. After success, target_close().
 */
int target_open(struct target *t, const char *path, bool force) __attribute__((warn_unused_result));

/*
 * Reserves total_bytes of space for a file, so that a write of an initiator cannot run out of it, and
 * shows progress on a terminal. What is in an existing file stays. On btrfs a new file is written in place
 * (no copy-on-write); -EOPNOTSUPP for an existing one that is not.
 */
int target_allocate(struct target *t, uint64_t total_bytes) __attribute__((warn_unused_result));

/* Makes a file total_bytes long without space for them. What is in an existing file stays. */
int target_extend(struct target *t, uint64_t total_bytes) __attribute__((warn_unused_result));

/*
 * Opens the file or block device of a volume, which a tgtd may have open, too. Another keyadm that changes it is
 * refused, and so is cryptsetup. After success, target_close() with keep.
 */
int target_open_volume(struct target *t, const char *path) __attribute__((warn_unused_result));

/* Called between the steps of a long allocation; an error, which it has told, ends it. */
struct target_watch {
	int (*on_step)(void *arg);
	void *arg;
};

/*
 * Reserves space from..to of a file for a volume that is to end there, and makes its length durable; a block device
 * is left as it is. After an error the file is as long as it was when it was opened.
 */
int target_grow(struct target *t, uint64_t from, uint64_t to, const struct target_watch *watch)
	__attribute__((warn_unused_result));

/* Takes the space back that target_grow() reserved. */
void target_shrink_back(const struct target *t);

/* Copies the header from header_fd and makes file, header and directory entry durable. */
int target_write_header(struct target *t, int header_fd, uint64_t header_bytes)
	__attribute__((warn_unused_result));

/* Closes, unlocks, and removes the file if target_open() created it and keep is false. */
void target_close(struct target *t, bool keep);

#endif
