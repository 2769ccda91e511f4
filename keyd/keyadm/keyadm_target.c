/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/magic.h>

#include "keyadm_format.h"
#include "keyadm_path.h"
#include "keyadm_users.h"
#include "text.h"

enum {
	ALLOCATE_STEP_BYTES = 256 * 1024 * 1024,
	COPY_BYTES = 64 * 1024,
	ZERO_BYTES = 1024 * 1024,
};

/* The last part of a path that names a file; NULL for "", "/", ".", ".." and "x/". */
static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	return *base && strcmp(base, ".") != 0 && strcmp(base, "..") != 0 ? base : NULL;
}

static int resolve_folder(
	const char *path, const char *base, bool must_exist, char folder[PATH_MAX])
{
	char given[PROTO_PATH_BYTES];
	size_t len = (size_t)(base - path);

	memcpy(given, path, len);
	given[len] = '\0';
	if (realpath(len ? given : ".", folder))
		return 0;
	if (must_exist || path[0] != '/')
		return keyadm_refuse(-errno, "%s: %s", len ? given : ".", strerror(errno));
	given[len > 1 ? len - 1 : len] = '\0'; /* its '/' */
	memcpy(folder, given, len + 1);
	return 0;
}

int target_resolve(const char *path, bool must_exist, char resolved[PROTO_PATH_BYTES])
{
	const char *base = last_part(path);
	char folder[PATH_MAX];

	if (!base)
		return keyadm_refuse(-EINVAL, "%s: this names no file", path);
	if (strlen(path) >= PROTO_PATH_BYTES)
		return keyadm_refuse(-ENAMETOOLONG, "the path is longer than 4095 bytes");
	int err = resolve_folder(path, base, must_exist, folder);
	if (err)
		return err;
	int len = snprintf(
		resolved, PROTO_PATH_BYTES, "%s/%s", strcmp(folder, "/") ? folder : "", base);
	if (len < 0 || len >= PROTO_PATH_BYTES)
		return keyadm_refuse(-ENAMETOOLONG, "the path is longer than 4095 bytes");
	if (!text_is_utf8(resolved))
		return keyadm_refuse(
			-EINVAL, "%s: the path is not UTF-8: choose another", resolved);
	/* A volume that an earlier keyd recorded can still be named. */
	if (!(must_exist ? text_is_path : text_is_recorded_path)(resolved))
		return keyadm_refuse(-EINVAL,
			"%s: the path holds control characters, or such that change the direction "
			"of text or are invisible: choose another",
			resolved);
	return 0;
}

/* Holding the lock keeps a tgtd from opening the volume before it is complete. */
static int lock_target(const struct target *t)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(t->fd, F_OFD_SETLK, &lock))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return keyadm_refuse(-EBUSY,
			"%s is in use: take its LUN away from tgtd first, or choose another path",
			t->path);
	return keyadm_refuse(-errno, "%s cannot be locked: %s", t->path, strerror(errno));
}

static int measure(struct target *t)
{
	struct stat st;

	if (fstat(t->fd, &st))
		return keyadm_refuse(-errno, "%s: %s", t->path, strerror(errno));
	t->is_block = S_ISBLK(st.st_mode);
	t->size_bytes = (uint64_t)st.st_size;
	if (t->is_block && ioctl(t->fd, BLKGETSIZE64, &t->size_bytes))
		return keyadm_refuse(
			-errno, "%s: its size cannot be read: %s", t->path, strerror(errno));
	if (!t->is_block && !S_ISREG(st.st_mode))
		return keyadm_refuse(-EINVAL, "%s is neither a file nor a block device", t->path);
	return 0;
}

static int open_or_create(struct target *t, bool force)
{
	t->fd = keyadm_path_create(t->path, O_RDWR, S_IRUSR | S_IWUSR);
	t->created = t->fd >= 0;
	if (t->fd != -EEXIST)
		return t->created ? 0 : t->fd;
	if (!force)
		return keyadm_refuse(-EEXIST,
			"%s exists: choose another path, or lose what is in it with --force",
			t->path);
	t->fd = keyadm_path_open(t->path, O_RDWR, true);
	return t->fd < 0 ? t->fd : 0;
}

