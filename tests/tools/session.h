/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A logged-in iSCSI session with one LUN, and SCSI commands sent one at a time. */
#ifndef TESTS_SESSION_H
#define TESTS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

enum { COMMAND_TIMEOUT_S = 20 };

struct session {
	struct iscsi_context *iscsi;
	int lun;
	uint32_t block_bytes;
	uint64_t blocks;
};

/* How a command ended. */
struct outcome {
	int status; /* SCSI status byte, or libiscsi's SCSI_STATUS_CANCELLED and above: no answer */
	uint8_t key, asc, ascq; /* with CHECK CONDITION */
	bool has_info;
	uint32_t info;         /* INFORMATION of fixed-format sense data */
	size_t residual_bytes; /* underflow */
	size_t in_bytes;       /* data that came back */
};

uint64_t monotonic_ns(void);

/*
 * Logs in to the URL under a name of its own, takes unit attentions away and asks for the capacity.
 * Without reconnect a lost connection ends every command with SCSI_STATUS_CANCELLED; with it
 * libiscsi logs in again and repeats them. 0, or -EIO after a line on stderr.
 */
int session_open(struct session *s, const char *url, bool reconnect)
	__attribute__((warn_unused_result));

/* The same with another timeout than COMMAND_TIMEOUT_S for the login and every command. */
int session_open_within(struct session *s, const char *url, bool reconnect, int timeout_s)
	__attribute__((warn_unused_result));

void session_close(struct session *s);

/*
 * Sends one CDB with out_len bytes of out or room for in_cap bytes at in (not both) and waits.
 * 0 when the target answered, whatever it said; -EIO when it did not.
 */
int session_command(struct session *s, const uint8_t *cdb, size_t cdb_len, const void *out,
	size_t out_len, void *in, size_t in_cap, struct outcome *result)
	__attribute__((warn_unused_result));

/* READ (16) or WRITE (16), flags as in byte 1 of the CDB. The buffer holds blocks whole blocks. */
int session_read(struct session *s, uint64_t lba, uint32_t blocks, void *buf,
	struct outcome *result) __attribute__((warn_unused_result));
int session_write(struct session *s, uint64_t lba, uint32_t blocks, const void *buf, uint8_t flags,
	struct outcome *result) __attribute__((warn_unused_result));

/* A READ (16) or WRITE (16) style CDB: opcode, flags, 64-bit LBA, 32-bit block count. */
void cdb_16(uint8_t cdb[16], uint8_t opcode, uint8_t flags, uint64_t lba, uint32_t blocks);

/* Takes status and sense from a finished task. */
void outcome_of_task(struct outcome *result, const struct scsi_task *task);

/* "ok", "07/74/71" (key/asc/ascq, hex), "status-18" or "lost". Returns text. */
const char *outcome_text(const struct outcome *result, char text[16]);

#endif
