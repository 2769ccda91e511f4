/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "sandbox.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

enum { FAMILIES = 64 };

/*
 * Allowed with any arguments. Found by tracing keyd through all end-to-end tests, and completed by
 * what glibc uses in other versions and on other architectures for the same functions: a name that an
 * architecture does not have is passed over.
 */
static const int allowed[] = {
	/* files: which ones is Landlock's matter */
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(preadv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(stat),
	SCMP_SYS(fstat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(stat64),
	SCMP_SYS(fstat64),
	SCMP_SYS(lstat64),
	SCMP_SYS(fstatat64),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(statfs64),
	SCMP_SYS(fstatfs64),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents),
	SCMP_SYS(getdents64),
	SCMP_SYS(fcntl),
	SCMP_SYS(fcntl64),
	SCMP_SYS(flock),
	SCMP_SYS(dup),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(syncfs),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(fallocate),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(sendfile),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rmdir),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(linkat),
	SCMP_SYS(umask),
	SCMP_SYS(utimensat),
	SCMP_SYS(memfd_create),
	SCMP_SYS(memfd_secret),
	/* memory; what may be executed is below */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	SCMP_SYS(msync),
	SCMP_SYS(membarrier),
	/* connections; which are made is below */
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(shutdown),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(recv),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(send),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	/* waiting */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(_newselect),
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(signalfd4),
	/* peers' processes: whom a signal reaches is a matter of uid and capabilities */
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal),
	/* time, chance, identity */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getresuid),
	SCMP_SYS(getresgid),
	SCMP_SYS(getgroups),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(times),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getcpu),
	SCMP_SYS(getpriority),
	/* threads (Argon2 has four) and their signals */
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(rt_sigpending),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* a sanitizer's runtime: it looks at its own process from another one before it ends */
	SCMP_SYS(clone),
	SCMP_SYS(ptrace),
	SCMP_SYS(wait4),
	SCMP_SYS(mprotect),
	SCMP_SYS(mmap),
	SCMP_SYS(prctl),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(personality),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(tgkill),
	SCMP_SYS(tkill),
	SCMP_SYS(kill),
	SCMP_SYS(setrlimit),
	SCMP_SYS(prlimit64),
#endif
};

/* Libraries try these and do without. Whatever else is asked ends the process: it is not keyd's. */
static const struct {
	int call;
	int error;
} refused[] = {
	{SCMP_SYS(clone3), ENOSYS},  /* glibc uses clone then, whose flags can be seen */
	{SCMP_SYS(add_key), ENOSYS}, /* libcryptsetup: keys in the kernel */
	{SCMP_SYS(request_key), ENOSYS},
	{SCMP_SYS(keyctl), ENOSYS},
	/* Files are made with the right mode and owner. */
	{SCMP_SYS(chmod), EPERM},
	{SCMP_SYS(fchmod), EPERM},
	{SCMP_SYS(fchmodat), EPERM},
	{SCMP_SYS(chown), EPERM},
	{SCMP_SYS(lchown), EPERM},
	{SCMP_SYS(fchown), EPERM},
	{SCMP_SYS(fchownat), EPERM},
	{SCMP_SYS(mknod), EPERM}, /* libdevmapper: /dev/mapper/control */
	{SCMP_SYS(mknodat), EPERM},
	{SCMP_SYS(bind), EACCES},
	{SCMP_SYS(socketpair), EACCES},
	{SCMP_SYS(inotify_init1), ENOSYS}, /* name services */
	{SCMP_SYS(getxattr), EOPNOTSUPP},
	{SCMP_SYS(lgetxattr), EOPNOTSUPP},
	{SCMP_SYS(fgetxattr), EOPNOTSUPP},
	{SCMP_SYS(capget), EPERM},
	{SCMP_SYS(io_uring_setup), ENOSYS},
	{SCMP_SYS(get_mempolicy), ENOSYS},
	{SCMP_SYS(sched_setscheduler), EPERM},
	{SCMP_SYS(setpriority), EPERM},
	{SCMP_SYS(ioprio_set), EPERM},
};

