/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	MMAP_THRESHOLD_BYTES = 32 << 20, /* the most that mallopt(3) takes */
	TRIM_THRESHOLD_BYTES = 1 << 30,
	TOP_PAD_BYTES = 64 << 20, /* address space; memory only when it is touched */
};

static unsigned client_timeout_s;

void process_tune_malloc(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
	(void)mallopt(M_TOP_PAD, TOP_PAD_BYTES);
}

/* 0 also for what is no TCP socket. Accepted sockets have the time of the one that listened. */
static int limit_socket(int fd, unsigned milliseconds)
{
	int protocol;
	socklen_t len = sizeof(protocol);

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) || protocol != IPPROTO_TCP)
		return 0;
	return setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds))
		       ? -errno
		       : 0;
}

int process_limit_clients(unsigned seconds)
{
	struct dirent *entry;
	int rc = 0;

	if (client_timeout_s && client_timeout_s != seconds)
		return -EBUSY;
	DIR *fds = opendir("/proc/self/fd");
	if (!fds)
		return -errno;
	while (!rc && (entry = readdir(fds)))
		rc = limit_socket(atoi(entry->d_name), seconds * 1000);
	(void)closedir(fds);
	if (!rc)
		client_timeout_s = seconds;
	return rc;
}

unsigned process_client_timeout(void)
{
	return client_timeout_s;
}
