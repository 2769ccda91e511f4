/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_path.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyadm_format.h"

enum { LINKS_MAX = 40, PROC_PATH_BYTES = 32 };

struct walk {
	const char *path; /* for messages */
	struct checked_path *at;
	unsigned links;
	char rest[PATH_MAX]; /* of the path, not walked yet */
};

static const char *proc_path(char out[PROC_PATH_BYTES], int fd)
{
	(void)snprintf(out, PROC_PATH_BYTES, "/proc/self/fd/%d", fd);
	return out;
}

/* sudo(8) sets SUDO_UID; nobody else can set a variable for root's process. */
static bool is_trusted(uid_t uid)
{
	const char *sudo = geteuid() == 0 ? getenv("SUDO_UID") : NULL;
	char *end = NULL;
	unsigned long caller = sudo ? strtoul(sudo, &end, 10) : 0;

	return uid == 0 || uid == geteuid() || (end && end != sudo && !*end && uid == caller);
}

/* The group that carries its only member's name, as useradd(8) makes it. */
static bool is_private_group(uid_t uid, gid_t gid)
{
	const struct passwd *user = getpwuid(uid);
	const struct group *group = user ? getgrgid(gid) : NULL;

	if (!group || strcmp(user->pw_name, group->gr_name) != 0)
		return false;
	for (char **member = group->gr_mem; *member; member++)
		if (strcmp(*member, user->pw_name) != 0)
			return false;
	return true;
}

static int refuse_directory(const struct walk *w, const struct stat *st)
{
	char link[PROC_PATH_BYTES], name[PATH_MAX] = "";

	if (readlink(proc_path(link, w->at->dir_fd), name, sizeof(name) - 1) < 0)
		(void)snprintf(name, sizeof(name), "its directory");
	return keyadm_refuse(-EACCES,
		"%s: other users can replace what is in %s (owner uid %u, mode %04o): use a "
		"directory in which only root and you can do that",
		w->path, name, (unsigned)st->st_uid, (unsigned)st->st_mode & 07777);
}

/* Goes on in the directory fd, which the walk owns from here on; -1: errno says why there is none. */
static int enter(struct walk *w, int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		int err = -errno;
		if (fd >= 0)
			(void)close(fd);
		return keyadm_refuse(err, "%s: %s", w->path, strerror(-err));
	}
	if (w->at->dir_fd >= 0)
		(void)close(w->at->dir_fd);
	w->at->dir_fd = fd;
	w->at->shared = (st.st_mode & (S_IWGRP | S_IWOTH)) &&
			((st.st_mode & S_IWOTH) || !is_private_group(st.st_uid, st.st_gid));
	if (!is_trusted(st.st_uid) || (w->at->shared && !(st.st_mode & S_ISVTX)))
		return refuse_directory(w, &st);
	return 0;
}

