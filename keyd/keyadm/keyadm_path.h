/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Files that keyadm opens by name, often as root. A name must not lead where another user wants: every directory on the
 * way belongs to root or the caller and nobody else can replace what is in it, every symbolic link on the way was made
 * by root or the caller, and a file's type is known before it is opened.
 *
 * The caller is the effective uid, and under sudo(8) also the user who called it. A directory that is writable for
 * others passes if it is sticky, or if the only other writer is the owner's private group.
 *
 * Functions that return a negative errno have reported the reason on stderr.
 */
#ifndef KEYD_KEYADM_PATH_H
#define KEYD_KEYADM_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct checked_path {
	int dir_fd;              /* O_PATH: the directory that name is in */
	bool shared;             /* others can create files in it, but not replace any */
	char name[NAME_MAX + 1]; /* no symbolic link if links were followed; may not exist */
};

/*
 * Walks to path from the root, or from the working directory, and checks the way. With follow_last a last part that is a
 * symbolic link is followed, too. After success, checked_path_close().
 */
int checked_path_find(struct checked_path *p, const char *path, bool follow_last)
	__attribute__((warn_unused_result));

void checked_path_close(struct checked_path *p);

/*
 * Opens the regular file or block device that path leads to, for flags (O_RDWR, …). Anything else is refused without
 * being opened. With exclusive a block device is opened with O_EXCL: the kernel refuses one that is mounted or mapped
 * (open(2)), -EBUSY. Its descriptor, or -errno.
 */
int keyadm_path_open(const char *path, int flags, bool exclusive)
	__attribute__((warn_unused_result));

/* Makes a new file; one that is there, or a symbolic link, is -EEXIST, the one error not reported. */
int keyadm_path_create(const char *path, int flags, mode_t mode)
	__attribute__((warn_unused_result));

/*
 * Opens a regular file or a pipe for reading; anything else is -EINVAL and not opened. Links are followed: reading changes
 * nothing. Its descriptor, or -errno, which the caller reports.
 */
int keyadm_path_read(const char *path) __attribute__((warn_unused_result));

#endif
