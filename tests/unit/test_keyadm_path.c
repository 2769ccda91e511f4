/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A name that keyadm opens as root leads nowhere that another user chose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/keyadm/keyadm_path.h"

enum { STRANGER = 3999 };

static char dir[] = "/tmp/test_keyadm_path.XXXXXX";
static char names[4][PATH_MAX];

/* Paths below the test's directory; the last four stay valid. */
static const char *at(const char *name)
{
	static unsigned next;
	char *path = names[next++ % 4];

	(void)snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[PATH_MAX];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'/*", dir);
	return system(command);
}

static int remove_all(void **state)
{
	(void)remove_dir(state);
	return rmdir(dir);
}

static void put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
}

static void make(const char *path, mode_t mode, uid_t uid)
{
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, uid, uid), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int opens(const char *path)
{
	int fd = keyadm_path_open(path, O_RDWR, true);

	if (fd >= 0)
		(void)close(fd);
	return fd < 0 ? fd : 0;
}

static int creates(const char *path)
{
	int fd = keyadm_path_create(path, O_WRONLY, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd < 0 ? fd : 0;
}

static void a_trusted_way_is_taken(void **state)
{
	(void)state;
	make(at("d"), 0755, 0);
	assert_int_equal(creates(at("d/file")), 0);
	assert_int_equal(creates(at("d/file")), -EEXIST);
	assert_int_equal(opens(at("d/file")), 0);
	assert_int_equal(opens(at("d/../d/./file")), 0);
	assert_int_equal(opens(at("d/none")), -ENOENT);
	assert_int_equal(opens(at("none/file")), -ENOENT);
	assert_int_equal(opens(at("d/file/x")), -ENOTDIR);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(opens("d/file"), 0);
	assert_int_equal(opens("./d//file"), 0);
	assert_int_equal(chdir("/"), 0);
}

static void a_directory_that_others_can_change_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		uid_t uid;
		int err;
	} rows[] = {
		{0755, STRANGER, -EACCES}, {0777, 0, -EACCES}, {0757, 0, -EACCES},
		{0775, STRANGER, -EACCES}, {0700, 0, 0}, {01777, 0, 0},
		{0775, 0, 0}, /* root's own group */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(at("d"), rows[i].mode, rows[i].uid);
		make(at("d/below"), 0755, 0);
		put(at("d/file"));
		put(at("d/below/file"));
		assert_int_equal(opens(at("d/file")), rows[i].err);
		assert_int_equal(opens(at("d/below/file")), rows[i].err);
		assert_int_equal(creates(at("d/new")), rows[i].err);
		(void)remove_dir(state);
	}
	make(at("d"), 0755, 0);
	assert_int_equal(chown(at("d"), 0, STRANGER), 0);
	assert_int_equal(chmod(at("d"), 0775), 0);
	assert_int_equal(creates(at("d/new")), -EACCES);
}

static void sudo_names_another_caller(void **state)
{
	(void)state;
	make(at("d"), 0755, STRANGER);
	put(at("d/file"));
	assert_int_equal(setenv("SUDO_UID", "3999", 1), 0);
	assert_int_equal(opens(at("d/file")), 0);
	assert_int_equal(setenv("SUDO_UID", "3999x", 1), 0);
	assert_int_equal(opens(at("d/file")), -EACCES);
	assert_int_equal(setenv("SUDO_UID", "", 1), 0);
	assert_int_equal(opens(at("d/file")), -EACCES);
	assert_int_equal(unsetenv("SUDO_UID"), 0);
}

static void a_planted_link_is_refused_and_the_administrators_is_followed(void **state)
{
	(void)state;
	make(at("d"), 01777, 0);
	make(at("real"), 0755, 0);
	put(at("real/file"));
	assert_int_equal(symlink("../real/file", at("d/mine")), 0);
	assert_int_equal(symlink(at("real"), at("d/folder")), 0);
	assert_int_equal(opens(at("d/mine")), 0);
	assert_int_equal(opens(at("d/folder/file")), 0);
	assert_int_equal(creates(at("d/mine")), -EEXIST);
	assert_int_equal(lchown(at("d/mine"), STRANGER, STRANGER), 0);
	assert_int_equal(lchown(at("d/folder"), STRANGER, STRANGER), 0);
	assert_int_equal(opens(at("d/mine")), -EACCES);
	assert_int_equal(opens(at("d/folder/file")), -EACCES);
	assert_int_equal(creates(at("d/folder/new")), -EACCES);
	assert_int_equal(symlink("nowhere", at("dangling")), 0);
	assert_int_equal(opens(at("dangling")), -ENOENT);
	assert_int_equal(creates(at("dangling")), -EEXIST);
	assert_int_equal(symlink("loop", at("loop")), 0);
	assert_int_equal(opens(at("loop")), -ELOOP);
	assert_int_equal(creates(at("loop/x")), -ELOOP);
}

static void a_hard_link_may_have_been_planted_where_others_create_files(void **state)
{
	(void)state;
	make(at("d"), 01777, 0);
	put(at("file"));
	assert_int_equal(link(at("file"), at("d/linked")), 0);
	assert_int_equal(opens(at("d/linked")), -EACCES);
	assert_int_equal(opens(at("file")), 0);
}

/* Opening a FIFO would wait, opening a tape rewinds it. */
static void what_is_no_file_is_not_opened(void **state)
{
	char longest[PATH_MAX + 8];

	(void)state;
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(opens(at("fifo")), -EINVAL);
	assert_int_equal(opens(dir), -EINVAL);
	assert_int_equal(opens("/"), -EINVAL);
	assert_int_equal(opens("/dev/null"), -EINVAL);
	assert_int_equal(keyadm_path_read("/dev/null"), -EINVAL);
	assert_int_equal(keyadm_path_read(dir), -EINVAL);
	assert_int_equal(keyadm_path_read(at("none")), -ENOENT);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(opens(longest), -ENAMETOOLONG);
	longest[0] = '/';
	longest[300] = '\0';
	assert_int_equal(opens(longest), -ENAMETOOLONG);
}

static void a_pipe_can_be_read(void **state)
{
	char path[32], byte = 0;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	assert_int_equal(write(ends[1], "x", 1), 1);
	int fd = keyadm_path_read(path);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	(void)close(fd);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

#define DIR_TEST(name) cmocka_unit_test_teardown(name, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIR_TEST(a_trusted_way_is_taken),
		DIR_TEST(a_directory_that_others_can_change_is_refused),
		DIR_TEST(sudo_names_another_caller),
		DIR_TEST(a_planted_link_is_refused_and_the_administrators_is_followed),
		DIR_TEST(a_hard_link_may_have_been_planted_where_others_create_files),
		DIR_TEST(what_is_no_file_is_not_opened),
		DIR_TEST(a_pipe_can_be_read),
	};

	(void)umask(022);
	if (geteuid() != 0) {
		(void)printf("1..0 # SKIP needs root: files of other users are made\n");
		return 0;
	}
	return cmocka_run_group_tests_name("keyadm_path", tests, make_dir, remove_all);
}
