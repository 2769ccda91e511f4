/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "zeroize_offline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "channel.h"
#include "clock.h"
#include "keystore_private.h"
#include "log.h"
#include "zeroize_holders.h"
#include "zeroize_medium.h"
#include "zeroize_record.h"

enum {
	ERASE_FILES_A_STEP = 1024,
	LOCKED_MS = 3000, /* for a keyd that starts or ends */
	LOOK_AGAIN_MS = 100,
	CONNECT_MS = 2000,
};

/* What root makes in the directory of keyd's user has to be readable for that user. */
static int become_owner(int state_fd)
{
	struct stat st;

	if (fstat(state_fd, &st))
		return -errno;
	if (st.st_uid == geteuid())
		return 0;
	if (geteuid())
		return -EPERM;
	(void)setfsgid(st.st_gid);
	(void)setfsuid(st.st_uid);
	return 0;
}

/* The lock stays until the process ends: no keyd starts meanwhile. */
static int lock_store(int state_fd)
{
	int fd = openat(state_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
	(void)close(fd);
	return rc;
}

static bool is_store(int state_fd)
{
	const struct custody *custody;
	struct stat st;

	return custody_of_store(state_fd, &custody) || custody ||
	       !fstatat(state_fd, LEVELS_DIR, &st, 0) || !fstatat(state_fd, ZEROIZED_FILE, &st, 0);
}

/* -ENODATA: no key store lies there, and nothing is touched. */
static int open_store(
	struct keystore *ks, const char *dir, const struct custody_config *custody_config)
{
	*ks = (struct keystore){.lock_fd = -1, .custody_config = custody_config};
	ks->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ks->dir_fd < 0)
		return -errno;
	int rc = is_store(ks->dir_fd) ? become_owner(ks->dir_fd) : -ENODATA;
	if (!rc)
		rc = lock_store(ks->dir_fd);
	return rc;
}

static void note(int *first, const char *what, int rc)
{
	if (!rc)
		return;
	log_error("cannot %s: %s", what, strerror(-rc));
	if (!*first)
		*first = rc;
}

static void record(struct audit *audit, const char *event, const char *result)
{
	const struct peer self = {.pid = getpid(), .uid = getuid(), .pidfd = -1};

	if (audit->fd < 0 || audit_append(audit, &(struct audit_event){.event = event,
							 .by = &self,
							 .detail = "keyd --zeroize",
							 .result = result}))
		log_error("%s is not in the audit log", event);
}

static int erase_files(int state_fd)
{
	struct erasure_progress progress = {0};

	while (zeroize_medium_step(state_fd, ERASE_FILES_A_STEP, &progress) ||
		erasure_try_again(&progress))
		;
	return progress.first_error;
}

/* The document of an earlier attempt, which knows who asked, or a new one. */
static struct json_object *certificate_of(const struct keystore *ks)
{
	const struct peer self = {.pid = getpid(), .uid = getuid(), .pidfd = -1};
	struct json_object *json = NULL;

	if (!zeroize_read(ks->dir_fd, &json) && !zeroize_is_complete(json))
		return json;
	json_object_put(json);
	return zeroize_draft(ks, &self, clock_wall_seconds());
}

static int zeroize(const struct keystore *ks, bool kill_holders, struct audit *audit)
{
	static struct zeroize_answers answers; /* one thread, once */
	const struct custody_place place = {.dir_fd = ks->dir_fd, .config = ks->custody_config};
	char text[PROTO_MESSAGE_BYTES];
	int error = 0;

	struct json_object *json = certificate_of(ks);
	if (!json)
		return -ENOMEM;
	record(audit, "zeroize", "ok");
	note(&error, "write " ZEROIZED_FILE, zeroize_write(ks->dir_fd, json));
	note(&error, "erase the root key", zeroize_medium_root(&place, NULL));
	note(&error, "erase every key file", erase_files(ks->dir_fd));
	zeroize_find_holders(&answers, ks->dir_fd, kill_holders);
	int rc = zeroize_enter_answers(&answers, json);
	if (!rc)
		rc = zeroize_complete(json, ks->dir_fd, error, clock_wall_seconds(), audit);
	if (!rc)
		rc = zeroize_write(ks->dir_fd, json);
	note(&error, "write " ZEROIZED_FILE, rc);
	enum proto_status status = zeroize_outcome(json, text, sizeof(text));
	record(audit, "zeroized", status == PROTO_OK && !error ? "ok" : "unproven");
	(void)fprintf(status == PROTO_OK ? stdout : stderr, "keyd: %s\n", text);
	json_object_put(json);
	return status == PROTO_OK ? error : -EIO;
}

