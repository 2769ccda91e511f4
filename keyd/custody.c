/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "custody.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "durable.h"

static const struct custody *const custodies[] = {
	&custody_file,
	&custody_passphrase,
};

const struct custody *custody_at(size_t i)
{
	return i < sizeof(custodies) / sizeof(custodies[0]) ? custodies[i] : NULL;
}

const struct custody *custody_find(const char *name)
{
	for (size_t i = 0; custody_at(i); i++) {
		if (!strcmp(name, custodies[i]->name))
			return custodies[i];
	}
	return NULL;
}

int custody_of_store(int dir_fd, const struct custody **custody)
{
	struct stat st;

	*custody = NULL;
	for (size_t i = 0; custody_at(i); i++) {
		if (fstatat(dir_fd, custodies[i]->file, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (*custody)
			return -ENOTUNIQ;
		*custody = custodies[i];
	}
	return 0;
}

void custody_file_name(const struct custody *custody, const struct custody_place *place,
	char name[CUSTODY_FILE_NAME_BYTES])
{
	(void)snprintf(name, CUSTODY_FILE_NAME_BYTES, "%s%s",
		place->next ? DURABLE_NEXT_PREFIX : "", custody->file);
}

int custody_erase_file(const struct custody *custody, const struct custody_place *place)
{
	char name[CUSTODY_FILE_NAME_BYTES];

	custody_file_name(custody, place, name);
	return durable_erase(place->dir_fd, name, true);
}
