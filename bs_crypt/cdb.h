/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What a CDB asks for: the table of the opcodes that are served here, each with its decoder. Main
 * thread only.
 */
#ifndef BS_CRYPT_CDB_H
#define BS_CRYPT_CDB_H

#include "tgt.h"

#include "request.h"

enum claim_kind { CLAIM_NONE, CLAIM_SHARED, CLAIM_EXCLUSIVE };

enum { COMPARE_WRITE_BLOCKS_MAX = 128 }; /* what the block limits VPD page (B0h) tells */

/* A row of the table. */
struct decoder {
	uint8_t opcode;
	enum request_op op;
	enum claim_kind claim; /* of the range that the request names, range.h */
	enum outcome (*decode)(struct scsi_cmd *cmd, struct request *req);
};

/* Row i; NULL past the end. Static storage. */
const struct decoder *decoder_at(size_t i);

/* The opcode's row; NULL when it is not served here. */
const struct decoder *decoder_for(uint8_t opcode);

/*
 * Fills the request, whose extents the caller frees whatever the outcome and whose volume is set, with what cmd asks for by its row d (NULL: none), and takes
 * residuals. Anything but OUTCOME_GOOD is to be answered as it is, without any work.
 */
enum outcome cdb_decode(struct scsi_cmd *cmd, const struct decoder *d, struct request *req);

#endif
