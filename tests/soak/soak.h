/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The soak: several initiators send random commands, of all kinds that a disk serves, to one LUN; a
 * model (model.h) knows what each may answer. A run's commands follow from its seed and from nothing
 * else but what must not be under way together; with one connection and depth 1 a run is repeated
 * exactly.
 */
#ifndef TESTS_SOAK_H
#define TESTS_SOAK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model.h"
#include "../tools/session.h"

enum {
	SOAK_CONNECTIONS_MAX = 16,
	SOAK_DEPTH_MAX = 64,
	SOAK_CDB_BYTES = 16,
	SOAK_TRANSFER_MAX = 1 << 20,
	SOAK_BUFFER_BYTES = SOAK_TRANSFER_MAX + (64 << 10),
	SOAK_KINDS_MAX = 64,
	SOAK_LBA_6_MAX = 0x1fffff,
	SOAK_LBDATA = 0x02, /* WRITE SAME: each block begins with its LBA, in 32 bits, */
	SOAK_PBDATA = 0x04, /* or in 64 */
};

struct soak;
struct soak_connection;
struct soak_op;

/* A row of the table of commands. */
struct soak_kind {
	const char *name;
	uint8_t opcode;
	unsigned weight; /* how often, among the sum of all */
	/* Fills op from its lba, blocks and random. False: not now. */
	bool (*make)(struct soak *k, struct soak_op *op);
	/* The command is over with GOOD or CONDITION MET. 0, or -1 with model.why. */
	int (*judge)(struct soak *k, struct soak_op *op);
	bool no_range; /* has neither LBA nor length */
	bool thin;     /* only where the LUN says that it is thin (LBPME) */
};

struct soak_op {
	struct soak_connection *conn;
	const struct soak_kind *kind;
	uint64_t number, start;
	uint64_t random; /* its own generator's state */
	uint8_t cdb[SOAK_CDB_BYTES];
	size_t cdb_len;
	uint64_t lba;
	uint32_t blocks;            /* as the CDB says; for 0 see effective */
	uint32_t changes;           /* blocks from lba on that it writes */
	size_t out_bytes, in_bytes; /* what the initiator says that it will transfer */
	uint8_t *buf;               /* SOAK_BUFFER_BYTES */
	int64_t residual; /* positive: less was transferred than expected; negative: too much */
	struct writer *writer; /* of what changes blocks */
	uint8_t key, asc;      /* the sense it must have; 0: GOOD */
	bool may_miscompare;   /* 0e/1d/00 is judged as well */
	bool active;
};

struct soak_connection {
	struct session session;
	struct soak *soak;
	unsigned index;
	struct soak_op op[SOAK_DEPTH_MAX];
	unsigned in_flight;
	uint64_t random;
	uint64_t own_first, own_blocks; /* no other connection goes there */
	uint64_t pause_until_ns;
	bool dead;
};

struct soak {
	/* Asked for. */
	const char *url, *log_path, *image_path;
	uint64_t ops, seed;
	unsigned connections, depth, seconds;
	bool suspended; /* not ready (02/04/01) is an answer: levels are suspended meanwhile */

	/* Known of the LUN. */
	uint32_t block_bytes;
	uint64_t blocks;
	uint64_t shared_first; /* from here on blocks are everybody's */
	bool thin;

	struct model model;
	struct soak_connection *conn;
	uint64_t sent, done, refused, not_ready, miscompared, moved_bytes, slowest_ns;
	uint64_t per_kind[SOAK_KINDS_MAX];
	FILE *log;
	bool failed;
};

/* contents.c. Numbers follow from the state alone; below gives 0 to below - 1. */
uint64_t soak_random(uint64_t *state);
uint32_t soak_below(struct soak_op *op, uint32_t below);
bool soak_one_in(struct soak_op *op, uint32_t n);
void soak_put_be(uint8_t *p, size_t bytes, uint64_t value);

/* Blocks of noise that say by which command they are and where they belong. */
void soak_fill(const struct soak *k, struct soak_op *op, uint8_t *buf, uint32_t blocks);

/* What a command leaves in its i-th block: content_fn (model.h) with this as arg. */
struct soak_making {
	const struct soak *k;
	const struct soak_op *op;
};
void soak_from_buffer(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes);
void soak_from_second_half(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes);
void soak_ored(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes);
void soak_all_the_same(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes);
void soak_zeros(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes);

/* commands.c: the table, ended by a row without name. */
extern const struct soak_kind soak_kinds[];

/* choose.c: the next command of a connection, from its generator. False when there is none just now. */
bool soak_choose(struct soak *k, struct soak_op *op) __attribute__((warn_unused_result));

/* run.c: sends until all is done, answered and judged, or something is wrong. 0 or -1. */
int soak_run(struct soak *k) __attribute__((warn_unused_result));

#endif
