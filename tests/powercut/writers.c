/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * writers URL: several initiators write stamped blocks (stamp.h), some with FUA, and flush now and then,
 * while faulty.so logs what reaches the store. Each has a region of its own; versions rise over all of
 * them. One line for each command says what was promised when (promise.h).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fault/write_cache.h"
#include "../fault/control.h"
#include "../tools/stamp.h"

enum {
	WRITERS = 6,
	WRITE_BYTES_MAX = 64 << 10,
	FUA = 0x08,
};

enum cache {
	CACHE_ON,
	CACHE_OFF,
	CACHE_SWITCHED, /* off in the middle */
	CACHE_NONE,     /* the LUN writes through, whatever its caching page says */
};

struct run {
	const char *url, *control_path, *image, *log_path;
	uint64_t commands, seed;
	enum cache cache;
	atomic_bool off; /* the cache is, and that was answered: what is written is durable */
	FILE *log;
	pthread_mutex_t log_lock;
	atomic_uint_fast64_t sent; /* commands, of all writers */
	atomic_uint version;
	atomic_bool failed;
};

struct writer {
	struct run *run;
	struct session session;
	pthread_t thread;
	uint64_t random;
	uint64_t first_byte, bytes; /* its region */
	uint32_t *version;          /* what each unit of it holds */
	uint8_t buf[2 * WRITE_BYTES_MAX];
	bool switches;
};

static uint64_t draw(struct writer *w, uint64_t below)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (w->random >> 33) % below;
}

/* kind: W a write, D a durable one, F a flush or what counts as one, for all that was answered before. */
static void note(
	struct run *run, char kind, uint64_t sent_ns, uint64_t offset, size_t len, uint32_t version)
{
	uint64_t answered_ns = monotonic_ns();

	pthread_mutex_lock(&run->log_lock);
	fprintf(run->log, "%c %" PRIu64 " %" PRIu64 " %" PRIu64 " %zu %" PRIu32 "\n", kind, sent_ns,
		answered_ns, offset, len, version);
	pthread_mutex_unlock(&run->log_lock);
}

static int command(struct writer *w, const uint8_t *cdb, size_t len, size_t out_bytes)
{
	struct outcome result;
	char text[16];

	if (attended_command(&w->session, cdb, len, w->buf, out_bytes, NULL, 0, &result))
		return -EIO;
	if (!result.status)
		return 0;
	fprintf(stderr, "writers: opcode %02x: %s\n", cdb[0], outcome_text(&result, text));
	return -EIO;
}

static int flush(struct writer *w)
{
	const uint8_t synchronize_cache_10[10] = {0x35};
	uint64_t sent_ns = monotonic_ns();

	if (command(w, synchronize_cache_10, 10, 0))
		return -EIO;
	note(w->run, 'F', sent_ns, 0, 0, 0);
	return 0;
}

static uint32_t *versions_at(struct writer *w, uint64_t offset)
{
	return w->version + (offset - w->first_byte) / STAMP_BYTES;
}

/* The data to compare with: the stamps of what was written last, unit by unit. */
static size_t put_old(struct writer *w, uint64_t offset, size_t len)
{
	for (size_t at = 0; at < len; at += STAMP_BYTES)
		stamp_fill(w->buf + at, STAMP_BYTES, offset + at,
			versions_at(w, offset)[at / STAMP_BYTES]);
	return len;
}

static const struct write_row {
	uint8_t opcode, flags;
	unsigned share; /* of 100 */
	bool durable, compares;
} write_rows[] = {
	{0x8a, 0, 64, false, false},
	{0x8a, FUA, 20, true, false},
	{0x8e, 0, 4, true, false}, /* WRITE AND VERIFY */
	{0x89, 0, 8, false, true}, /* COMPARE AND WRITE */
	{0x89, FUA, 4, true, true},
};

static const struct write_row *draw_row(struct writer *w)
{
	uint64_t n = draw(w, 100);
	const struct write_row *row = write_rows;

	for (; n >= row->share; row++)
		n -= row->share;
	return row;
}

/* At any time afterwards the write may have been sent, so that is what is noted if it fails. */
static int write_some(struct writer *w, const struct write_row *row, uint64_t offset, size_t len)
{
	struct run *run = w->run;
	uint32_t blocks = (uint32_t)(len / w->session.block_bytes);
	uint32_t version = atomic_fetch_add(&run->version, 1) + 1;
	uint8_t cdb[16];

	cdb_16(cdb, row->opcode, row->flags, offset / w->session.block_bytes, blocks);
	if (row->compares) {
		memset(cdb + 10, 0, 6);
		cdb[13] = (uint8_t)blocks;
	}
	size_t old = row->compares ? put_old(w, offset, len) : 0;
	stamp_fill(w->buf + old, len, offset, version);
	uint64_t sent_ns = monotonic_ns();
	if (command(w, cdb, sizeof(cdb), old + len))
		return -EIO;
	/* A write that was under way when the cache was switched off is durable, too. */
	bool durable = row->durable || atomic_load(&run->off);
	note(run, durable ? 'D' : 'W', sent_ns, offset, len, version);
	for (size_t i = 0; i < len / STAMP_BYTES; i++)
		versions_at(w, offset)[i] = version;
	return 0;
}

