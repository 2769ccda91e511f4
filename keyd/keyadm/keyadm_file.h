/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Files with keys in them, or sealed ones: made new, never half, never through stdio's buffers. Functions
 * that return a negative errno have told the reason on stderr.
 */
#ifndef KEYD_KEYADM_FILE_H
#define KEYD_KEYADM_FILE_H

#include <stddef.h>
#include <stdint.h>

/* A new file, mode 0600; an existing one is never overwritten. Its descriptor, or -errno. */
int keyadm_file_create(const char *path) __attribute__((warn_unused_result));

/* Appends bytes. */
int keyadm_file_write(int fd, const char *path, const void *bytes, size_t len_bytes)
	__attribute__((warn_unused_result));

/* Makes the file and its name durable. */
int keyadm_file_sync(int fd, const char *path) __attribute__((warn_unused_result));

/* Closes fd, unless it is -1. With an error the file is overwritten and removed first. */
void keyadm_file_end(int fd, const char *path, int err);

/* All of the file ("-": standard input), up to cap_bytes, into secret memory that the caller frees. */
int keyadm_file_read(const char *path, size_t cap_bytes, uint8_t **bytes, size_t *len_bytes)
	__attribute__((warn_unused_result));

#endif
