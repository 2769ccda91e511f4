/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What a disk may hold after a power cut, from the log of faulty.so (../fault/log.h): a write with RWF_DSYNC
 * is there once it has ended, any other once an fdatasync has ended that began after the write's end.
 * Of the rest each 512 bytes (or whatever the disk writes at once) may be there or not, in any order.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../fault/log.h"

enum { PENDING_MAX = 1 << 16, FLUSHES_MAX = 256, UNIT_BYTES = 512 };

struct pending_write {
	const struct log_record *record; /* its beginning; data follows */
	uint64_t number;                 /* of its beginning in the log */
	uint64_t ended_number;           /* 0: it has not */
	bool done;                       /* is on the disk */
};

struct pending_flush {
	uint32_t call;
	uint64_t number;
};

struct disk {
	const uint8_t *log, *log_end, *at;
	uint64_t number;            /* of records seen */
	uint64_t first_byte, bytes; /* of the file: where the LUN begins, how long it is */
	uint8_t *durable;           /* what is certainly there */
	uint64_t *written_by;       /* for each unit of it, the number of its write */
	struct pending_write *pending;
	size_t pending_count;
	struct pending_flush flush[FLUSHES_MAX];
	size_t flush_count;
};

/* Of a LUN of bytes bytes at first_byte of the file. 0 or -errno. The caller keeps *disk. */
int disk_open(struct disk *disk, const char *log_path, uint64_t first_byte, uint64_t bytes)
	__attribute__((warn_unused_result));

/* Takes in the log up to this time, which never goes back. 0, or -EINVAL: the log cannot be so. */
int disk_advance(struct disk *disk, uint64_t time_ns) __attribute__((warn_unused_result));

/* In image what a cut now may leave. Percent: how likely each torn_bytes of a pending write are there. */
void disk_cut(const struct disk *disk, unsigned percent, size_t torn_bytes, uint64_t *random,
	uint8_t *image);

void disk_close(struct disk *disk);

#endif
