/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN_WRITERS_MAX = 64 };

uint64_t model_now(struct model *m)
{
	return ++m->clock;
}

static struct content *content_new(const struct model *m)
{
	struct content *c = malloc(sizeof(*c) + m->block_bytes);

	if (!c)
		abort(); /* a test without memory has no result */
	c->refs = 1;
	return c;
}

static void content_put(struct content *c)
{
	if (!--c->refs)
		free(c);
}

static struct writer *writer_new(uint64_t number, uint64_t lba, uint32_t blocks, uint64_t start)
{
	struct writer *w = malloc(sizeof(*w));

	if (!w)
		abort();
	*w = (struct writer){.refs = 1,
		.number = number,
		.first_lba = lba,
		.blocks = blocks,
		.start = start,
		.end = NEVER};
	return w;
}

static void writer_put(struct writer *w)
{
	if (!--w->refs)
		free(w);
}

static bool covers(const struct writer *w, uint64_t lba)
{
	return lba >= w->first_lba && lba - w->first_lba < w->blocks;
}

static void drop(struct block *b, uint32_t i)
{
	content_put(b->value[i].content);
	writer_put(b->value[i].by);
	b->value[i] = b->value[--b->values];
}

/* Takes the content over. */
static void add(struct block *b, struct content *content, struct writer *by)
{
	if (b->values == b->room) {
		b->room = b->room ? 2 * b->room : 2;
		b->value = realloc(b->value, b->room * sizeof(*b->value));
		if (!b->value)
			abort();
	}
	by->refs++;
	b->value[b->values++] = (struct value){.content = content, .by = by, .over = NEVER};
}

/* What nobody under way can have seen any more goes. */
static void prune(const struct model *m, struct block *b)
{
	for (uint32_t i = b->values; i-- > 0;)
		if (b->value[i].over < m->oldest)
			drop(b, i);
}

int model_init(struct model *m, uint32_t block_bytes, uint64_t blocks, const uint8_t *bytes)
{
	struct writer *w = writer_new(0, 0, (uint32_t)blocks, 0);

	*m = (struct model){.block_bytes = block_bytes, .blocks = blocks};
	m->block = calloc(blocks, sizeof(*m->block));
	if (!m->block) {
		writer_put(w);
		return -ENOMEM;
	}
	w->end = 0;
	w->whole = true;
	for (uint64_t i = 0; i < blocks; i++) {
		struct content *c = content_new(m);

		memcpy(c->bytes, bytes + i * block_bytes, block_bytes);
		add(&m->block[i], c, w);
	}
	writer_put(w);
	return 0;
}

void model_free(struct model *m)
{
	for (uint64_t i = 0; m->block && i < m->blocks; i++) {
		while (m->block[i].values)
			drop(&m->block[i], 0);
		free(m->block[i].value);
	}
	free(m->block);
}

static void change_block(
	struct model *m, struct writer *w, uint32_t i, bool depends, content_fn fn, const void *arg)
{
	struct block *b = &m->block[w->first_lba + i];
	uint32_t before;

	prune(m, b);
	before = b->values;
	for (uint32_t v = 0; v < (depends ? before : 1); v++) {
		struct content *c;

		if (depends && b->value[v].over != NEVER)
			continue;
		c = content_new(m);
		fn(arg, i, depends ? b->value[v].content->bytes : NULL, c->bytes);
		add(b, c, w);
	}
	b->changing++;
	b->alone |= depends;
}

struct writer *model_write_begin(struct model *m, uint64_t number, uint64_t lba, uint32_t blocks,
	bool depends, content_fn fn, const void *arg)
{
	struct writer *w = writer_new(number, lba, blocks, model_now(m));

	for (uint32_t i = 0; i < blocks; i++)
		change_block(m, w, i, depends, fn, arg);
	return w;
}

/* What ended before w began is no longer there: w came after it. */
static void overwrite(struct block *b, const struct writer *w, uint64_t now)
{
	for (uint32_t i = 0; i < b->values; i++)
		if (b->value[i].by->end < w->start && b->value[i].over == NEVER)
			b->value[i].over = now;
}

static int undo(struct model *m, struct block *b, const struct writer *w)
{
	int ret = 0;

	for (uint32_t i = b->values; i-- > 0;) {
		if (b->value[i].by != w)
			continue;
		if (b->value[i].seen) {
			snprintf(m->why, sizeof(m->why),
				"command %" PRIu64
				" was refused, but what it had to write was read",
				w->number);
			ret = -1;
		}
		drop(b, i);
	}
	return ret;
}

int model_write_end(struct model *m, struct writer *w, enum write_end how)
{
	uint64_t now = model_now(m);
	int ret = 0;

	w->end = now;
	w->whole = how == WRITE_DONE;
	for (uint32_t i = 0; i < w->blocks; i++) {
		struct block *b = &m->block[w->first_lba + i];

		if (how == WRITE_DONE)
			overwrite(b, w, now);
		else if (how == WRITE_NOT && undo(m, b, w))
			ret = -1;
		b->changing--;
		b->alone = b->alone && b->changing;
		b->last_end = now;
	}
	writer_put(w);
	return ret;
}

bool model_changing(const struct model *m, uint64_t lba, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		if (m->block[lba + i].changing)
			return true;
	return false;
}

bool model_alone(const struct model *m, uint64_t lba, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		if (m->block[lba + i].alone)
			return true;
	return false;
}

bool model_crowded(const struct model *m, uint64_t lba, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		if (m->block[lba + i].values > VALUES_MAX)
			return true;
	return false;
}

static bool could_see(const struct value *v, uint64_t start, const struct writer *except)
{
	return v->over > start && v->by != except;
}

