/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "durable.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reading.h"
#include "reserve.h"

enum {
	NAME_BYTES = 256,
	ERASE_CHUNK_BYTES = 4096,
};

static const char temporary_prefix[] = ".new-";

static int write_all(int fd, const uint8_t *data, size_t len_bytes)
{
	while (len_bytes) {
		ssize_t n = write(fd, data, len_bytes);
		if (n < 0 && (errno == EINTR || reserve_helps(-errno)))
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

/* Zeros over everything the open file holds, on the medium as far as fdatasync reaches. */
static int overwrite(int fd)
{
	static const uint8_t zeros[ERASE_CHUNK_BYTES];
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	for (off_t at = 0; at < st.st_size;) {
		size_t want = (size_t)(st.st_size - at);
		if (want > sizeof(zeros))
			want = sizeof(zeros);
		ssize_t n = pwrite(fd, zeros, want, at);
		if (n < 0 && (errno == EINTR || reserve_helps(-errno)))
			continue;
		if (n < 0)
			return -errno;
		at += n;
	}
	return fdatasync(fd) ? -errno : 0;
}

/* -EIO unless every byte reads back as zero, from the medium if the page cache lets go of it. */
static int check_overwritten(int fd)
{
	uint8_t chunk[ERASE_CHUNK_BYTES];
	ssize_t n;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (off_t at = 0; (n = pread(fd, chunk, sizeof(chunk), at)) > 0; at += n) {
		for (ssize_t i = 0; i < n; i++) {
			if (chunk[i])
				return -EIO;
		}
	}
	return n < 0 ? -errno : 0;
}

/* A hard link elsewhere is somebody's backup: only a file without a name is overwritten. */
static void overwrite_unlinked(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && !st.st_nlink && overwrite(fd)) {
		/* Best effort by contract: the new content is durable already. */
	}
}

static int write_new(int dir_fd, const char *name, const void *data, size_t len_bytes)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = write_all(fd, data, len_bytes);
	if (!rc && fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (rc)
		(void)unlinkat(dir_fd, name, 0);
	return rc;
}

/* Opening, and what a file system allocates only as it writes, may lack room, too. */
int durable_write_new(int dir_fd, const char *name, const void *data, size_t len_bytes)
{
	int rc;

	if (!reserve_permits())
		return -ENOSPC;
	do
		rc = write_new(dir_fd, name, data, len_bytes);
	while (reserve_helps(rc));
	return rc;
}

static int write_temporary(int dir_fd, const char *name, const void *data, size_t len_bytes)
{
	(void)unlinkat(dir_fd, name, 0);
	return durable_write_new(dir_fd, name, data, len_bytes);
}

int durable_write(int dir_fd, const char *name, const void *data, size_t len_bytes)
{
	char temporary[NAME_BYTES];

	int rc = durable_temporary_name(name, temporary, sizeof(temporary));
	if (!rc)
		rc = write_temporary(dir_fd, temporary, data, len_bytes);
	if (rc)
		return rc;
	/* Held open over the rename: the replaced content would otherwise lie in free blocks. */
	int replaced = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	do
		rc = renameat(dir_fd, temporary, dir_fd, name) ? -errno : 0;
	while (reserve_helps(rc));
	if (rc) {
		(void)unlinkat(dir_fd, temporary, 0);
	} else {
		rc = durable_sync_dir(dir_fd);
		if (!rc && replaced >= 0)
			overwrite_unlinked(replaced);
	}
	if (replaced >= 0)
		(void)close(replaced);
	return rc;
}

int durable_read(int dir_fd, const char *name, size_t cap_bytes, uint8_t **data, size_t *len_bytes)
{
	uint8_t *buf = NULL;
	struct stat st;
	ssize_t used;
	int rc;

	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = fstat(fd, &st) ? -errno : !S_ISREG(st.st_mode) ? -EBADMSG : 0;
	if (rc)
		goto out;
	rc = -EFBIG;
	if (st.st_size < 0 || (uint64_t)st.st_size > cap_bytes)
		goto out;
	rc = -ENOMEM;
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		goto out;
	used = read_up_to(fd, buf, (size_t)st.st_size);
	rc = used < 0 ? (int)used : -EBADMSG;
	if (used != st.st_size)
		goto out;
	buf[used] = '\0'; /* not counted: text files can be parsed in place */
	*data = buf;
	*len_bytes = (size_t)used;
	buf = NULL; /* caller owns it */
	rc = 0;
out:
	free(buf);
	(void)close(fd);
	return rc;
}

/* Discard is a request, which many file systems cannot fulfil. */
static void discard(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && st.st_size > 0)
		(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size);
}

