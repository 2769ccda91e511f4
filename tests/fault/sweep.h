/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * One fault after the other, and all that is known of the LUN. The model is what every block holds: a
 * command that was answered GOOD has changed it, one that was not may have changed any of its blocks,
 * which reading them back tells; nothing else may have changed.
 */
#ifndef TESTS_SWEEP_H
#define TESTS_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control.h"
#include "write_cache.h"

enum {
	MARGIN_BLOCKS = 8, /* read back on both sides of a command */
	COMMAND_BYTES_MAX = 5 << 20,
};

struct sweep {
	/* From the command line. */
	const char *url, *control_path, *image, *reopen, *model_path;
	uint64_t faults_wanted, seed;
	uint32_t unit; /* bytes: what the file takes a part of */
	bool write_cache_off, thin, verbose;

	struct session session;
	struct faulty *control;
	uint64_t random;
	uint8_t *model, *want, *out,
		*back; /* the LUN; what a command's blocks should become; buffers */

	uint64_t passes, faults, told, commands, reopened;
	const char *doing; /* for complaints */
	uint8_t mode_data[WRITE_CACHE_DATA_BYTES];
};

/* On which LUNs a command is sent: with the write cache off, which it would switch off, or thin ones. */
enum only { ANYWHERE, CACHE_OFF, THIN };

/* A row of the table of commands: what it sends, and what becomes of its blocks. */
struct command_row {
	const char *name;
	uint8_t opcode, flags; /* bytes 0 and 1 of the CDB */
	uint32_t bytes_max;    /* 0: it has no range */
	bool writes;
	bool durable;     /* by itself */
	bool miscompares; /* its data differs from what is stored, so nothing is written */
	enum only only;
	/* Fills s->out from the model and s->want with the blocks to come. Returns the data's length. */
	size_t (*fill)(struct sweep *s, uint64_t lba, uint32_t blocks);
};

extern const struct command_row command_rows[];
extern const size_t command_row_count;

/* The same again for the same seed. */
uint64_t sweep_random(struct sweep *s, uint64_t below);

/* Sends the row's command for these blocks, after fill. 0, or -EIO when there is no answer. */
int command_send(struct sweep *s, const struct command_row *row, uint64_t lba, uint32_t blocks,
	size_t out_bytes, struct outcome *result) __attribute__((warn_unused_result));

/*
 * Logs in; with write_cache_off clears WCE with MODE SELECT. Again after the LUN was opened again.
 * 0, or -EIO after a line on stderr.
 */
int command_login(struct sweep *s) __attribute__((warn_unused_result));

/*
 * Reads the blocks and MARGIN_BLOCKS around them. Each must be as the model has it; those of the
 * command, if changed, may be as s->want has them, and must be if done. The model is then what was
 * read. 0, or -EIO after a line on stderr.
 */
int model_read_back(struct sweep *s, uint64_t lba, uint32_t blocks, bool changed, bool done)
	__attribute__((warn_unused_result));

/* Reads all of the LUN: it is the model. */
int model_compare(struct sweep *s) __attribute__((warn_unused_result));

/* Writes random data to all of the LUN, without faults. */
int model_fill(struct sweep *s) __attribute__((warn_unused_result));

int model_save(const struct sweep *s) __attribute__((warn_unused_result));

#endif
