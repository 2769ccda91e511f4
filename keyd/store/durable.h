/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Files that survive a crash whole or not at all, and files that are meant not to survive.
 *
 * All names are relative to an open directory and hold no '/'; symbolic links are not followed.
 * Return 0 or -errno.
 */
#ifndef KEYD_DURABLE_H
#define KEYD_DURABLE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes between reserve_begin() and reserve_end() may use the reserve (reserve.h); all others fail with -ENOSPC once it was used.
 */

/*
 * Writes name with mode 0600: temporary file, fsync, rename, fsync of the directory. After 0 the
 * new content is durable. After an error the caller must take neither the old nor the new content
 * for durable. What the file held before is overwritten in place, best effort.
 */
int durable_write(int dir_fd, const char *name, const void *data, size_t len_bytes)
	__attribute__((warn_unused_result));

/*
 * Creates name, which must be new, with mode 0600, and fsyncs it: for a directory that nobody reads yet.
 * That the name is there is durable only after durable_sync_dir().
 */
int durable_write_new(int dir_fd, const char *name, const void *data, size_t len_bytes)
	__attribute__((warn_unused_result));

/* The whole file into a new heap block, which the caller frees. -EFBIG above cap_bytes. */
int durable_read(int dir_fd, const char *name, size_t cap_bytes, uint8_t **data, size_t *len_bytes)
	__attribute__((warn_unused_result));

/*
 * Overwrites name in place, reads that back, discards its blocks where the file system can, unlinks
 * it and fsyncs the directory. A file that is not there is fine. When the overwriting fails the file
 * stays, so that it can be tried again, unless unlink_anyway is set; the error is returned in any case.
 */
int durable_erase(int dir_fd, const char *name, bool unlink_anyway)
	__attribute__((warn_unused_result));

/*
 * The same for one of many: the overwriting is durable, but that the name is gone only after the
 * caller's durable_sync_dir().
 */
int durable_erase_unsynced(int dir_fd, const char *name, bool unlink_anyway)
	__attribute__((warn_unused_result));

int durable_sync_dir(int dir_fd) __attribute__((warn_unused_result));

/* Creates directory name (mode 0700) and fsyncs dir_fd; one that is there already is fine. */
int durable_mkdir(int dir_fd, const char *name) __attribute__((warn_unused_result));

/* A handle of directory name, which the caller closes, or -errno. */
int durable_open_dir(int dir_fd, const char *name) __attribute__((warn_unused_result));

/* The temporary file that durable_write() of name uses, and that a crash in it may leave behind. */
int durable_temporary_name(const char *name, char *temporary, size_t cap)
	__attribute__((warn_unused_result));

/* The name that a temporary one stands for; borrowed from it. */
const char *durable_name_of_temporary(const char *temporary);

/* True for the names of such files. */
bool durable_is_temporary(const char *name);

/*
 * Changing many files at once: each new content is prepared beside the old one under a name with this
 * prefix, and after something else has decided for them, all are adopted, or dropped.
 */
#define DURABLE_NEXT_PREFIX ".next-"

/* Writes and fsyncs the content that name is to get. Durable after durable_sync_dir(). */
int durable_prepare(int dir_fd, const char *name, const void *data, size_t len_bytes)
	__attribute__((warn_unused_result));

/*
 * Puts what was prepared into the place of name, whose old content is overwritten before, best effort.
 * Durable after durable_sync_dir(). -ENOENT: nothing was prepared.
 */
int durable_adopt(int dir_fd, const char *name) __attribute__((warn_unused_result));

/* The name for which next_name was prepared, or NULL if it is not such a name. Points into it. */
const char *durable_prepared_for(const char *next_name);

/*
 * Appends line (with its newline) to fd, opened O_APPEND, and fdatasyncs. On failure the file is cut
 * back to *size_bytes; *size_bytes follows success. -EIO when even the cutting failed or the sync did:
 * the caller must not append to this file again.
 */
int durable_append(int fd, const void *line, size_t len_bytes, uint64_t *size_bytes)
	__attribute__((warn_unused_result));

/*
 * The names in dir_fd, which is neither moved nor closed: *names is the caller's, for closedir(3). 0 or -errno.
 */
int durable_open_names(int dir_fd, DIR **names) __attribute__((warn_unused_result));

/*
 * The next of them but "." and "..", in no order; NULL after the last. Valid until the next call. 0 or -errno: there
 * may be more.
 */
int durable_next_name(DIR *names, const char **name) __attribute__((warn_unused_result));

#endif
