/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Who is at the other end of a connection, as the kernel says it (unix(7): SO_PEERCRED,
 * SO_PEERGROUPS, SO_PEERSEC), taken once when the connection is accepted, and the process behind it, held by a
 * pidfd so that its end is seen and its number cannot be mistaken for another's.
 */
#ifndef KEYD_PEER_H
#define KEYD_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary, owned */
	size_t group_count;
	char *label;         /* SELinux context (SO_PEERSEC), owned; NULL: the kernel has none */
	int pidfd;           /* owned; -1: the process had gone when it was looked at */
	uint64_t start_time; /* of the process, clock ticks since boot; 0: unknown */
};

/*
 * Fills peer from connected socket fd. 0 or -errno; -ESRCH when the peer's process is outside keyd's
 * pid namespace, so that its end could not be seen.
 */
int peer_identify(struct peer *peer, int fd) __attribute__((warn_unused_result));

/* Finds the running process pid that started at start_time again. -ESRCH when it has gone. */
int peer_reopen(struct peer *peer, pid_t pid, uid_t uid, uint64_t start_time)
	__attribute__((warn_unused_result));

/* True when the other end of the connection fd is closed, though what it sent may still be there to be read. */
bool peer_hung_up(int fd);

/* True while the process runs (a zombie does not). */
bool peer_is_alive(const struct peer *peer);

/*
 * Sends SIGKILL to the very process that connected. 0; -ESRCH when it has gone; -EPERM when keyd may not;
 * -errno. That it has ended shows in its pidfd.
 */
int peer_kill(const struct peer *peer) __attribute__((warn_unused_result));

/* True when both are the same process. */
bool peer_same_process(const struct peer *a, const struct peer *b);

bool peer_in_group(const struct peer *peer, gid_t gid);

/* Closes and frees what peer owns. */
void peer_clear(struct peer *peer);

#endif
