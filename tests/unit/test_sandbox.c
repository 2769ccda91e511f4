/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/sandbox.h: what is allowed works, everything else is refused or is the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "log.h"
#include "sandbox.h"
#include "scratch.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { NOT_CONFINED = 250, KILLED = 251, OTHERWISE = 252 };

static struct config config;

static int make(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	if (scratch_make(state) || config_init(&config, 0))
		return -1;
	config.sandbox = SANDBOX_REQUIRED;
	return mkdir(scratch_path("state"), 0700) || mkdir(scratch_path("run"), 0700) ||
	       scratch_write(scratch_path("outside"), "x", 1) ||
	       scratch_write(scratch_path("run/a.sock"), "x", 1) ||
	       config_set(&config.state, scratch_path("state")) ||
	       config_set(&config.socket, scratch_path("run/k.sock")) ||
	       config_set(&config.admin_socket, scratch_path("run/a.sock"));
}

static int drop(void **state)
{
	config_clear(&config);
	return scratch_remove(state);
}

/* What attempt() comes to in a confined child: 0, an errno, or KILLED. */
static int confined(int (*attempt)(void))
{
	int status;

	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int rc = sandbox_enter(&config) ? NOT_CONFINED : -attempt();
		_exit(rc >= 0 ? rc : OTHERWISE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : OTHERWISE;
	return WEXITSTATUS(status);
}

static int open_as(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

static int writes_state(void)
{
	if (mkdir(scratch_path("state/dir"), 0700))
		return -errno;
	int rc = open_as(scratch_path("state/new"), O_RDWR | O_CREAT | O_EXCL);
	if (!rc && rename(scratch_path("state/new"), scratch_path("state/dir/old")))
		rc = -errno;
	if (!rc)
		rc = open_as(scratch_path("state/dir/old"), O_RDWR | O_TRUNC);
	if (!rc && unlink(scratch_path("state/dir/old")))
		rc = -errno;
	return rc;
}

static int reads_proc(void)
{
	return open_as("/proc/self/stat", O_RDONLY);
}

static int reads_libraries(void)
{
	return open_as("/usr/lib", O_RDONLY | O_DIRECTORY);
}

static int removes_socket(void)
{
	return unlink(scratch_path("run/a.sock")) ? -errno : 0;
}

static int makes_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? -errno : 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int makes_thread(void)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, nothing, NULL);

	return rc ? -rc : -pthread_join(thread, NULL);
}

static void what_keyd_does_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(confined(writes_state), 0);
	assert_int_equal(confined(reads_proc), 0);
	assert_int_equal(confined(reads_libraries), 0);
	assert_int_equal(confined(removes_socket), 0);
	assert_int_equal(confined(makes_unix_socket), 0);
	assert_int_equal(confined(makes_thread), 0);
}

static int reads_outside(void)
{
	return open_as(scratch_path("outside"), O_RDONLY);
}

static int writes_outside(void)
{
	return open_as(scratch_path("outside"), O_WRONLY);
}

static int truncates_outside(void)
{
	return truncate(scratch_path("outside"), 0) ? -errno : 0;
}

static int makes_beside_socket(void)
{
	return open_as(scratch_path("run/new"), O_WRONLY | O_CREAT);
}

static int writes_proc(void)
{
	return open_as("/proc/self/oom_score_adj", O_WRONLY);
}

static int renames_out(void)
{
	int rc = open_as(scratch_path("state/new"), O_WRONLY | O_CREAT);
	if (!rc && rename(scratch_path("state/new"), scratch_path("run/new")))
		rc = -errno;
	return rc;
}

static int opens_state_to_all(void)
{
	return chmod(scratch_path("state"), 0777) ? -errno : 0;
}

static int opens_state_by_descriptor(void)
{
	int fd = open(scratch_path("state"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fchmod(fd, 0777) ? -errno : 0;
}

static int gives_state_away(void)
{
	return chown(scratch_path("state"), 65534, 65534) ? -errno : 0;
}

static int makes_link(void)
{
	return symlink("/etc/shadow", scratch_path("state/link")) ? -errno : 0;
}

static void other_files_are_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(confined(reads_outside), EACCES);
	assert_int_equal(confined(writes_outside), EACCES);
	assert_int_equal(confined(makes_beside_socket), EACCES);
	assert_int_equal(confined(writes_proc), EACCES);
	assert_int_not_equal(confined(renames_out), 0);
	assert_int_equal(confined(opens_state_to_all), EPERM);
	assert_int_equal(confined(opens_state_by_descriptor), EPERM);
	assert_int_equal(confined(gives_state_away), EPERM);
	assert_int_equal(confined(makes_link), KILLED);
	assert_int_equal(confined(truncates_outside), KILLED);
}

static int makes_inet_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? -errno : 0;
}

