/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A file for a store, and what the kernel does with it: the calls below stand in for the C library's
 * and do what the test asks for, or leave it to the kernel.
 *
 * Include after cmocka.h.
 */
#ifndef TESTS_FAKE_KERNEL_H
#define TESTS_FAKE_KERNEL_H

#include <stdbool.h>
#include <sys/types.h>

#include "store.h"

/* Zero: leave it to the kernel, as is the case when a test begins. */
struct kernel {
	ssize_t now_returns; /* of the calls with RWF_NOWAIT: a length, or -errno */
	ssize_t write_fails; /* -errno of the others */
	int read_fails;      /* errno of pread(2) */
	size_t at_most;      /* bytes of a transfer */
	bool interrupted;    /* the next transfer, flush or hole, once */
	int punch_fails;     /* errno of fallocate(2) */
	bool block_device;   /* is what the file looks like */
	bool no_dioalign;    /* statx(2) does not know it */
	bool no_direct;      /* statx(2) knows that it is not possible */
};

extern struct kernel kernel;
extern unsigned now_calls, dsync_calls,
	other_calls; /* preadv2(2) and pwritev2(2), by their flags */

extern uint64_t punched_first, punched_bytes; /* the last hole that fallocate(2) was asked for */

extern char path[64]; /* of the test's file: 8 KiB of zeros */
extern const struct store_flags plain_flags;

#define ON_FILE(f)   cmocka_unit_test_setup_teardown(f, make_file, remove_file)
#define IN_MEMORY(f) cmocka_unit_test_setup_teardown(f, make_file_in_memory, remove_file)
int make_file(void **state);
int make_file_in_memory(void **state);
int remove_file(void **state);

#endif
