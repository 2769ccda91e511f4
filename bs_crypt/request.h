/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * One command's work on a volume, free of SCSI and tgt: split into pieces that the pool's workers
 * run, each piece moving data between the initiator's buffer, the cipher and the store. The last
 * piece to end completes the request on the main thread. What is small and needs no waiting is done
 * by the main thread itself: handing it over would take longer.
 *
 * An initiator's buffer may end inside a sector. Reads decrypt that sector into a buffer of their
 * own; writes merge the part with the rest of the stored sector, under the exclusive claim that the
 * caller holds on the range.
 */
#ifndef BS_CRYPT_REQUEST_H
#define BS_CRYPT_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "complete.h"
#include "pool.h"
#include "provision.h"
#include "volume.h"

enum request_op {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_WRITE_VERIFY,  /* writes, reads back from the store, compares */
	REQUEST_VERIFY,        /* compares the medium with data; with NULL only reads it */
	REQUEST_VERIFY_SAME,   /* compares each sector with data, which is one */
	REQUEST_COMPARE_WRITE, /* data: len_bytes to compare, then len_bytes to write */
	REQUEST_OR_WRITE,
	REQUEST_WRITE_SAME, /* data: one sector, or NULL for zeros */
	REQUEST_UNMAP,      /* extents, or the whole range when there is none */
	REQUEST_MAP,        /* what is mapped from offset_bytes on, into extents */
	REQUEST_FLUSH,
	REQUEST_PREFETCH,
};

/* WRITE SAME with LBDATA or PBDATA (SBC-2 5.40): each block begins with its own address. */
enum request_stamp { STAMP_NONE, STAMP_LBA32, STAMP_LBA64 };

enum outcome {
	OUTCOME_GOOD,
	OUTCOME_NOT_READY,
	OUTCOME_NO_ACCESS,
	OUTCOME_READ_ERROR,
	OUTCOME_WRITE_ERROR,
	OUTCOME_NO_SPACE,
	OUTCOME_INTERNAL,
	OUTCOME_MISCOMPARE,
	/* Set by command.c, which knows the CDB. */
	OUTCOME_SANITIZING,
	OUTCOME_INVALID_FIELD,
	OUTCOME_INVALID_OPCODE,
	OUTCOME_LBA_RANGE,
	OUTCOME_PARAMETER_LENGTH,
	OUTCOME_INVALID_PARAMETER,
	OUTCOME_WRITE_PROTECTED,
	OUTCOME_NO_MEDIUM,
	OUTCOME_COUNT,
};

struct request;

struct request_piece {
	struct pool_task task;
	struct request *request;
	uint64_t first_byte; /* from the request's start */
	uint64_t len_bytes;
};

struct request {
	/* Filled by the caller. */
	enum request_op op;
	struct volume *volume;
	uint64_t offset_bytes; /* on the LUN; whole sectors */
	uint64_t len_bytes;    /* of data on the LUN */
	uint8_t *data;         /* the initiator's; writes leave ciphertext in it */
	bool durable; /* writes: on the medium first (FUA, or write cache off); reads: FUA */
	enum request_stamp stamp;
	struct extent
		*extents; /* UNMAP: within the range; MAP: room for extent_count, then so many */
	unsigned extent_count;
	void (*done)(struct request *request); /* on the main thread */

	/* The result, valid in done. */
	_Atomic enum outcome outcome;     /* the first that was not good */
	_Atomic uint64_t miscompare_byte; /* first differing byte, from the request's start */

	/* Private to request.c. */
	bool encrypted; /* a write that had to stop half-way: data is ciphertext already */
	struct completion completion;
	atomic_uint pieces_left;
	struct request_piece first;   /* the only one, */
	struct request_piece *pieces; /* or all of them */
};

/*
 * Does a small read or write here and now, on the main thread, where nothing has to be waited for:
 * the page cache or memory answers. True when it is over, with outcome set and done not called.
 * False when request_start() must follow, which takes up what is begun. No other claim may conflict
 * (range.h). Main thread only.
 */
bool request_now(struct request *request) __attribute__((warn_unused_result));

/*
 * Starts the work; done is called later, never from within. The caller keeps request, volume and
 * data until then, and holds a claim on the range (range.h). Main thread only.
 */
void request_start(struct request *request);

/* What every request on the volume would end with now, before any work: GOOD, NOT_READY, NO_ACCESS. */
enum outcome request_status(struct volume *volume);

/* Completes a request with outcome without any work, as request_start() does. */
void request_fail(struct request *request, enum outcome outcome);

/*
 * How request_start() splits len_bytes of op over workers that are free: the number of pieces (at
 * least 1, at most workers) and in *piece_bytes the length of each but the last, a multiple of 4096.
 */
unsigned request_split(
	enum request_op op, uint64_t len_bytes, unsigned workers, uint64_t *piece_bytes);

#endif