static int makes_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) < 0 ? -errno : 0;
}

static int makes_netlink_socket(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) < 0 ? -errno : 0;
}

static int makes_kernel_cipher(void)
{
	return socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) < 0 ? -errno : 0;
}

static void there_is_no_network(void **state)
{
	(void)state;
	assert_int_equal(confined(makes_inet_socket), EAFNOSUPPORT);
	assert_int_equal(confined(makes_packet_socket), EAFNOSUPPORT);
	assert_int_equal(confined(makes_netlink_socket), EAFNOSUPPORT);
	assert_int_equal(confined(makes_kernel_cipher), EAFNOSUPPORT);
	config.sandbox_network = true;
	assert_int_equal(confined(makes_inet_socket), 0);
	assert_int_equal(confined(makes_packet_socket), EAFNOSUPPORT);
}

static int executes(void)
{
	char *argv[] = {"true", NULL};

	(void)execv("/bin/true", argv);
	return -errno;
}

static int forks(void)
{
	return fork() < 0 ? -errno : 0;
}

static int traces(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? -errno : 0;
}

static int kills_parent(void)
{
	return kill(getppid(), 0) ? -errno : 0;
}

static int sets_limit(void)
{
	const struct rlimit limit = {0, 0};

	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

static int becomes_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) ? -errno : 0;
}

static int maps_code(void)
{
	const void *page = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -errno : 0;
}

/* As dlopen(3) does with a library, and an intruder with a memfd. */
static int maps_a_file_as_code(void)
{
	int fd = memfd_create("code", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4096))
		return -errno;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -errno
											 : 0;
}

static int makes_code_with_a_key(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return pkey_mprotect(page, 4096, PROT_READ | PROT_EXEC, -1) ? -errno : 0;
}

static int makes_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED || mprotect(page, 4096, PROT_READ | PROT_EXEC) ? -errno : 0;
}

static int enters_namespace(void)
{
	return unshare(CLONE_NEWUSER) ? -errno : 0;
}

static int loads_program(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) < 0 ? -errno : 0;
}

static void other_calls_are_the_end(void **state)
{
	(void)state;
	assert_int_equal(confined(executes), KILLED);
	assert_int_equal(confined(enters_namespace), KILLED);
	assert_int_equal(confined(loads_program), KILLED);
	if (SANITIZED)
		return; /* its runtime needs the rest */
	assert_int_equal(confined(forks), KILLED);
	assert_int_equal(confined(traces), KILLED);
	assert_int_equal(confined(kills_parent), KILLED);
	assert_int_equal(confined(sets_limit), KILLED);
	assert_int_equal(confined(becomes_dumpable), KILLED);
	assert_int_equal(confined(maps_code), EACCES);
	assert_int_equal(confined(maps_a_file_as_code), EACCES);
	assert_int_equal(confined(makes_code), EACCES);
	assert_int_equal(confined(makes_code_with_a_key), EACCES);
}

static void sandbox_paths_are_added(void **state)
{
	(void)state;
	config.sandbox_paths[0] = strdup(scratch_path("outside"));
	config.sandbox_path_count = 1;
	assert_int_equal(confined(reads_outside), 0);
	assert_int_equal(confined(writes_outside), 0);
	assert_int_equal(confined(makes_beside_socket), EACCES);
}

static void what_is_required_and_cannot_be_had_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(config_set(&config.state, scratch_path("none")), 0);
	assert_int_equal(confined(reads_proc), NOT_CONFINED);
	config.sandbox = SANDBOX_YES; /* system calls are, files are not */
	assert_int_equal(confined(reads_outside), 0);
	assert_int_equal(confined(executes), KILLED);
	config.sandbox = SANDBOX_NO;
	assert_int_equal(confined(executes), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(what_keyd_does_is_allowed),
		TEST(other_files_are_out_of_reach),
		TEST(there_is_no_network),
		TEST(other_calls_are_the_end),
		TEST(sandbox_paths_are_added),
		TEST(what_is_required_and_cannot_be_had_is_an_error),
	};

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0) {
		print_message("skipped: this kernel has no Landlock\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
