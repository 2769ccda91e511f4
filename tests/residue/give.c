/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * give HEX COMMAND...: runs COMMAND with a passphrase on descriptor 3, and leaves nothing of it: no argument, no shell,
 * no pipe and no file has it. HEX is the passphrase with every byte's bits inverted. Exit status: the command's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PASSPHRASE_FD = 3, BYTES_MAX = 512 };

static size_t decode(const char *hex, unsigned char *to)
{
	size_t len = 0;
	unsigned byte;

	for (; len < BYTES_MAX && sscanf(hex + 2 * len, "%2x", &byte) == 1; len++)
		to[len] = (unsigned char)~byte;
	return len;
}

int main(int argc, char **argv)
{
	int status = -1, fd = memfd_create("passphrase", 0);

	if (argc < 3 || fd != PASSPHRASE_FD || ftruncate(fd, BYTES_MAX))
		return 2;
	unsigned char *shared = mmap(NULL, BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return 2;
	if (ftruncate(fd, (off_t)decode(argv[1], shared)))
		return 2;
	pid_t child = fork();
	if (!child) {
		(void)execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 2;
	explicit_bzero(shared, BYTES_MAX);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
