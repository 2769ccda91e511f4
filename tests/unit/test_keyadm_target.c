/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The file that becomes a volume: made anew, locked, allocated, removed again if it fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/magic.h>

#include <cmocka.h>

#include "../../keyd/keyadm/keyadm_target.h"
#include "faults.h"

enum { MIB = 1024 * 1024 };

static char dir[] = "/tmp/test_keyadm_target.XXXXXX";
static char path[PROTO_PATH_BYTES];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/lun.img", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int remove_file(void **state)
{
	(void)state;
	(void)unlink(path);
	return 0;
}

static void put_file(const char *content)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(content, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static bool there(void)
{
	return access(path, F_OK) == 0;
}

static void a_new_file_is_private_and_removed_unless_kept(void **state)
{
	struct target t;
	struct stat st;

	(void)state;
	assert_int_equal(target_open(&t, path, false), 0);
	assert_true(t.created);
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fcntl(t.fd, F_GETFD), FD_CLOEXEC);
	target_close(&t, false);
	assert_false(there());

	assert_int_equal(target_open(&t, path, true), 0);
	target_close(&t, true);
	assert_true(there());
}

static void an_existing_file_needs_force_and_is_never_removed(void **state)
{
	struct target t;

	(void)state;
	put_file("precious");
	assert_int_equal(target_open(&t, path, false), -EEXIST);
	assert_true(there());
	assert_int_equal(target_open(&t, path, true), 0);
	assert_false(t.created);
	assert_int_equal(t.size_bytes, 8);
	target_close(&t, false);
	assert_true(there());
}

static void a_dangling_link_is_not_followed(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(target_open(&t, path, false), -EEXIST);
	assert_int_equal(target_open(&t, path, true), -ENOENT);
}

static void a_locked_file_is_refused_even_with_force(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct target t, second;

	(void)state;
	put_file("served");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(target_open(&t, path, true), -EBUSY);
	(void)close(fd);

	assert_int_equal(target_open(&t, path, true), 0);
	assert_int_equal(target_open(&second, path, true), -EBUSY);
	target_close(&t, true);
	assert_true(there());
}

static void what_is_no_file_is_refused(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(target_open(&t, dir, true), -EINVAL);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(target_open(&t, path, true), -EINVAL);
	assert_int_equal(target_open(&t, "/nowhere/lun.img", false), -ENOENT);
}

static void allocation_reserves_every_block(void **state)
{
	struct target t;
	struct stat st;

	(void)state;
	assert_int_equal(target_open(&t, path, false), 0);
	assert_int_equal(target_allocate(&t, 3 * MIB + 512), 0);
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_int_equal(st.st_size, 3 * MIB + 512);
	assert_true(st.st_blocks * 512 >= 3 * MIB);
	target_close(&t, false);
}

static struct {
	long type;
	bool keeps_flags; /* the file is empty */
	unsigned int flags;
} fake_fs;

int fstatfs(int fd, struct statfs *fs)
{
	int rc = (int)syscall(SYS_fstatfs, fd, fs);

	if (fake_fs.type)
		fs->f_type = fake_fs.type;
	return rc;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	unsigned int *flags = va_arg(ap, unsigned int *);
	va_end(ap);

	if (!fake_fs.type)
		return (int)syscall(SYS_ioctl, fd, request, flags);
	if (request == FS_IOC_SETFLAGS && fake_fs.keeps_flags)
		fake_fs.flags = *flags;
	else if (request == FS_IOC_GETFLAGS)
		*flags = fake_fs.flags;
	return 0;
}

static void a_thick_file_on_btrfs_is_written_in_place_or_refused(void **state)
{
	struct target t;

	(void)state;
	fake_fs.type = BTRFS_SUPER_MAGIC;
	fake_fs.keeps_flags = true;
	assert_int_equal(target_open(&t, path, false), 0);
	assert_int_equal(target_allocate(&t, MIB), 0);
	assert_int_equal(fake_fs.flags, FS_NOCOW_FL);
	target_close(&t, true);
	fake_fs.keeps_flags = false;
	assert_int_equal(target_open(&t, path, true), 0);
	assert_int_equal(target_allocate(&t, MIB), 0); /* it says so already */
	fake_fs.flags = 0;
	assert_int_equal(target_allocate(&t, MIB), -EOPNOTSUPP);
	assert_int_equal(target_extend(&t, 2 * MIB), 0); /* a thin one was promised nothing */
	target_close(&t, true);
	fake_fs.type = 0;
}

