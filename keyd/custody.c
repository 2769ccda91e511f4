/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "custody.h"

#include <string.h>

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

const struct custody *custody_of_store(int state_fd)
{
	for (size_t i = 0; custody_at(i); i++) {
		if (custodies[i]->present(state_fd))
			return custodies[i];
	}
	return NULL;
}