/* For fsync(2): of the folder, which was checked on the way to the file. */
static int open_folder(struct target *t)
{
	struct checked_path p;

	int err = checked_path_find(&p, t->path, false);
	if (err)
		return err;
	t->dir_fd = openat(p.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dir_fd < 0)
		err = keyadm_refuse(-errno, "%s: %s", t->path, strerror(errno));
	checked_path_close(&p);
	return err;
}

int target_open(struct target *t, const char *path, bool force)
{
	*t = (struct target){.fd = -1, .dir_fd = -1, .path = path};
	int err = open_folder(t);
	if (!err)
		err = open_or_create(t, force);
	if (!err)
		err = measure(t);
	if (!err && !t->created)
		err = keyadm_refuse_in_use(t->fd, t->path);
	if (!err)
		err = lock_target(t);
	if (err)
		target_close(t, false);
	return err;
}

/*
 * Not the plugin's lock, which a LUN may hold: the flock(2) of cryptsetup, which keeps other keyadms and
 * changes of the header out.
 */
static int open_shared(struct target *t)
{
	t->fd = keyadm_path_open(t->path, O_RDWR, false);
	if (t->fd < 0)
		return t->fd;
	if (!flock(t->fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return keyadm_refuse(-EBUSY,
			"%s is being changed by another keyadm or by cryptsetup: try again when "
			"that is done",
			t->path);
	return keyadm_refuse(-errno, "%s cannot be locked: %s", t->path, strerror(errno));
}

int target_open_volume(struct target *t, const char *path)
{
	*t = (struct target){.fd = -1, .dir_fd = -1, .path = path};
	int err = open_shared(t);

	if (!err)
		err = measure(t);
	if (err)
		target_close(t, true);
	return err;
}

void target_close(struct target *t, bool keep)
{
	if (t->created && !keep && !unlinkat(t->dir_fd, last_part(t->path), 0))
		(void)fsync(t->dir_fd);
	if (t->fd >= 0)
		(void)close(t->fd);
	if (t->dir_fd >= 0)
		(void)close(t->dir_fd);
	t->fd = t->dir_fd = -1;
}

static int write_at(int fd, const uint8_t *bytes, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		bytes += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* For file systems that cannot reserve space. Not posix_fallocate(3)'s way of doing the same, which
 * tells nothing for hours and cannot be stopped. */
static int write_zeros(const struct target *t, uint64_t offset, uint64_t len)
{
	static uint8_t zeros[ZERO_BYTES]; /* not const: bss, not a MiB of program file */
	int err = 0;

	while (len && !err) {
		size_t part = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);
		if (t->stop && *t->stop)
			return -EINTR;
		err = write_at(t->fd, zeros, part, offset);
		offset += part;
		len -= part;
	}
	return err;
}

static int allocate_step(const struct target *t, uint64_t offset, uint64_t len)
{
	if (t->stop && *t->stop)
		return -EINTR;
	if (!fallocate(t->fd, 0, (off_t)offset, (off_t)len))
		return 0;
	if (errno == EINTR)
		return t->stop && *t->stop ? -EINTR : -EAGAIN;
	if (errno != EOPNOTSUPP)
		return -errno;
	/* What the file has already has its space, or is left without. */
	uint64_t has = t->size_bytes <= offset ? 0 : t->size_bytes - offset;
	return has < len ? write_zeros(t, offset + has, len - has) : 0;
}

static int allocation_failed(const struct target *t, int err, uint64_t total_bytes)
{
	switch (-err) {
	case EINTR:
		return keyadm_refuse(
			err, "interrupted; nothing was %s", t->created ? "created" : "changed");
	case ENOSPC:
	case EDQUOT:
		return keyadm_refuse(err,
			"%s: no room for %" PRIu64
			" bytes: free some space or choose a smaller size",
			t->path, total_bytes);
	case EFBIG:
		return keyadm_refuse(err,
			"%s: the file system or ulimit -f allows no file of %" PRIu64 " bytes",
			t->path, total_bytes);
	default:
		return keyadm_refuse(err, "%s cannot be allocated: %s", t->path, strerror(-err));
	}
}

static void tell_progress(const struct target *t, double part)
{
	(void)fputc('\r', stderr);
	format_print(stderr, "allocating %s: %3u%%", t->path, (unsigned int)(part * 100));
}

/* *told: the reason of the error, of on_step(), has been told. */
static int allocate(const struct target *t, uint64_t from, uint64_t to,
	const struct target_watch *w, bool *told)
{
	bool show = isatty(STDERR_FILENO) && to - from > 4 * (uint64_t)ALLOCATE_STEP_BYTES;
	int err = 0;

	for (uint64_t done = from; !err && done < to;) {
		uint64_t step = to - done < ALLOCATE_STEP_BYTES ? to - done : ALLOCATE_STEP_BYTES;
		err = allocate_step(t, done, step);
		if (err == -EAGAIN) {
			err = 0;
			continue;
		}
		done += err ? 0 : step;
		if (!err && w)
			*told = (err = w->on_step(w->arg)) != 0;
		if (show)
			tell_progress(t, (double)(done - from) / (double)(to - from));
	}
	if (show)
		(void)fprintf(stderr, "\r\033[K");
	return err;
}

/*
 * btrfs writes each change to a new place unless the file says otherwise, and runs out of new places although the file
 * has all its space. A file can say so only while it is empty.
 */
static int write_in_place(const struct target *t)
{
	struct statfs fs;
	unsigned int flags = 0; /* the ioctls' type is said to be long, and is int */

	if (fstatfs(t->fd, &fs) || fs.f_type != BTRFS_SUPER_MAGIC)
		return 0;
	if (!ioctl(t->fd, FS_IOC_GETFLAGS, &flags) && !(flags & FS_NOCOW_FL)) {
		flags |= FS_NOCOW_FL;
		if (!ioctl(t->fd, FS_IOC_SETFLAGS, &flags))
			(void)ioctl(t->fd, FS_IOC_GETFLAGS, &flags);
		else
			flags = 0;
	}
	if (flags & FS_NOCOW_FL)
		return 0;
	return keyadm_refuse(-EOPNOTSUPP,
		"%s: btrfs would copy each block that is overwritten, and run out of space: %s, or "
		"use --sparse",
		t->path,
		t->created ? "use another file system"
			   : "remove the file, so that it is made anew without copy-on-write");
}

int target_allocate(struct target *t, uint64_t total_bytes)
{
	bool told = false;
	int err = t->is_block ? 0 : write_in_place(t);

	if (err)
		return err;
	err = t->is_block ? 0 : allocate(t, 0, total_bytes, NULL, &told);
	return err ? allocation_failed(t, err, total_bytes) : 0;
}

int target_grow(struct target *t, uint64_t from, uint64_t to, const struct target_watch *watch)
{
	bool told = false;
	int err = t->is_block ? 0 : allocate(t, from, to, watch, &told);

	if (!err && fsync(t->fd))
		err = -errno;
	if (!err)
		return 0;
	target_shrink_back(t);
	return told ? err : allocation_failed(t, err, to);
}

void target_shrink_back(const struct target *t)
{
	/* If it stays longer than it has to be, nobody is hurt. */
	if (!t->is_block && !ftruncate(t->fd, (off_t)t->size_bytes))
		(void)fsync(t->fd);
}

int target_extend(struct target *t, uint64_t total_bytes)
{
	if (t->is_block || t->size_bytes >= total_bytes || !ftruncate(t->fd, (off_t)total_bytes))
		return 0;
	return allocation_failed(t, -errno, total_bytes);
}

static int copy_header(const struct target *t, int header_fd, uint64_t header_bytes)
{
	uint8_t buf[COPY_BYTES];

	for (uint64_t done = 0; done < header_bytes;) {
		size_t part = header_bytes - done < sizeof(buf) ? (size_t)(header_bytes - done)
								: sizeof(buf);
		ssize_t n = pread(header_fd, buf, part, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		int err = write_at(t->fd, buf, (size_t)n, done);
		if (err)
			return err;
		done += (uint64_t)n;
	}
	return 0;
}

int target_write_header(struct target *t, int header_fd, uint64_t header_bytes)
{
	int err = copy_header(t, header_fd, header_bytes);

	if (!err && fsync(t->fd))
		err = -errno;
	if (!err && t->created && fsync(t->dir_fd))
		err = -errno;
	if (err)
		return keyadm_refuse(
			err, "%s: the header cannot be written: %s", t->path, strerror(-err));
	return 0;
}
