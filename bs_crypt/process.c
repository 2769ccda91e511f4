/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "complete.h"
#include "secret.h"

enum {
	MMAP_THRESHOLD_BYTES = 32 << 20, /* the most that mallopt(3) takes */
	TRIM_THRESHOLD_BYTES = 1 << 30,
	TOP_PAD_BYTES = 64 << 20, /* address space; memory only when it is touched */

	FREED_BYTE = 0xff, /* what is allocated again gets the complement: zeros */
	/* glibc's thread cache: up to 7 free blocks of each size, in steps of 16, mallopt(3) or not. */
	CACHED_BYTES_MAX = 1032,
	CACHED_STEP_BYTES = 16,
	CACHED_BLOCKS = 7,
};

static unsigned client_timeout_s;
static atomic_bool scrubs, scrub_is_due;

void process_tune_malloc(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
	(void)mallopt(M_TOP_PAD, TOP_PAD_BYTES);
}

int process_scrub(void)
{
	if (!mallopt(M_PERTURB, FREED_BYTE))
		return -ENOSYS;
	atomic_store(&scrubs, true);
	return 0;
}

bool process_scrubs(void)
{
	return atomic_load(&scrubs);
}

/* The cache gives its blocks out first, so that they are all among these. */
static void wipe_cached(size_t bytes)
{
	void *block[CACHED_BLOCKS];

	for (size_t i = 0; i < CACHED_BLOCKS; i++) {
		block[i] = malloc(bytes);
		if (block[i])
			secret_wipe(block[i], bytes);
	}
	for (size_t i = 0; i < CACHED_BLOCKS; i++)
		free(block[i]);
}

static void scrub_cached(struct completion *completion)
{
	(void)completion;
	atomic_store(&scrub_is_due, false);
	for (size_t bytes = CACHED_STEP_BYTES + sizeof(void *); bytes <= CACHED_BYTES_MAX;
		bytes += CACHED_STEP_BYTES)
		wipe_cached(bytes);
}

void process_scrub_cached(void)
{
	static struct completion scrub = {.done = scrub_cached};

	if (process_scrubs() && !atomic_exchange(&scrub_is_due, true))
		complete_post(&scrub);
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
