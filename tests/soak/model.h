/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What a LUN may hold: for each block the contents that are possible after all that was sent and
 * answered. One content when all is quiet; several while writes are under way, or after writes that
 * failed. Each write is one change of all its blocks at a moment between its start and its end, so
 * what a command saw of several blocks must fit together, too.
 *
 * Time is a counter: model_now() is later than all before it. One thread.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VALUES_MAX = 48 }; /* of a block, before nothing more should be written to it unread */

#define NEVER UINT64_MAX

/* A block's bytes, shared by all that hold them. */
struct content {
	unsigned refs;
	uint8_t bytes[];
};

/* A command that changes blocks, as long as something of it may be seen. */
struct writer {
	unsigned refs;
	uint64_t number; /* of its command; 0: what was there before */
	uint64_t first_lba;
	uint32_t blocks;
	uint64_t start, end; /* end: NEVER while it is under way */
	bool whole;          /* answered with GOOD: all of it happened */
};

struct value {
	struct content *content;
	struct writer *by;
	uint64_t over; /* when a later write made it impossible, or NEVER */
	bool seen;
};

struct block {
	struct value *value;
	uint32_t values, room;
	uint32_t changing; /* writers under way */
	bool alone;        /* one of them depends on what was there before */
	uint64_t last_end; /* of a writer */
};

struct model {
	uint32_t block_bytes;
	uint64_t blocks;
	struct block *block;
	uint64_t clock, oldest; /* no command under way began before oldest */
	bool may_fail;          /* writes may fail half-way: levels are suspended */
	char why[512];          /* of the last failed check */
};

/* All of it one writer's that is over: bytes holds every block. 0 or -ENOMEM. */
int model_init(struct model *m, uint32_t block_bytes, uint64_t blocks, const uint8_t *bytes)
	__attribute__((warn_unused_result));
void model_free(struct model *m);

uint64_t model_now(struct model *m);

/* What the write's i-th block gets; old is what it holds, or NULL when it does not depend on that. */
typedef void (*content_fn)(const void *arg, uint32_t i, const uint8_t *old, uint8_t *bytes);

/*
 * A write begins. With depends, what a block gets depends on what it holds: no other may be under way
 * or begin there before its end (model_changing()). The caller gives *w to model_write_end() once.
 */
struct writer *model_write_begin(struct model *m, uint64_t number, uint64_t lba, uint32_t blocks,
	bool depends, content_fn fn, const void *arg) __attribute__((warn_unused_result));

enum write_end {
	WRITE_DONE,   /* GOOD */
	WRITE_FAILED, /* an error: each block may be old or new */
	WRITE_NOT,    /* refused before anything was done */
};

/* 0, or -1 with m->why: what was refused had been seen. */
int model_write_end(struct model *m, struct writer *w, enum write_end how)
	__attribute__((warn_unused_result));

/* Writers under way, or one that must be alone, on any of the blocks; or many values. */
bool model_changing(const struct model *m, uint64_t lba, uint32_t blocks);
bool model_alone(const struct model *m, uint64_t lba, uint32_t blocks);
bool model_crowded(const struct model *m, uint64_t lba, uint32_t blocks);

/*
 * A command that began at start and is over now saw bytes (len_bytes, the last block may be a part)
 * from lba on: could it? It did not see what except wrote. 0, or -1 with m->why.
 */
int model_saw(struct model *m, uint64_t start, uint64_t lba, const uint8_t *bytes, size_t len_bytes,
	const struct writer *except) __attribute__((warn_unused_result));

/* Could it have seen anything else than that? 0, or -1 with m->why. */
int model_missed(struct model *m, uint64_t start, uint64_t lba, const uint8_t *bytes,
	size_t len_bytes, const struct writer *except) __attribute__((warn_unused_result));

/* A content that the block may hold now; true when there is no other. */
bool model_guess(const struct model *m, uint64_t lba, uint8_t *bytes);

#endif
