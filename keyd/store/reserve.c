/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "reserve.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable.h"
#include "log.h"

enum {
	NAME_BYTES = 16,
	BLOCK_BYTES = 4096,
	/* Whatever the store holds: statements, records, their directories. */
	BASE_BYTES = 4 * 1024 * 1024,
	BASE_FILES = 32,
	/* A new root key seals all of these again, each in a file of its own. */
	LEVEL_BYTES = 32 * 1024,
	LEVEL_FILES = 4,
	/* Intent, certificate and tombstone of a level list its volumes; they are replaced by a file beside them. */
	LISTS = 8,
	LISTED_BYTES = 512,
};

static struct {
	int dir_fd;                      /* borrowed; -1: closed */
	unsigned files;                  /* that are there: 0 … files - 1 */
	unsigned wanted;                 /* by the last reserve_fill(); 0: none yet */
	uint64_t levels, volumes, bytes; /* of the store then, and what it needed */
	bool spent;                      /* some were given */
	unsigned depth;                  /* of reserve_begin() */
} reserve = {.dir_fd = -1};

static void name_of(char name[NAME_BYTES], unsigned number)
{
	(void)snprintf(name, NAME_BYTES, "%u", number);
}

/* Says in the folder itself, over restarts, whether a reserve that was whole has been used. */
static const char whole_mark[] = "whole", spent_mark[] = "spent";

static unsigned count_files(int fd)
{
	char name[NAME_BYTES];
	struct stat st;
	unsigned n = 0;

	for (name_of(name, n); !fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW); name_of(name, n))
		n++;
	return n;
}

void reserve_open(int dir_fd)
{
	int fd = durable_open_dir(dir_fd, RESERVE_DIR);

	reserve.dir_fd = dir_fd;
	reserve.files = fd < 0 ? 0 : count_files(fd);
	reserve.wanted = 0;
	reserve.bytes = 0;
	reserve.spent = fd >= 0 && !faccessat(fd, spent_mark, F_OK, AT_SYMLINK_NOFOLLOW);
	if (fd >= 0)
		(void)close(fd);
}

void reserve_close(void)
{
	reserve.dir_fd = -1;
	reserve.files = reserve.wanted = 0;
	reserve.spent = false;
}

static void measure(const struct keystore *ks)
{
	uint64_t volumes = 0, bytes = BASE_BYTES, files = BASE_FILES;

	for (size_t i = 0; i < ks->level_count; i++)
		volumes += ks->levels[i]->volume_count;
	if (reserve.bytes && reserve.levels == ks->level_count && reserve.volumes == volumes)
		return;
	for (size_t i = 0; i < ks->level_count; i++) {
		const struct level *level = ks->levels[i];
		bytes += LEVEL_BYTES;
		files += LEVEL_FILES;
		for (size_t k = 0; k < level->volume_count; k++) {
			const struct volume *volume = level->volumes[k];
			bytes += LISTS * (LISTED_BYTES + strlen(volume->path));
			/* Its tombstone and the like are sealed under the root key. */
			files += volume->state != KEY_ACTIVE || volume->sanitized;
		}
	}
	reserve.levels = ks->level_count;
	reserve.volumes = volumes;
	reserve.bytes = bytes;
	reserve.wanted = (unsigned)files;
}

/* A file of so many bytes, all of them on the disk. */
static int make_file(int fd, unsigned number, uint64_t bytes)
{
	char name[NAME_BYTES];
	struct stat st;

	name_of(name, number);
	int file = openat(fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0)
		return -errno;
	st.st_size = 0;
	int rc = fstat(file, &st) ? -errno : 0;
	if (!rc && (uint64_t)st.st_size < bytes)
		rc = -posix_fallocate(file, 0, (off_t)bytes);
	/* What was allocated in part is nobody's. */
	if (rc && st.st_size && ftruncate(file, st.st_size))
		log_warning("cannot take back what was added to " RESERVE_DIR "/%s", name);
	else if (rc && !st.st_size)
		(void)unlinkat(fd, name, 0);
	(void)close(file);
	return rc;
}

static int mark_whole(int fd)
{
	if (!renameat(fd, spent_mark, fd, whole_mark))
		return 0;
	int mark =
		errno == ENOENT ? openat(fd, whole_mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (mark < 0)
		return -errno;
	(void)close(mark);
	return 0;
}

static int make_files(void)
{
	uint64_t each = (reserve.bytes / reserve.wanted + BLOCK_BYTES) / BLOCK_BYTES * BLOCK_BYTES;

	if (mkdirat(reserve.dir_fd, RESERVE_DIR, 0700) && errno != EEXIST)
		return -errno;
	int fd = durable_open_dir(reserve.dir_fd, RESERVE_DIR);
	int rc = fd < 0 ? fd : 0;
	for (unsigned i = 0; !rc && i < reserve.wanted; i++) {
		rc = make_file(fd, i, each);
		if (!rc && reserve.files <= i)
			reserve.files = i + 1;
	}
	if (!rc)
		rc = mark_whole(fd);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int reserve_fill(const struct keystore *ks)
{
	unsigned wanted = reserve.wanted;
	uint64_t bytes = reserve.bytes;

	if (reserve.dir_fd < 0)
		return -EBADF;
	measure(ks);
	if (reserve_is_whole() && wanted == reserve.wanted && bytes == reserve.bytes)
		return 0;
	int rc = make_files();
	reserve.spent = rc ? reserve.spent : false;
	if (rc)
		reserve.bytes = 0; /* measured, and tried, again */
	return rc;
}

bool reserve_is_whole(void)
{
	return reserve.bytes && reserve.files >= reserve.wanted && !reserve.spent;
}

void reserve_begin(void)
{
	reserve.depth++;
}

void reserve_end(void)
{
	assert(reserve.depth);
	reserve.depth--;
}

bool reserve_permits(void)
{
	return reserve.depth || !reserve.spent;
}

bool reserve_helps(int rc)
{
	char name[NAME_BYTES];

	if ((rc != -ENOSPC && rc != -EDQUOT) || !reserve.depth || !reserve.files)
		return false;
	int fd = durable_open_dir(reserve.dir_fd, RESERVE_DIR);
	if (fd < 0)
		return false;
	if (!reserve.spent)
		log_error(
			"the state disk is full: keyd uses its reserve to suspend and destroy, and "
			"refuses to write anything else: make room on the disk of the key store");
	reserve.spent = true;
	if (renameat(fd, whole_mark, fd, spent_mark) && errno != ENOENT)
		log_warning("a restart may take the reserve for whole: %s", strerror(errno));
	name_of(name, --reserve.files);
	bool gone = !unlinkat(fd, name, 0);
	(void)close(fd);
	return gone;
}
