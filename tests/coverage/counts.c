/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Linked into what `make coverage` builds, and into nothing else: libgcov writes the counts of a process
 * when it ends, and here it may, whoever the process runs as and however it confined itself. The
 * linker's --wrap puts these functions before the C library's, in the product's code and in libgcov.
 */
#include <errno.h>
#include <fcntl.h>
#include <gcov.h>
#include <linux/landlock.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* Landlock's ABI 3 */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

/* The next process to count may belong to another user, and keyd's umask is 077. */
int __wrap_open(const char *path, int flags, ...)
{
	static const char ending[] = ".gcda";
	size_t len = strlen(path);
	va_list args;

	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	int fd = __real_open(path, flags, mode);
	if (fd >= 0 && len >= strlen(ending) && !strcmp(path + len - strlen(ending), ending))
		(void)fchmod(fd, 0666);
	return fd;
}

/* Allows the folder of the counts as well, with what this kernel knows. */
static void add_counts(int ruleset)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
				  LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_TRUNCATE,
		.parent_fd = __real_open(COUNTS_DIR, O_PATH | O_CLOEXEC),
	};

	if (rule.parent_fd < 0)
		return;
	if (__real_syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) &&
		errno == EINVAL) {
		rule.allowed_access &= ~ACCESS_TRUNCATE;
		(void)__real_syscall(
			SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
	(void)close(rule.parent_fd);
}

long __wrap_syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_landlock_restrict_self)
		add_counts((int)a[0]);
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Children of the unit tests end so. */
void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}
