/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What the initiators were promised by a time, from the lines that `writers` left: for each 512 bytes of
 * the LUN the least version that must be there, and the last that may be.
 */
#ifndef TESTS_PROMISE_H
#define TESTS_PROMISE_H

#include <stddef.h>
#include <stdint.h>

struct promised_command {
	char kind; /* W, D: a write, a durable one; F: a flush of all that was answered before it was sent */
	uint64_t sent_ns, answered_ns;
	uint64_t first_unit, units;
	uint32_t version;
};

struct promises {
	struct promised_command *command;
	size_t count;
	uint64_t start_ns, end_ns; /* between them every unit is stamped */
};

/* Allocates p->command. 0 or -errno. */
int promises_load(struct promises *p, const char *path) __attribute__((warn_unused_result));

/* For units units, at time_ns. */
void promises_at(
	const struct promises *p, uint64_t time_ns, uint32_t *least, uint32_t *most, size_t units);

/*
 * Checks units stamped units of the LUN. When sectors may be torn (sector_bytes above 512), the first AES
 * block after a tear may be noise: CBC, NIST SP 800-38A 6.2. Adds to *noise how many were. The
 * number of units that break the promise, the first with a line on stderr.
 */
uint64_t promises_broken(const uint8_t *plain, size_t units, const uint32_t *least,
	const uint32_t *most, size_t sector_bytes, uint64_t *noise);

#endif
