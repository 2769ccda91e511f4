/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Code that got into keyd: preloaded, it takes over when keyd's loop waits for the first time, which is after
 * keyd has confined itself, and tries what $INTRUDER says. One line on stderr tells what came of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOP_POLLS = 3 }; /* its signals and its two sockets, at least */

typedef int poll_fn(struct pollfd *polls, nfds_t count, int timeout_ms);

static int read_shadow(void)
{
	return open("/etc/shadow", O_RDONLY | O_CLOEXEC);
}

static int write_passwd(void)
{
	return open("/etc/passwd", O_WRONLY | O_CLOEXEC);
}

static int read_volume(void)
{
	return open(getenv("INTRUDER_PATH"), O_RDWR | O_CLOEXEC);
}

static int connect_network(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int run_shell(void)
{
	char *argv[] = {"sh", "-c", "echo intruder: a shell >&2", NULL};

	return execv("/bin/sh", argv);
}

static int make_process(void)
{
	return fork();
}

static int end_init(void)
{
	return kill(1, 0);
}

static int read_store(void)
{
	return open(getenv("INTRUDER_PATH"), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
}

static const struct {
	const char *name;
	int (*attempt)(void);
} attempts[] = {
	{"read-shadow", read_shadow},
	{"write-passwd", write_passwd},
	{"read-volume", read_volume},
	{"network", connect_network},
	{"shell", run_shell},
	{"fork", make_process},
	{"kill", end_init},
	{"read-store", read_store},
};

static void intrude(void)
{
	const char *what = getenv("INTRUDER");

	for (size_t i = 0; what && i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		if (strcmp(what, attempts[i].name) != 0)
			continue;
		int rc = attempts[i].attempt();
		(void)dprintf(STDERR_FILENO, "intruder: %s: %s\n", what,
			rc < 0 ? strerror(errno) : "it works");
	}
}

int poll(struct pollfd *polls, nfds_t count, int timeout_ms)
{
	static atomic_flag intruded = ATOMIC_FLAG_INIT;
	poll_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, "poll");
	/* Libraries, and keyd's other threads, wait for one thing at a time. */
	if (count >= LOOP_POLLS && !atomic_flag_test_and_set(&intruded))
		intrude();
	return next(polls, count, timeout_ms);
}

/* The name of poll() in programs built with _FORTIFY_SOURCE. */
int __poll_chk(struct pollfd *polls, nfds_t count, int timeout_ms, size_t bytes);

int __poll_chk(struct pollfd *polls, nfds_t count, int timeout_ms, size_t bytes)
{
	(void)bytes;
	return poll(polls, count, timeout_ms);
}
