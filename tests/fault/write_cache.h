/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#ifndef TESTS_WRITE_CACHE_H
#define TESTS_WRITE_CACHE_H

#include "../tools/session.h"

enum { WRITE_CACHE_DATA_BYTES = 24 };

/* The data of a MODE SELECT (6) that switches the write cache off: the caching page as it is, without WCE. */
int write_cache_off_data(struct session *s, uint8_t data[WRITE_CACHE_DATA_BYTES])
	__attribute__((warn_unused_result));

/*
 * Switches the LUN's write cache off, for all its initiators. 0 or -EIO.
 */
int write_cache_off(struct session *s) __attribute__((warn_unused_result));

/* session_command(), once more after each unit attention. */
int attended_command(struct session *s, const uint8_t *cdb, size_t cdb_len, const void *out,
	size_t out_len, void *in, size_t in_cap, struct outcome *result)
	__attribute__((warn_unused_result));

#endif
