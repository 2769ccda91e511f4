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
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CODE_BYTES = 4096, LOOP_POLLS = 3 }; /* its signals and its two sockets, at least */

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

static int map_code(void)
{
	return mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? -1
		       : 0;
}

static int make_executable(void)
{
	void *page =
		mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -1 : mprotect(page, CODE_BYTES, PROT_READ | PROT_EXEC);
}

static int map_memfd(void)
{
	int fd = memfd_create("code", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, CODE_BYTES))
		return -1;
	return mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1
											       : 0;
}

static int run_memfd(void)
{
	char *argv[] = {"code", NULL}, *env[] = {NULL};

	return fexecve(memfd_create("code", MFD_CLOEXEC), argv, env);
}

static int open_store_to_all(void)
{
	return chmod(getenv("INTRUDER_PATH"), 0777);
}

static int give_store_away(void)
{
	return chown(getenv("INTRUDER_PATH"), 65534, 65534);
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
	{"map-code", map_code},
	{"make-executable", make_executable},
	{"map-memfd", map_memfd},
	{"run-memfd", run_memfd},
	{"chmod", open_store_to_all},
	{"chown", give_store_away},
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
