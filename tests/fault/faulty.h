/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What a test and faulty.so, preloaded into tgtd, share: a file of this structure, mapped by both.
 * faulty.so knows it as $FAULTY_CONTROL. Only calls on one file are counted, and one plan at a time
 * says which of them fails, and how.
 */
#ifndef TESTS_FAULTY_H
#define TESTS_FAULTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum call_kind {
	CALL_READ,  /* pread, preadv2 */
	CALL_WRITE, /* pwrite, pwritev2 */
	CALL_FLUSH, /* fdatasync, fsync */
	CALL_PUNCH, /* fallocate */
	CALL_KINDS
};

enum fault_how {
	FAULT_ERROR, /* returns the plan's error, and nothing is done */
	FAULT_SHORT, /* a part of the transfer, the plan's 256ths of it, is done */
	FAULT_NONE,  /* a transfer of no bytes */
	FAULT_SLOW,  /* done, after the plan's time */
	FAULT_HANG,  /* waits until the plan is cleared; then done */
};

struct fault_plan {
	enum call_kind kind;
	enum fault_how how;
	uint32_t nth;   /* the first call of the kind to be struck, from 1 */
	uint32_t burst; /* how many calls in a row */
	int32_t error;
	int32_t then_error; /* of the calls struck after the first; 0: as the first */
	uint32_t part;      /* of 256 */
	uint32_t
		unit; /* bytes: a part is a multiple of it, and what is too short for that is whole */
	uint32_t ms;
};

struct faulty {
	/* Written by the test. */
	uint64_t device, inode; /* of the file */
	atomic_bool armed;      /* the plan holds; it is not changed while it does */
	struct fault_plan plan;
	atomic_bool cold; /* reads that must not wait find nothing cached */
	atomic_bool
		takes_now;   /* writes that must not wait are taken, whatever the file system can */
	atomic_bool logging; /* writes and flushes go to $FAULTY_LOG (log.h) */

	/* Counted by faulty.so; zeroed by the test. */
	atomic_uint calls[CALL_KINDS];
	atomic_uint syncs;        /* flushes and RWF_DSYNC among them */
	atomic_uint seen;         /* calls of the plan's kind since it was armed */
	atomic_uint struck;       /* and of them, struck: */
	atomic_uint struck_now;   /*   RWF_NOWAIT, an error of which is asked about again */
	atomic_uint struck_error; /*   others, that returned an error or no bytes */
	atomic_uint struck_sync;  /*   and of these, flushes and RWF_DSYNC */
	atomic_uint hanging;      /* calls that wait now */
};

#endif