int durable_sync_dir(int dir_fd)
{
	return fsync(dir_fd) ? -errno : 0;
}

int durable_erase_unsynced(int dir_fd, const char *name, bool unlink_anyway)
{
	int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 0;
	int rc = fd < 0 ? -errno : overwrite(fd);
	if (!rc)
		rc = check_overwritten(fd);
	if (!rc)
		discard(fd);
	if (fd >= 0)
		(void)close(fd);
	if (rc && !unlink_anyway)
		return rc;
	if (unlinkat(dir_fd, name, 0) && errno != ENOENT && !rc)
		rc = -errno;
	return rc;
}

int durable_erase(int dir_fd, const char *name, bool unlink_anyway)
{
	int rc = durable_erase_unsynced(dir_fd, name, unlink_anyway);
	/* Also for a name that is gone: unlinked before a crash, perhaps not durably. */
	int synced = durable_sync_dir(dir_fd);

	return rc ? rc : synced;
}

int durable_mkdir(int dir_fd, const char *name)
{
	int rc;

	if (!reserve_permits())
		return -ENOSPC;
	do
		rc = mkdirat(dir_fd, name, 0700) && errno != EEXIST ? -errno : 0;
	while (reserve_helps(rc));
	return rc ? rc : durable_sync_dir(dir_fd);
}

int durable_open_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int durable_open_names(int dir_fd, DIR **names)
{
	/* A descriptor of its own: closedir() closes it and readdir() moves it. */
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*names = fdopendir(fd);
	if (*names)
		return 0;
	int rc = -errno;
	(void)close(fd);
	return rc;
}

int durable_next_name(DIR *names, const char **name)
{
	const struct dirent *entry;

	do {
		errno = 0; /* NULL is the end, and an error */
		entry = readdir(names);
	} while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	*name = entry ? entry->d_name : NULL;
	return entry ? 0 : -errno;
}

int durable_temporary_name(const char *name, char *temporary, size_t cap)
{
	int n = snprintf(temporary, cap, "%s%s", temporary_prefix, name);
	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

const char *durable_name_of_temporary(const char *temporary)
{
	return temporary + sizeof(temporary_prefix) - 1;
}

bool durable_is_temporary(const char *name)
{
	return !strncmp(name, temporary_prefix, sizeof(temporary_prefix) - 1);
}

static int next_name(const char *name, char *next, size_t cap)
{
	int n = snprintf(next, cap, DURABLE_NEXT_PREFIX "%s", name);
	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

int durable_prepare(int dir_fd, const char *name, const void *data, size_t len_bytes)
{
	char next[NAME_BYTES];

	int rc = next_name(name, next, sizeof(next));
	return rc ? rc : write_temporary(dir_fd, next, data, len_bytes);
}

/* A hard link elsewhere is somebody's backup. */
static void overwrite_only_link(int dir_fd, const char *name)
{
	struct stat st;

	int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1 && overwrite(fd)) {
		/* Best effort by contract. */
	}
	(void)close(fd);
}

int durable_adopt(int dir_fd, const char *name)
{
	char next[NAME_BYTES];
	struct stat st;

	int rc = next_name(name, next, sizeof(next));
	if (rc)
		return rc;
	if (fstatat(dir_fd, next, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	overwrite_only_link(dir_fd, name);
	do
		rc = renameat(dir_fd, next, dir_fd, name) ? -errno : 0;
	while (reserve_helps(rc));
	return rc;
}

const char *durable_prepared_for(const char *next_name)
{
	size_t len = sizeof(DURABLE_NEXT_PREFIX) - 1;

	return strncmp(next_name, DURABLE_NEXT_PREFIX, len) ? NULL : next_name + len;
}

int durable_append(int fd, const void *line, size_t len_bytes, uint64_t *size_bytes)
{
	int rc = reserve_permits() ? write_all(fd, line, len_bytes) : -ENOSPC;
	if (rc) {
		/* A torn line would break the next reader: take it back. */
		if (ftruncate(fd, (off_t)*size_bytes) || fdatasync(fd))
			return -EIO;
		return rc;
	}
	/* After a failed sync nobody can say what is on the medium: see fsync(2), "Bugs". */
	if (fdatasync(fd))
		return -EIO;
	*size_bytes += len_bytes;
	return 0;
}
