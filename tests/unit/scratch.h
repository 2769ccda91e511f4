/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A directory of a test's own, gone after the test, and files in it. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[32];

static int scratch_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* cmocka's set-up and teardown. */
static inline int scratch_make(void **state)
{
	(void)state;
	(void)strcpy(scratch, "/tmp/keyd-unit.XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
	(void)state;
	return nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of name in the directory; static storage, used up by the fourth call after it. */
static inline const char *scratch_path(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

/* The whole file in a heap block with a NUL after it; NULL when it cannot be read. */
static inline char *scratch_read(const char *path, size_t *len)
{
	struct stat st;
	char *data = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*len = 0;
	if (fd >= 0 && !fstat(fd, &st) && (data = calloc(1, (size_t)st.st_size + 1)) &&
		read(fd, data, (size_t)st.st_size) != st.st_size) {
		free(data);
		data = NULL;
	}
	if (data)
		*len = (size_t)st.st_size;
	if (fd >= 0)
		(void)close(fd);
	return data;
}

static inline int scratch_write(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, data, len);
	(void)close(fd);
	return n == (ssize_t)len ? 0 : -1;
}

#endif