static int enter_root(struct walk *w)
{
	return enter(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Puts what the symbolic link fd says before the rest of the path. */
static int follow(struct walk *w, int fd, const struct stat *st)
{
	char to[PATH_MAX], rest[PATH_MAX];

	if (!is_trusted(st->st_uid))
		return keyadm_refuse(-EACCES,
			"%s leads through a symbolic link of uid %u, who can let it lead anywhere: "
			"name the file itself",
			w->path, (unsigned)st->st_uid);
	if (++w->links > LINKS_MAX)
		return keyadm_refuse(-ELOOP, "%s: %s", w->path, strerror(ELOOP));
	ssize_t n = readlinkat(fd, "", to, sizeof(to) - 1);
	if (n < 0)
		return keyadm_refuse(-errno, "%s: %s", w->path, strerror(errno));
	to[n] = '\0';
	memcpy(rest, w->rest, sizeof(rest));
	int len = snprintf(w->rest, sizeof(w->rest), "%s%s%s", to, *rest ? "/" : "", rest);
	if (len < 0 || (size_t)len >= sizeof(w->rest))
		return keyadm_refuse(-ENAMETOOLONG, "%s: %s", w->path, strerror(ENAMETOOLONG));
	return to[0] == '/' ? enter_root(w) : 0;
}

/* Takes the next part of the path into at->name, "." when there is none. */
static int take_name(struct walk *w)
{
	const char *from = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(from, "/");

	if (len > NAME_MAX)
		return keyadm_refuse(-ENAMETOOLONG, "%s: %s", w->path, strerror(ENAMETOOLONG));
	(void)snprintf(w->at->name, sizeof(w->at->name), "%.*s", (int)len, len ? from : ".");
	from += len;
	memmove(w->rest, from, strlen(from) + 1);
	if (!len)
		(void)snprintf(w->at->name, sizeof(w->at->name), ".");
	return 0;
}

/* One part of the path. *done: it is the last. */
static int step(struct walk *w, bool follow_last, bool *done)
{
	struct stat st;

	int err = take_name(w);
	bool last = !*w->rest;
	if (err || (last && !follow_last)) {
		*done = true;
		return err;
	}
	int fd = openat(w->at->dir_fd, w->at->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && last) {
		*done = true;
		return 0;
	}
	if (fd < 0 || fstat(fd, &st))
		err = keyadm_refuse(-errno, "%s: %s", w->path, strerror(errno));
	else if (S_ISLNK(st.st_mode))
		err = follow(w, fd, &st);
	else if (last)
		*done = true;
	else /* O_DIRECTORY also mounts what is mounted on demand */
		err = enter(w, openat(w->at->dir_fd, w->at->name,
				       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (fd >= 0)
		(void)close(fd);
	return err;
}

/* getcwd(3) is free of links, but not yet checked. */
static int begin(struct walk *w)
{
	char here[PATH_MAX] = "";

	if (w->path[0] != '/' && !getcwd(here, sizeof(here)))
		return keyadm_refuse(-errno, "%s: %s", w->path, strerror(errno));
	int len = snprintf(w->rest, sizeof(w->rest), "%s%s%s", here, *here ? "/" : "", w->path);
	if (len < 0 || (size_t)len >= sizeof(w->rest))
		return keyadm_refuse(-ENAMETOOLONG, "%s: %s", w->path, strerror(ENAMETOOLONG));
	return enter_root(w);
}

int checked_path_find(struct checked_path *p, const char *path, bool follow_last)
{
	struct walk w = {.path = path, .at = p};
	bool done = false;

	*p = (struct checked_path){.dir_fd = -1};
	int err = begin(&w);
	while (!err && !done)
		err = step(&w, follow_last, &done);
	if (err)
		checked_path_close(p);
	return err;
}

void checked_path_close(struct checked_path *p)
{
	if (p->dir_fd >= 0)
		(void)close(p->dir_fd);
	p->dir_fd = -1;
}

/* Opens what the O_PATH descriptor at stands for. */
static int reopen(int at, const char *path, int flags)
{
	char link[PROC_PATH_BYTES];

	int fd = open(proc_path(link, at), flags | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return keyadm_refuse(
			-EBUSY, "%s is in use: unmount it or take its mapping away first", path);
	if (fd < 0)
		return keyadm_refuse(-errno, "%s: %s", path, strerror(errno));
	return fd;
}

static int open_checked(const struct checked_path *p, const char *path, int flags, bool exclusive)
{
	struct stat st;
	int fd;

	int at = openat(p->dir_fd, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0 || fstat(at, &st))
		fd = keyadm_refuse(-errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		fd = keyadm_refuse(-EINVAL, "%s is neither a file nor a block device", path);
	else if (p->shared && S_ISREG(st.st_mode) && st.st_nlink > 1)
		fd = keyadm_refuse(-EACCES,
			"%s has another name elsewhere, which somebody may have linked here: use "
			"that one, or a directory in which only root and you can create files",
			path);
	else
		fd = reopen(at, path,
			flags | O_NONBLOCK | (exclusive && S_ISBLK(st.st_mode) ? O_EXCL : 0));
	if (at >= 0)
		(void)close(at);
	return fd;
}

int keyadm_path_open(const char *path, int flags, bool exclusive)
{
	struct checked_path p;

	int err = checked_path_find(&p, path, true);
	if (err)
		return err;
	int fd = open_checked(&p, path, flags, exclusive);
	checked_path_close(&p);
	return fd;
}

int keyadm_path_create(const char *path, int flags, mode_t mode)
{
	struct checked_path p;

	int err = checked_path_find(&p, path, false);
	if (err)
		return err;
	int fd = openat(p.dir_fd, p.name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0 && errno == EEXIST)
		fd = -EEXIST;
	else if (fd < 0)
		fd = keyadm_refuse(-errno, "%s cannot be created: %s", path, strerror(errno));
	checked_path_close(&p);
	return fd;
}

int keyadm_path_read(const char *path)
{
	char link[PROC_PATH_BYTES];
	struct stat st = {0};
	int fd = -1;

	int at = open(path, O_PATH | O_CLOEXEC);
	int err = at < 0 || fstat(at, &st) ? -errno : 0;
	if (!err && !S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		err = -EINVAL;
	if (!err && (fd = open(proc_path(link, at), O_RDONLY | O_CLOEXEC)) < 0)
		err = -errno;
	if (at >= 0)
		(void)close(at);
	return err ? err : fd;
}