static int write_anywhere(struct writer *w)
{
	const struct write_row *row = draw_row(w);
	size_t block = w->session.block_bytes;
	size_t most = row->compares ? WRITE_BYTES_MAX / 4 : WRITE_BYTES_MAX;
	size_t len = block << draw(w, 8);

	len = len > most ? most : len;
	uint64_t places = (w->bytes - len) / block + 1;
	return write_some(w, row, w->first_byte + draw(w, places) * block, len);
}

/* Everything that was acknowledged before counts as flushed when it is answered. */
static int switch_off(struct writer *w)
{
	uint64_t sent_ns = monotonic_ns();

	if (write_cache_off(&w->session))
		return -EIO;
	note(w->run, 'F', sent_ns, 0, 0, 0);
	atomic_store(&w->run->off, true);
	return 0;
}

static int work(struct writer *w)
{
	struct run *run = w->run;

	for (uint64_t number; !atomic_load(&run->failed);) {
		number = atomic_fetch_add(&run->sent, 1);
		if (number >= run->commands)
			return 0;
		bool switches = w->switches && run->cache == CACHE_SWITCHED;
		if (switches && number >= run->commands / 2 && !run->off && switch_off(w))
			return -EIO;
		/* With the cache off nobody needs to flush. */
		bool flushes = run->cache == CACHE_ON && !draw(w, 40);
		if (flushes ? flush(w) : write_anywhere(w))
			return -EIO;
	}
	return 0;
}

static void *writer_main(void *argument)
{
	struct writer *w = argument;

	if (work(w))
		atomic_store(&w->run->failed, true);
	return NULL;
}

static int fill(struct writer *w)
{
	static const struct write_row plain = {0x8a, 0, 0, false, false};

	for (uint64_t at = 0, n; at < w->bytes; at += n) {
		n = w->bytes - at < WRITE_BYTES_MAX ? w->bytes - at : WRITE_BYTES_MAX;
		if (write_some(w, &plain, w->first_byte + at, n))
			return -EIO;
	}
	return 0;
}

static int open_writer(struct writer *w, struct run *run, unsigned index)
{
	w->run = run;
	w->random = run->seed + index * 1000003;
	w->switches = index == 0;
	if (session_open(&w->session, run->url, false))
		return -EIO;
	uint64_t blocks = w->session.blocks / WRITERS;
	w->first_byte = index * blocks * w->session.block_bytes;
	w->bytes = blocks * w->session.block_bytes;
	w->version = calloc(w->bytes / STAMP_BYTES, sizeof(*w->version));
	return w->version ? fill(w) : -ENOMEM;
}

static int run_all(struct run *run, struct writer *writers)
{
	struct faulty *control = control_open(run->control_path, run->image);

	run->log = fopen(run->log_path, "w");
	if (!control || !run->log)
		return -EIO;
	atomic_store(&control->logging, true);
	atomic_store(&run->off, run->cache == CACHE_NONE);
	for (unsigned i = 0; i < WRITERS; i++) {
		if (open_writer(&writers[i], run, i))
			return -EIO;
	}
	if (flush(&writers[0]) || (run->cache == CACHE_OFF && switch_off(&writers[0])))
		return -EIO;
	fprintf(run->log, "S %" PRIu64 " 0 0 0 0\n", monotonic_ns()); /* all is stamped */
	for (unsigned i = 0; i < WRITERS; i++) {
		if (pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]))
			exit(1);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		session_close(&writers[i].session);
	}
	atomic_store(&control->logging, false);
	return fclose(run->log) || atomic_load(&run->failed) ? -EIO : 0;
}

static int parse(int argc, char **argv, struct run *run)
{
	static const struct option known[] = {{"control", 1, NULL, 'c'}, {"image", 1, NULL, 'i'},
		{"log", 1, NULL, 'l'}, {"commands", 1, NULL, 'n'}, {"seed", 1, NULL, 's'},
		{"cache", 1, NULL, 'w'}, {0}};
	static const char *const caches[] = {"on", "off", "switched", "none"};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'c')
			run->control_path = optarg;
		else if (c == 'i')
			run->image = optarg;
		else if (c == 'l')
			run->log_path = optarg;
		else if (c == 'n')
			run->commands = strtoull(optarg, NULL, 0);
		else if (c == 's')
			run->seed = strtoull(optarg, NULL, 0);
		else if (c != 'w')
			return -EINVAL;
		for (int i = 0; c == 'w' && i < 4; i++) {
			if (!strcmp(optarg, caches[i]))
				run->cache = (enum cache)i;
		}
	}
	run->url = argv[optind];
	return optind == argc - 1 && run->control_path && run->image && run->log_path &&
			       run->commands
		       ? 0
		       : -EINVAL;
}

int main(int argc, char **argv)
{
	static struct run run = {.log_lock = PTHREAD_MUTEX_INITIALIZER};
	static struct writer writers[WRITERS];

	if (parse(argc, argv, &run)) {
		fputs("usage: writers URL --control FILE --image FILE --log FILE --commands N\n"
		      "               [--cache on|off|switched|none] [--seed N]\n",
			stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	int rc = run_all(&run, writers);
	for (unsigned i = 0; i < WRITERS; i++)
		free(writers[i].version);
	return rc ? 1 : 0;
}
