/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "peer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STAT_BYTES = 1024, GROUPS_MAX = 65536, LABEL_BYTES = 4096 };

#ifndef SO_PEERPIDFD /* Linux 6.5, later than Debian 12's headers */
#define SO_PEERPIDFD 77
#endif

static int groups_of(struct peer *peer, int fd)
{
	socklen_t len = 0;

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len))
		return 0; /* none */
	if (errno != ERANGE || len > GROUPS_MAX * sizeof(gid_t))
		return -errno;
	gid_t *groups = malloc(len);
	if (!groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len)) {
		int rc = -errno;
		free(groups);
		return rc;
	}
	peer->groups = groups;
	peer->group_count = len / sizeof(gid_t);
	return 0;
}

/* No label is no error: who needs one is denied. */
static int label_of(struct peer *peer, int fd)
{
	char label[LABEL_BYTES];
	socklen_t len = sizeof(label) - 1;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &len))
		return errno == ENOPROTOOPT || errno == ERANGE ? 0 : -errno;
	label[len] = '\0'; /* the kernel may count a NUL of its own, or not */
	peer->label = strdup(label);
	return peer->label ? 0 : -ENOMEM;
}

/* Field 22 of /proc/PID/stat, counted after the command name, which may hold anything: proc(5). */
static uint64_t start_time_of(pid_t pid)
{
	char path[64], stat[STAT_BYTES];
	uint64_t start_time = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	size_t len = fread(stat, 1, sizeof(stat) - 1, f);
	(void)fclose(f);
	stat[len] = '\0';
	char *field = strrchr(stat, ')');
	for (int i = 2; field && i < 22; i++)
		field = strchr(field + 1, ' ');
	if (!field || sscanf(field, " %" SCNu64, &start_time) != 1)
		return 0;
	return start_time;
}

static int watch_process(struct peer *peer)
{
	peer->pidfd = pidfd_open(peer->pid, 0);
	if (peer->pidfd < 0)
		return errno == ESRCH ? 0 : -errno;
	peer->start_time = start_time_of(peer->pid);
	return 0;
}

bool peer_hung_up(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = 0};

	return poll(&pfd, 1, 0) != 0; /* POLLHUP and POLLERR come unasked */
}

/*
 * The kernel keeps the pidfd of who connected. Where it is older, the number is looked up now, and holds only if
 * the connection is still there afterwards: a process that has gone would have closed it.
 */
static int watch_connected_process(struct peer *peer, int fd)
{
	socklen_t len = sizeof(peer->pidfd);

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &peer->pidfd, &len)) {
		peer->start_time = start_time_of(peer->pid);
		if (!peer_is_alive(peer))
			peer->start_time = 0; /* perhaps of another with this number */
		return 0;
	}
	peer->pidfd = -1;
	if (errno == ESRCH || errno == ENODATA || errno == EINVAL) /* it has gone, and was reaped */
		return 0;
	if (errno != ENOPROTOOPT)
		return -errno;
	int rc = watch_process(peer);
	if (!rc && peer->pidfd >= 0 && peer_hung_up(fd)) {
		(void)close(peer->pidfd);
		peer->pidfd = -1;
		peer->start_time = 0;
	}
	return rc;
}

int peer_identify(struct peer *peer, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*peer = (struct peer){.pidfd = -1};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	if (cred.pid <= 0)
		return -ESRCH;
	peer->pid = cred.pid;
	peer->uid = cred.uid;
	peer->gid = cred.gid;
	int rc = groups_of(peer, fd);
	if (!rc)
		rc = label_of(peer, fd);
	if (!rc)
		rc = watch_connected_process(peer, fd);
	if (rc)
		peer_clear(peer);
	return rc;
}

int peer_reopen(struct peer *peer, pid_t pid, uid_t uid, uint64_t start_time)
{
	*peer = (struct peer){.pid = pid, .uid = uid, .gid = (gid_t)-1, .pidfd = -1};
	int rc = watch_process(peer);
	if (!rc && (peer->pidfd < 0 || peer->start_time != start_time || !peer_is_alive(peer)))
		rc = -ESRCH;
	if (rc)
		peer_clear(peer);
	return rc;
}

bool peer_is_alive(const struct peer *peer)
{
	struct pollfd pfd = {.fd = peer->pidfd, .events = POLLIN};

	return peer->pidfd >= 0 && poll(&pfd, 1, 0) == 0;
}

int peer_kill(const struct peer *peer)
{
	if (peer->pidfd < 0)
		return -ESRCH;
	return pidfd_send_signal(peer->pidfd, SIGKILL, NULL, 0) ? -errno : 0;
}

bool peer_same_process(const struct peer *a, const struct peer *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->start_time == b->start_time;
}

bool peer_in_group(const struct peer *peer, gid_t gid)
{
	if (peer->gid == gid)
		return true;
	for (size_t i = 0; i < peer->group_count; i++) {
		if (peer->groups[i] == gid)
			return true;
	}
	return false;
}

void peer_clear(struct peer *peer)
{
	if (peer->pidfd >= 0)
		(void)close(peer->pidfd);
	free(peer->groups);
	free(peer->label);
	*peer = (struct peer){.pidfd = -1};
}