/* Which write's value was seen; *found is NULL when several wrote the same bytes. */
static int find_value(struct model *m, uint64_t lba, uint64_t start, const uint8_t *bytes, size_t n,
	const struct writer *except, struct value **found)
{
	struct block *b = &m->block[lba];
	uint32_t matches = 0;

	for (uint32_t i = 0; i < b->values; i++) {
		struct value *v = &b->value[i];

		if (!could_see(v, start, except) || memcmp(v->content->bytes, bytes, n))
			continue;
		*found = v;
		matches++;
	}
	if (matches > 1)
		*found = NULL;
	return matches ? 0 : -1;
}

static int say_impossible(struct model *m, uint64_t lba, uint64_t start, const uint8_t *bytes,
	const struct writer *except)
{
	const struct block *b = &m->block[lba];
	uint64_t number, where;
	int n;

	memcpy(&number, bytes, sizeof(number));
	memcpy(&where, bytes + sizeof(number), sizeof(where));
	n = snprintf(m->why, sizeof(m->why),
		"block %" PRIu64 ": was read with a first word of %" PRIu64
		" and a second of %" PRIu64 ", may be of command",
		lba, number, where);
	for (uint32_t i = 0; i < b->values && n < (int)sizeof(m->why) - 24; i++)
		if (could_see(&b->value[i], start, except))
			n += snprintf(m->why + n, sizeof(m->why) - (size_t)n, " %" PRIu64,
				b->value[i].by->number);
	return -1;
}

/* Nothing was under way from before start until now: what was seen is what is there. */
static void settle(struct model *m, struct block *b, uint64_t start, const uint8_t *bytes)
{
	if (b->changing || b->last_end >= start)
		return;
	for (uint32_t i = 0; i < b->values; i++)
		if (b->value[i].over == NEVER &&
			memcmp(b->value[i].content->bytes, bytes, m->block_bytes))
			b->value[i].over = m->clock;
}

/* Writers whose values one command saw, and where first. */
struct sight {
	struct writer *by[SEEN_WRITERS_MAX];
	uint64_t lba[SEEN_WRITERS_MAX];
	unsigned writers;
};

static void remember(struct sight *s, struct writer *by, uint64_t lba)
{
	for (unsigned i = 0; i < s->writers; i++)
		if (s->by[i] == by)
			return;
	if (s->writers == SEEN_WRITERS_MAX)
		return;
	s->by[s->writers] = by;
	s->lba[s->writers++] = lba;
}

/* A write that fails may leave less than all; one under way may still fail. */
static bool is_atomic(const struct model *m, const struct writer *w)
{
	return w->whole || (w->end == NEVER && !m->may_fail);
}

/*
 * W was seen, so it was over then. V, seen on a block that w covers, must have come after it, and not
 * before: not when v had ended before w began, and not when v, too, covers a block where w was seen.
 */
static bool torn(const struct model *m, const struct sight *s, unsigned w, unsigned v)
{
	if (!is_atomic(m, s->by[w]) || !covers(s->by[w], s->lba[v]))
		return false;
	return s->by[v]->end < s->by[w]->start ||
	       (is_atomic(m, s->by[v]) && covers(s->by[v], s->lba[w]));
}

static int check_whole(struct model *m, const struct sight *s)
{
	for (unsigned w = 0; w < s->writers; w++) {
		for (unsigned v = 0; v < s->writers; v++) {
			if (v == w || !torn(m, s, w, v))
				continue;
			snprintf(m->why, sizeof(m->why),
				"torn: block %" PRIu64 " of command %" PRIu64 ", block %" PRIu64
				" still of command %" PRIu64,
				s->lba[w], s->by[w]->number, s->lba[v], s->by[v]->number);
			return -1;
		}
	}
	return 0;
}

int model_saw(struct model *m, uint64_t start, uint64_t lba, const uint8_t *bytes, size_t len_bytes,
	const struct writer *except)
{
	struct sight sight = {.writers = 0};

	for (size_t n; len_bytes; lba++, bytes += n, len_bytes -= n) {
		struct value *v = NULL;

		n = len_bytes < m->block_bytes ? len_bytes : m->block_bytes;
		if (find_value(m, lba, start, bytes, n, except, &v))
			return say_impossible(m, lba, start, bytes, except);
		if (n < m->block_bytes)
			continue;
		if (!except)
			settle(m, &m->block[lba], start, bytes);
		if (!v)
			continue;
		v->seen = true;
		remember(&sight, v->by, lba);
	}
	return check_whole(m, &sight);
}

int model_missed(struct model *m, uint64_t start, uint64_t lba, const uint8_t *bytes,
	size_t len_bytes, const struct writer *except)
{
	for (size_t n; len_bytes; lba++, bytes += n, len_bytes -= n) {
		const struct block *b = &m->block[lba];

		n = len_bytes < m->block_bytes ? len_bytes : m->block_bytes;
		for (uint32_t i = 0; i < b->values; i++)
			if (could_see(&b->value[i], start, except) &&
				memcmp(b->value[i].content->bytes, bytes, n))
				return 0;
	}
	snprintf(m->why, sizeof(m->why), "a miscompare of what can only have been equal");
	return -1;
}

bool model_guess(const struct model *m, uint64_t lba, uint8_t *bytes)
{
	const struct block *b = &m->block[lba];
	uint32_t possible = 0;

	for (uint32_t i = 0; i < b->values; i++) {
		if (b->value[i].over != NEVER)
			continue;
		if (!possible++)
			memcpy(bytes, b->value[i].content->bytes, m->block_bytes);
	}
	return possible == 1;
}