static void allocation_fails_without_room(void **state)
{
	struct rlimit old, small = {2 * MIB, RLIM_INFINITY};
	struct target t;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(target_open(&t, path, false), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(target_allocate(&t, 4 * MIB), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	target_close(&t, false);
	assert_false(there());
}

static void a_signal_stops_the_allocation(void **state)
{
	const volatile sig_atomic_t stop = 1;
	struct target t;

	(void)state;
	assert_int_equal(target_open(&t, path, false), 0);
	t.stop = &stop;
	assert_int_equal(target_allocate(&t, 4 * MIB), -EINTR);
	target_close(&t, false);
	assert_false(there());
}

static int stop_after_first(void *arg)
{
	return ++*(int *)arg > 1 ? -ECANCELED : 0;
}

static void a_file_grows_or_is_as_long_as_before(void **state)
{
	struct rlimit old, small = {4 * MIB, RLIM_INFINITY};
	struct target t, second;
	struct stat st;
	int steps = 0;
	const struct target_watch watch = {stop_after_first, &steps};
	static const uint64_t first_end = 64 * MIB, far = (uint64_t)600 * MIB;

	(void)state;
	put_file("data");
	assert_int_equal(target_open_volume(&t, path), 0);
	assert_int_equal(target_open_volume(&second, path), -EBUSY);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(target_grow(&t, 4, 8 * MIB, &watch), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(target_grow(&t, 4, far, &watch), -ECANCELED); /* by the second step */
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_int_equal(st.st_size, 4);
	steps = 0;
	assert_int_equal(target_grow(&t, 4, first_end, &watch), 0);
	assert_int_equal(steps, 1);
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_int_equal(st.st_size, first_end);
	assert_true((uint64_t)st.st_blocks * 512 >= first_end);
	target_close(&t, true);
	assert_true(there());
}

static void the_header_is_copied_to_the_start_and_nothing_else_changes(void **state)
{
	static uint8_t header[3 * 65536 + 17], back[sizeof(header) + 2];
	int memfd = memfd_create("header", MFD_CLOEXEC);
	struct target t;

	(void)state;
	for (size_t i = 0; i < sizeof(header); i++)
		header[i] = (uint8_t)(i * 7 + 1);
	assert_int_equal(write(memfd, header, sizeof(header)), sizeof(header));
	assert_int_equal(target_open(&t, path, false), 0);
	assert_int_equal(pwrite(t.fd, "xyz", 3, sizeof(header)), 3);
	assert_int_equal(target_write_header(&t, memfd, sizeof(header)), 0);
	assert_int_equal(pread(t.fd, back, sizeof(back), 0), sizeof(back));
	assert_memory_equal(back, header, sizeof(header));
	assert_memory_equal(back + sizeof(header), "xy", 2);
	assert_int_equal(target_write_header(&t, memfd, sizeof(header) + 1), -EIO);
	target_close(&t, false);
	(void)close(memfd);
}

static void a_path_becomes_absolute_with_its_folder_resolved(void **state)
{
	char resolved[PROTO_PATH_BYTES], link[PROTO_PATH_BYTES], expected[2 * PROTO_PATH_BYTES];

	(void)state;
	(void)snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink(".", link), 0);
	assert_int_equal(chdir(link), 0);
	(void)snprintf(expected, sizeof(expected), "%s/a", dir);
	assert_int_equal(target_resolve("a", true, resolved), 0);
	assert_string_equal(resolved, expected);
	assert_int_equal(target_resolve("../link/./link/a", true, resolved), -ENOENT);
	assert_int_equal(target_resolve("link/link/a", true, resolved), 0);
	assert_string_equal(resolved, expected);
	assert_int_equal(target_resolve("link", true, resolved), 0); /* the last part stays */
	(void)snprintf(expected, sizeof(expected), "%s/link", dir);
	assert_string_equal(resolved, expected);
	assert_int_equal(target_resolve("/a", true, resolved), 0);
	assert_string_equal(resolved, "/a");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(unlink(link), 0);
}

static void a_path_may_have_gone_unless_it_must_exist(void **state)
{
	char resolved[PROTO_PATH_BYTES];

	(void)state;
	assert_int_equal(target_resolve("/gone/lun.img", true, resolved), -ENOENT);
	assert_int_equal(target_resolve("/gone/lun.img", false, resolved), 0);
	assert_string_equal(resolved, "/gone/lun.img");
	assert_int_equal(target_resolve("gone/lun.img", false, resolved), -ENOENT);
}

static void a_path_that_names_no_file_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "/", ".", "..", "/tmp/", "/tmp/.", "/tmp/..", "a\nb", "\033[2J", "/tmp/\xff"};
	char resolved[PROTO_PATH_BYTES], huge[PROTO_PATH_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(target_resolve(bad[i], true, resolved), -EINVAL);
	memset(huge, 'x', sizeof(huge));
	huge[PROTO_PATH_BYTES] = '\0';
	assert_int_equal(target_resolve(huge, true, resolved), -ENAMETOOLONG);
	huge[PROTO_PATH_BYTES - 1] = '\0';
	assert_int_equal(target_resolve(huge, true, resolved), -ENAMETOOLONG);
}

/* As keyadm makes a volume's file. */
static int make_volume_file(int header_fd, size_t header_bytes)
{
	struct target t;

	int err = target_open(&t, path, false);
	if (err)
		return err;
	err = target_allocate(&t, 3 * MIB);
	if (!err)
		err = target_write_header(&t, header_fd, header_bytes);
	target_close(&t, !err);
	return err;
}

static void whichever_call_fails_the_file_is_whole_or_gone(void **state)
{
	int memfd = memfd_create("header", MFD_CLOEXEC);
	unsigned failed = 0;
	struct stat st;

	(void)state;
	assert_int_equal(ftruncate(memfd, MIB), 0);
	faults_begin();
	do {
		faults_run();
		faults_arm();
		int err = make_volume_file(memfd, MIB);
		faults_disarm();
		faults_end();
		failed += faults_fired() != NULL;
		if (err && there() && strcmp(faults_fired(), "unlinkat") != 0)
			fail_msg("%s() failed and the file is left", faults_fired());
		if (!err)
			assert_true(!stat(path, &st) && st.st_size == 3 * MIB);
		(void)unlink(path);
	} while (faults_fired());
	assert_true(failed > 5);
	(void)close(memfd);
}

#define FILE_TEST(name) cmocka_unit_test_teardown(name, remove_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(a_new_file_is_private_and_removed_unless_kept),
		FILE_TEST(an_existing_file_needs_force_and_is_never_removed),
		FILE_TEST(a_dangling_link_is_not_followed),
		FILE_TEST(a_locked_file_is_refused_even_with_force),
		FILE_TEST(what_is_no_file_is_refused),
		FILE_TEST(allocation_reserves_every_block),
		FILE_TEST(a_thick_file_on_btrfs_is_written_in_place_or_refused),
		FILE_TEST(allocation_fails_without_room),
		FILE_TEST(a_signal_stops_the_allocation),
		FILE_TEST(a_file_grows_or_is_as_long_as_before),
		FILE_TEST(the_header_is_copied_to_the_start_and_nothing_else_changes),
		FILE_TEST(a_path_becomes_absolute_with_its_folder_resolved),
		FILE_TEST(a_path_may_have_gone_unless_it_must_exist),
		FILE_TEST(a_path_that_names_no_file_is_refused),
		FILE_TEST(whichever_call_fails_the_file_is_whole_or_gone),
	};
	return cmocka_run_group_tests_name("keyadm_target", tests, make_dir, remove_dir);
}