/* ---- A keyd that runs -------------------------------------------------------------------------- */

/* Whether pid has the store's lock open: another keyd may listen where the configuration says. */
static bool has_lock_open(int state_fd, pid_t pid)
{
	char dir[64];
	struct stat lock, st;
	const struct dirent *entry;
	bool found = false;

	(void)snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
	DIR *fds = fstatat(state_fd, "lock", &lock, AT_SYMLINK_NOFOLLOW) ? NULL : opendir(dir);
	while (fds && !found && (entry = readdir(fds)))
		found = !fstatat(dirfd(fds), entry->d_name, &st, 0) && st.st_dev == lock.st_dev &&
			st.st_ino == lock.st_ino;
	if (fds)
		(void)closedir(fds);
	return found;
}

/* The keyadm that was installed together with this program takes this process over. */
static void become_keyadm(const char *socket)
{
	static const char name[] = "keyadm";
	const char *argv[] = {name, "--admin-socket", socket, "zeroize", "--all", "--yes", NULL};
	char path[PATH_MAX] = "";

	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(name));
	if (len <= 0)
		return;
	memcpy(strrchr(path, '/') + 1, name, sizeof(name));
	(void)fprintf(stderr, "keyd: a keyd is running; asking it with %s zeroize --all\n", path);
	(void)execv(path, (char *const *)(uintptr_t)argv);
}

/*
 * keyd runs, and keyadm did not find it: it may listen elsewhere, or be starting or ending. Returns when it is not to be
 * found where the configuration says.
 */
static void ask_running_keyd(int state_fd, const char *socket)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	(void)setfsuid(geteuid()); /* become_owner() may not look at other processes */
	(void)setfsgid(getegid());
	int fd = proto_connect(socket, CONNECT_MS);
	if (fd < 0)
		return;
	bool ours = !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) &&
		    has_lock_open(state_fd, cred.pid);
	(void)close(fd);
	if (ours)
		become_keyadm(socket);
}

/* As open_store(), which is tried again while a keyd starts or ends. */
static int open_free_store(struct keystore *ks, const struct config *config)
{
	int64_t until_ms = clock_now_ms() + LOCKED_MS;
	int rc;

	while ((rc = open_store(ks, config->state, &config->custody)) == -EBUSY &&
		clock_now_ms() < until_ms) {
		ask_running_keyd(ks->dir_fd, config->admin_socket);
		(void)close(ks->dir_fd);
		(void)poll(NULL, 0, LOOK_AGAIN_MS);
	}
	return rc;
}

static const char *open_problem(int rc)
{
	switch (rc) {
	case -EBUSY:
		return "a keyd is running on it, and not on the admin socket of the configuration: "
		       "keyadm --admin-socket PATH zeroize --all, or end it first";
	case -ENODATA:
	case -ENOENT:
		return "there is none: name its directory with --state";
	case -EPERM:
		return "it belongs to another user: run this as that user, or as root";
	default:
		return strerror(-rc);
	}
}

int zeroize_offline(const struct config *config)
{
	struct audit audit = {.fd = -1};
	struct keystore ks;

	int rc = open_free_store(&ks, config);
	if (rc) {
		(void)fprintf(stderr, "keyd: cannot zeroize the key store %s: %s\n", config->state,
			open_problem(rc));
		return rc;
	}
	rc = audit_log_open(&audit, ks.dir_fd, NULL);
	if (rc) { /* an emergency does not wait for it */
		log_error("cannot open the audit log: %s", strerror(-rc));
		audit.fd = -1;
	}
	rc = zeroize(&ks, config->kill_unresponsive, &audit);
	audit_log_close(&audit);
	return rc;
}
