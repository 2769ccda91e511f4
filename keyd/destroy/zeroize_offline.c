/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "zeroize_offline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "clock.h"
#include "keystore_private.h"
#include "log.h"
#include "zeroize_holders.h"
#include "zeroize_medium.h"
#include "zeroize_record.h"

enum { ERASE_FILES_A_STEP = 1024 };

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
	return flock(fd, LOCK_EX | LOCK_NB) ? (errno == EWOULDBLOCK ? -EBUSY : -errno) : 0;
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

static const char *open_problem(int rc)
{
	switch (rc) {
	case -EBUSY:
		return "a keyd is running on it: use keyadm zeroize --all, or end it first";
	case -ENODATA:
		return "there is none";
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

	int rc = open_store(&ks, config->state, &config->custody);
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
