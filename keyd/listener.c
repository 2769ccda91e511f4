/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "listener.h"

#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

enum { BACKLOG = 128 };

static int make_parent(const char *path)
{
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	/* Everybody may come to the sockets; keyd's own umask is narrower. */
	mode_t mask = umask(022);
	int rc = mkdir(dirname(copy), 0755) && errno != EEXIST ? -errno : 0;
	(void)umask(mask);
	free(copy);
	return rc;
}

/* 0 when the name is free now: it was a socket that nobody listens on. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	bool dead =
		connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED;
	(void)close(fd);
	if (!dead)
		return -EADDRINUSE;
	return unlink(addr->sun_path) && errno != ENOENT ? -errno : 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *addr)
{
	int rc = remove_stale(addr);
	if (rc)
		return rc;
	/* Umask and not chmod: between bind and chmod the mode would be another. */
	mode_t mask = umask(0111);
	rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? -errno : 0;
	(void)umask(mask);
	if (!rc && listen(fd, BACKLOG))
		rc = -errno;
	return rc;
}

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/*
 * keyd takes no descriptors, and closing one that a stranger chose can take as long as he likes: who
 * attaches one is refused where the kernel can do that. Accepted sockets inherit it.
 */
static void refuse_descriptors(int fd)
{
	const int off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)))
		log_debug("this kernel cannot refuse descriptors on a socket");
}

int listener_open(struct listener *listener, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int rc = -ENAMETOOLONG;

	*listener = (struct listener){.fd = -1, .path = path};
	if (strlen(path) >= sizeof(addr.sun_path))
		goto out;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	rc = make_parent(path);
	if (rc)
		goto out;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		refuse_descriptors(fd);
	rc = fd < 0 ? -errno : bind_and_listen(fd, &addr);
	if (!rc)
		listener->fd = fd; /* the listener owns it */
	else if (fd >= 0)
		(void)close(fd);
out:
	if (rc)
		log_error("cannot listen on %s: %s", path,
			rc == -EADDRINUSE ? "another keyd is running, or it is no socket"
					  : strerror(-rc));
	return rc;
}

int listener_accept(const struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		return fd;
	/* A peer that went away again is nothing to report. */
	return errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
}

void listener_close(struct listener *listener)
{
	if (listener->fd >= 0) {
		(void)unlink(listener->path);
		(void)close(listener->fd);
	}
	listener->fd = -1;
}
