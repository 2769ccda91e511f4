/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_users.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <linux/loop.h>

#include "keyadm_format.h"

enum { USER_BYTES = 320, PROGRAM_BYTES = 32, TRIES = 10, PAUSE_NS = 100 * 1000 * 1000 };

/* What is looked for, and what was found. */
struct search {
	struct stat st;
	dev_t disk; /* of a block device: itself, or the disk that it is a partition of */
	char user[USER_BYTES]; /* empty: nobody */
};

/* The whole disk of a partition, which may be in use itself while the partition is. */
static dev_t disk_of(dev_t dev)
{
	char path[96], text[32] = "";
	unsigned int major, minor;

	(void)snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
	if (access(path, F_OK))
		return dev;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
	FILE *f = fopen(path, "re");
	bool got = f && fgets(text, sizeof(text), f);
	if (f)
		(void)fclose(f);
	return got && sscanf(text, "%u:%u", &major, &minor) == 2 ? makedev(major, minor) : dev;
}

/* The same file or device; a partition and its disk count as the same. */
static bool is_same(const struct search *s, const struct stat *st)
{
	if (S_ISREG(s->st.st_mode))
		return S_ISREG(st->st_mode) && st->st_dev == s->st.st_dev &&
		       st->st_ino == s->st.st_ino;
	if (!S_ISBLK(st->st_mode))
		return false;
	return st->st_rdev == s->st.st_rdev ||
	       (disk_of(st->st_rdev) == s->disk &&
		       (st->st_rdev == s->disk || s->st.st_rdev == s->disk));
}

/* fstatat(2), but what the kernel knows is enough: a server that does not answer holds nobody up. */
static bool look_at(int dir_fd, const char *name, struct stat *st)
{
	struct statx x;

	if (statx(dir_fd, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &x))
		return false;
	*st = (struct stat){
		.st_mode = x.stx_mode,
		.st_ino = x.stx_ino,
		.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor),
	};
	return true;
}

static bool is_number(const char *name)
{
	return *name && strspn(name, "0123456789") == strlen(name);
}

static void note_process(struct search *s, const char *pid)
{
	char path[64], program[PROGRAM_BYTES] = "a process";

	(void)snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	FILE *f = fopen(path, "re");
	if (f && fgets(program, sizeof(program), f))
		program[strcspn(program, "\n")] = '\0';
	if (f)
		(void)fclose(f);
	(void)snprintf(s->user, sizeof(s->user), "%s (pid %.20s)", program, pid);
}

/* One process's descriptors; our own one does not count. */
static void search_process(struct search *s, const char *pid)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return; /* it ended, or is another user's */
	for (const struct dirent *e; !s->user[0] && (e = readdir(dir));) {
		if (is_number(e->d_name) && look_at(dirfd(dir), e->d_name, &st) && is_same(s, &st))
			note_process(s, pid);
	}
	(void)closedir(dir);
}

static void search_processes(struct search *s)
{
	char self[24];

	(void)snprintf(self, sizeof(self), "%d", (int)getpid());
	DIR *dir = opendir("/proc");
	if (!dir)
		return;
	for (const struct dirent *e; !s->user[0] && (e = readdir(dir));) {
		if (is_number(e->d_name) && strcmp(e->d_name, self) != 0)
			search_process(s, e->d_name);
	}
	(void)closedir(dir);
}

/* The file behind a loop device, by its inode where the device may be asked, else by its name. */
static bool loop_has(const struct search *s, const char *name)
{
	char path[64], backing[PATH_MAX] = "";
	struct loop_info64 info;
	struct stat st;

	(void)snprintf(path, sizeof(path), "/dev/%.20s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool asked = fd >= 0 && !ioctl(fd, LOOP_GET_STATUS64, &info);
	if (fd >= 0)
		(void)close(fd);
	if (asked)
		return info.lo_device == s->st.st_dev && info.lo_inode == s->st.st_ino;
	(void)snprintf(path, sizeof(path), "/sys/block/%.20s/loop/backing_file", name);
	FILE *f = fopen(path, "re");
	bool got = f && fgets(backing, sizeof(backing), f);
	if (f)
		(void)fclose(f);
	backing[strcspn(backing, "\n")] = '\0';
	return got && look_at(AT_FDCWD, backing, &st) && is_same(s, &st);
}

static void search_loops(struct search *s)
{
	char path[64];

	DIR *dir = S_ISREG(s->st.st_mode) ? opendir("/sys/block") : NULL;
	if (!dir)
		return;
	for (const struct dirent *e; !s->user[0] && (e = readdir(dir));) {
		(void)snprintf(path, sizeof(path), "/sys/block/%.20s/loop", e->d_name);
		if (!strncmp(e->d_name, "loop", 4) && !access(path, F_OK) && loop_has(s, e->d_name))
			(void)snprintf(
				s->user, sizeof(s->user), "loop device /dev/%.20s", e->d_name);
	}
	(void)closedir(dir);
}

/* swapon(8)'s files and devices; proc(5) writes blanks as \040. */
static void search_swaps(struct search *s)
{
	char line[PATH_MAX + 128];
	struct stat st;

	FILE *f = fopen("/proc/swaps", "re");
	while (f && !s->user[0] && fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \t\n")] = '\0';
		if (line[0] == '/' && look_at(AT_FDCWD, line, &st) && is_same(s, &st))
			(void)snprintf(s->user, sizeof(s->user), "the kernel, as swap space");
	}
	if (f)
		(void)fclose(f);
}

/* 0: nobody else has it open. -EAGAIN: somebody has. Another error: this cannot be asked. */
static int ask_lease(int fd)
{
	/* Somebody who opens it in this moment waits for an instant, and no signal ends us. */
	(void)signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		return -errno;
	return fcntl(fd, F_SETLEASE, F_UNLCK) ? -errno : 0;
}

/* Looks once. True: somebody uses it, in s->user if it is known who. */
static bool is_in_use(struct search *s, int fd)
{
	int lease = S_ISREG(s->st.st_mode) ? ask_lease(fd) : -EINVAL;

	s->user[0] = '\0';
	if (!lease)
		return false;
	search_loops(s);
	search_swaps(s);
	if (!s->user[0])
		search_processes(s);
	return s->user[0] || lease == -EAGAIN;
}

int keyadm_refuse_in_use(int fd, const char *path)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct search s = {0};

	if (fstat(fd, &s.st))
		return keyadm_refuse(-errno, "%s: %s", path, strerror(errno));
	s.disk = S_ISBLK(s.st.st_mode) ? disk_of(s.st.st_rdev) : 0;
	bool used = is_in_use(&s, fd);
	/* udev(7) looks into each new device for a moment. */
	for (int i = 0; used && i < TRIES; i++) {
		(void)nanosleep(&pause, NULL);
		used = is_in_use(&s, fd);
	}
	if (!used)
		return 0;
	return keyadm_refuse(-EBUSY,
		"%s is in use by %s: end that first, or choose another path; --force does not "
		"overwrite what is in use",
		path, s.user[0] ? s.user : "a process of another user");
}