/* Allowed when the argument, masked, has the value; several rows of a call add up. */
static const struct {
	int call;
	unsigned argument;
	uint64_t mask;
	uint64_t value;
} conditional[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* No memory becomes executable: see add_no_new_code(). */
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_SYS(mmap2), 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	/* Threads of this process, no processes. */
	{SCMP_SYS(clone), 0, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD},
	/* Limits are looked at, and never set. */
	{SCMP_SYS(prlimit64), 2, UINT64_MAX, 0},
	{SCMP_SYS(prctl), 0, UINT64_MAX, PR_SET_NAME},
	{SCMP_SYS(prctl), 0, UINT64_MAX, PR_GET_NAME},
	{SCMP_SYS(prctl), 0, UINT64_MAX, PR_GET_DUMPABLE},
	{SCMP_SYS(prctl), 0, UINT64_MAX, PR_CAPBSET_READ},
	{SCMP_SYS(prctl), 0, UINT64_MAX, PR_SET_VMA},
#endif
	{SCMP_SYS(ioctl), 1, UINT64_MAX, FIONREAD},
	{SCMP_SYS(ioctl), 1, UINT64_MAX, TCGETS},   /* isatty(3) */
	{SCMP_SYS(ioctl), 1, UINT64_MAX, BLKIOMIN}, /* libcryptsetup, of its file */
	{SCMP_SYS(ioctl), 1, UINT64_MAX, BLKGETSIZE64},
	{SCMP_SYS(ioctl), 1, UINT64_MAX, BLKSSZGET},
	{SCMP_SYS(ioctl), 1, UINT64_MAX, BLKPBSZGET},
	{SCMP_SYS(ioctl), 1, UINT64_MAX, BLKALIGNOFF},
	{SCMP_SYS(ioctl), 1, UINT64_MAX, BLKIOOPT},
	{SCMP_SYS(ioctl), 1, UINT64_MAX, BLKROGET},
};

/* Of a part of keyd that is not made for this architecture nothing is needed. */
static int skip_foreign(int rc)
{
	return rc == -EDOM || rc == -EFAULT ? 0 : rc;
}

static int add_tables(scmp_filter_ctx filter)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		rc = skip_foreign(seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0));
	for (size_t i = 0; !rc && i < sizeof(refused) / sizeof(refused[0]); i++)
		rc = skip_foreign(seccomp_rule_add(
			filter, SCMP_ACT_ERRNO((uint16_t)refused[i].error), refused[i].call, 0));
	for (size_t i = 0; !rc && i < sizeof(conditional) / sizeof(conditional[0]); i++)
		rc = skip_foreign(seccomp_rule_add(filter, SCMP_ACT_ALLOW, conditional[i].call, 1,
			SCMP_CMP64(conditional[i].argument, SCMP_CMP_MASKED_EQ, conditional[i].mask,
				conditional[i].value)));
	return rc;
}

/* A library that comes too late cannot be loaded, and keyd goes on: sandbox_libraries() is what it has. */
static int add_no_new_code(scmp_filter_ctx filter)
{
	static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};
	int rc = 0;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	for (size_t i = 0; !rc && i < sizeof(calls) / sizeof(calls[0]); i++)
		rc = skip_foreign(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), calls[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)));
#else
	(void)filter, (void)calls;
#endif
	return rc;
}

/* glibc's raise(3) and abort(3), and no other process. */
static int add_own_signals(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

/* AF_UNIX: name services, the service manager, the journal. */
static bool may_make(int family, const struct config *config)
{
	return family == AF_UNIX ||
	       (sandbox_has_network(config) && (family == AF_INET || family == AF_INET6));
}

static int add_family(scmp_filter_ctx filter, int family, const struct config *config)
{
	const scmp_datum_t value = (scmp_datum_t)family;
	const uint32_t refuse = SCMP_ACT_ERRNO(EAFNOSUPPORT);

	if (family != AF_NETLINK)
		return seccomp_rule_add(filter, may_make(family, config) ? SCMP_ACT_ALLOW : refuse,
			SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, value));
	/* The kernel's own audit trail; with a network, its addresses. */
	int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
		SCMP_A0(SCMP_CMP_EQ, value), SCMP_A2(SCMP_CMP_EQ, NETLINK_AUDIT));
	if (!rc)
		rc = seccomp_rule_add(filter, sandbox_has_network(config) ? SCMP_ACT_ALLOW : refuse,
			SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, value),
			SCMP_A2(SCMP_CMP_NE, NETLINK_AUDIT));
	return rc;
}

int sandbox_calls(const struct config *config)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return -ENOMEM;
	/* The kernel's log then says which call it was: audit record 1326. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!rc)
		rc = add_tables(filter);
	if (!rc)
		rc = add_no_new_code(filter);
	if (!rc)
		rc = add_own_signals(filter);
	for (int family = 0; !rc && family < FAMILIES; family++)
		rc = add_family(filter, family, config);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}
