/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A request's work, for the file that starts requests and the one that does them. */
#ifndef BS_CRYPT_REQUEST_PRIVATE_H
#define BS_CRYPT_REQUEST_PRIVATE_H

#include "request.h"

/* What a worker does with a piece of a request. */
struct request_work {
	enum outcome (*run)(struct request_piece *p);
	bool divisible;
	bool sliced; /* run() takes what it has done off the piece */
};

extern const struct request_work request_works[]; /* by enum request_op */

/* What a data call of the volume said (volume.h), as an outcome: of a cipher call, of a write or flush. */
enum outcome request_crypt_outcome(int rc);
enum outcome request_write_outcome(int rc);

static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

#endif
