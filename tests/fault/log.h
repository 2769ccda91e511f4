/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What faulty.so writes to $FAULTY_LOG: each write and flush of the file when it begins, with its
 * data, and when it has ended. Times are CLOCK_MONOTONIC, taken before a call's beginning is logged and
 * after its end: at no time is anything on the disk that the log does not have by then.
 */
#ifndef TESTS_LOG_H
#define TESTS_LOG_H

#include <stdint.h>

enum log_what { LOG_WRITE_BEGINS, LOG_WRITE_ENDED, LOG_FLUSH_BEGINS, LOG_FLUSH_ENDED };

struct log_record {
	uint64_t time_ns;
	uint64_t offset_bytes;
	uint32_t what;
	uint32_t call;      /* the same number for beginning and end */
	uint32_t len_bytes; /* beginnings of writes: of the data that follows */
	int32_t result;     /* ends: bytes or 0, or -errno; beginnings: the RWF_ flags */
};

#endif
