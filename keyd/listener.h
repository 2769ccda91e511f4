/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The sockets that keyd listens on. */
#ifndef KEYD_LISTENER_H
#define KEYD_LISTENER_H

struct listener {
	int fd;           /* owned; -1: closed */
	const char *path; /* borrowed */
};

/*
 * Listens on SEQPACKET socket path, mode 0666 (authority is the peer's credentials). The directory is
 * made (0755) if it is missing. What a dead keyd left is replaced; -EADDRINUSE when a living process
 * listens there or something else has the name, or -errno; logged.
 */
int listener_open(struct listener *listener, const char *path) __attribute__((warn_unused_result));

/* The next connection, non-blocking and close-on-exec; -EAGAIN: none, or -errno. */
int listener_accept(const struct listener *listener) __attribute__((warn_unused_result));

/* Closes it and removes its name. */
void listener_close(struct listener *listener);

#endif
