/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Runs a fuzz target over the files of the folder that it is named after, once each: what fuzzing found stays mended. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#ifndef CORPUS
#error "CORPUS is the folder of all targets' inputs"
#endif

static int replay(const char *path)
{
	struct stat st;

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -1;
	uint8_t *data = malloc((size_t)st.st_size + 1);
	if (!data || read(fd, data, (size_t)st.st_size) != st.st_size)
		return -1;
	(void)close(fd);
	(void)LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	return 0;
}

int main(int argc, char *argv[])
{
	static const char prefix[] = "test_fuzz_";
	const char *name = strstr(argv[0], prefix);
	char dir[4096], path[4096 + 256];
	const struct dirent *entry;
	int count = 0;

	(void)snprintf(dir, sizeof(dir), "%s/%s", CORPUS, name ? name + sizeof(prefix) - 1 : "");
	if (argc > 1)
		return replay(argv[1]) ? EXIT_FAILURE : EXIT_SUCCESS;
	DIR *folder = name ? opendir(dir) : NULL;
	while (folder && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (replay(path)) {
			(void)printf("cannot read %s\n", path);
			return EXIT_FAILURE;
		}
		count++;
	}
	if (folder)
		(void)closedir(folder);
	/* As cmocka says it. */
	(void)printf("%s %d inputs\n", count ? "[       OK ]" : "[  FAILED  ]", count);
	return count ? EXIT_SUCCESS : EXIT_FAILURE;
}
