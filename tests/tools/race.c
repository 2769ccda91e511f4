/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* `iscsi-io race`: several initiators at the same blocks, whose contents show whether a command is one step. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iscsi-io.h"
#include "session.h"

enum {
	COMPARE_AND_WRITE = 0x89,
	ORWRITE = 0x8b,
	SENSE_KEY_MISCOMPARE = 0x0e,
	RACERS_MAX = 64,
	BLOCKS_MAX = 4096,
	SHIFTS = 4, /* ranges of counters begin at so many places, and each overlaps the next */
};

struct race {
	const char *url;
	uint64_t lba;
	uint32_t blocks;
	unsigned racers;
	uint64_t times;
	/* Shared by all processes; each racer has its own. */
	struct tally {
		uint64_t done, missed, wrong;
	} * tally;
};

struct racer {
	const struct race *race;
	unsigned index;
	struct session s;
	uint8_t *buf; /* twice the range */
	size_t len;   /* of the range */
};

static int command(struct racer *r, uint8_t opcode, uint64_t lba, uint32_t blocks, const void *out,
	size_t out_len, struct outcome *result)
{
	uint8_t cdb[16];

	cdb_16(cdb, opcode, 0, lba, opcode == COMPARE_AND_WRITE ? 0 : blocks);
	if (opcode == COMPARE_AND_WRITE)
		cdb[13] = (uint8_t)blocks; /* NUMBER OF LOGICAL BLOCKS, SBC-4 5.3 */
	return session_command(&r->s, cdb, sizeof(cdb), out, out_len, NULL, 0, result);
}

static int read_range(struct racer *r, uint64_t lba, uint32_t blocks)
{
	struct outcome result;

	if (session_read(&r->s, lba, blocks, r->buf, &result))
		return -EIO;
	return result.status == SCSI_STATUS_GOOD ? 0 : -EIO;
}

/* The range from lba on, all words of it alike. */
static int write_version(struct racer *r, uint64_t lba, uint64_t version)
{
	struct outcome result;

	for (size_t i = 0; i < r->len; i += sizeof(version))
		memcpy(r->buf + i, &version, sizeof(version));
	if (session_write(&r->s, lba, r->race->blocks, r->buf, 0, &result))
		return -EIO;
	return result.status == SCSI_STATUS_GOOD ? 0 : -EIO;
}

/* --- counters: one more in each block of a range, or in none ------------------------------------- */

static uint64_t counters_first(const struct race *race, unsigned racer)
{
	return race->lba + (racer % SHIFTS) * race->blocks / SHIFTS;
}

static void add_one(uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	value++;
	memcpy(bytes, &value, sizeof(value));
}

/* 1: counted; 0: another was quicker. */
static int count_once(struct racer *r)
{
	uint64_t lba = counters_first(r->race, r->index);
	struct outcome result;

	if (read_range(r, lba, r->race->blocks))
		return -EIO;
	memcpy(r->buf + r->len, r->buf, r->len);
	for (uint32_t i = 0; i < r->race->blocks; i++)
		add_one(r->buf + r->len + (size_t)i * r->s.block_bytes);
	if (command(r, COMPARE_AND_WRITE, lba, r->race->blocks, r->buf, 2 * r->len, &result))
		return -EIO;
	if (result.status == SCSI_STATUS_GOOD)
		return 1;
	return result.key == SENSE_KEY_MISCOMPARE ? 0 : -EIO;
}

static int race_counters(struct racer *r)
{
	struct tally *t = &r->race->tally[r->index];
	int ret = 0;

	while (ret >= 0 && t->done < r->race->times) {
		ret = count_once(r);
		t->done += ret > 0;
		t->missed += ret == 0;
	}
	return ret < 0 ? ret : 0;
}

static uint64_t check_counters(struct racer *r)
{
	const struct race *race = r->race;
	uint64_t wrong = 0, value, want;

	for (uint64_t at = 0; at < race->blocks + race->blocks * (SHIFTS - 1) / SHIFTS; at++) {
		want = 0;
		for (unsigned i = 0; i < race->racers; i++) {
			uint64_t first = counters_first(race, i) - race->lba;

			want += at >= first && at - first < race->blocks ? race->tally[i].done : 0;
		}
		if (read_range(r, race->lba + at, 1))
			return UINT64_MAX;
		memcpy(&value, r->buf, sizeof(value));
		wrong += value != want;
	}
	return wrong;
}

/* --- bits: each racer sets its own, one after the other, in all blocks ------------------------------ */

static uint64_t bits(const struct race *race)
{
	return race->times * race->racers;
}

static int race_bits(struct racer *r)
{
	struct tally *t = &r->race->tally[r->index];
	struct outcome result;
	int ret = 0;

	for (; !ret && t->done < r->race->times; t->done++) {
		uint64_t bit = t->done * r->race->racers + r->index;

		memset(r->buf, 0, r->len);
		for (uint32_t i = 0; i < r->race->blocks; i++)
			r->buf[(size_t)i * r->s.block_bytes + bit / 8] = (uint8_t)(1 << bit % 8);
		ret = command(r, ORWRITE, r->race->lba, r->race->blocks, r->buf, r->len, &result);
		if (!ret && result.status != SCSI_STATUS_GOOD)
			ret = -EIO;
	}
	return ret;
}

static uint64_t check_bits(struct racer *r)
{
	uint64_t wrong = 0;

	if (read_range(r, r->race->lba, r->race->blocks))
		return UINT64_MAX;
	for (size_t at = 0; at < r->len; at++) {
		size_t bit = at % r->s.block_bytes * 8;
		uint64_t left = bits(r->race) > bit ? bits(r->race) - bit : 0;

		wrong += r->buf[at] != (left >= 8 ? 0xff : (1 << left) - 1);
	}
	return wrong;
}

/* --- versions: writers give all blocks one version, readers see one in all -------------------------- */

static bool one_version(const struct racer *r)
{
	return !memcmp(r->buf, r->buf + sizeof(uint64_t), r->len - sizeof(uint64_t));
}

static int race_versions(struct racer *r)
{
	struct tally *t = &r->race->tally[r->index];
	int ret = 0;

	for (; !ret && t->done < r->race->times; t->done++) {
		if (r->index % 2) {
			ret = write_version(r, r->race->lba, t->done << 8 | r->index);
			continue;
		}
		ret = read_range(r, r->race->lba, r->race->blocks);
		t->wrong += !ret && !one_version(r);
	}
	return ret;
}

static uint64_t check_versions(struct racer *r)
{
	uint64_t wrong = 0;

	if (read_range(r, r->race->lba, r->race->blocks))
		return UINT64_MAX;
	for (unsigned i = 0; i < r->race->racers; i++)
		wrong += r->race->tally[i].wrong;
	return wrong + !one_version(r);
}

/* --- all of them ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int (*race)(struct racer *r);
	uint64_t (*check)(struct racer *r); /* how much is wrong afterwards */
	unsigned places;                    /* ranges that begin at so many */
} races[] = {
	{"counters", race_counters, check_counters, SHIFTS},
	{"bits", race_bits, check_bits, 1},
	{"versions", race_versions, check_versions, 1},
};

static int enter(struct racer *r, const struct race *race, unsigned index)
{
	*r = (struct racer){.race = race, .index = index};
	if (session_open(&r->s, race->url, false))
		return -EIO;
	r->len = (size_t)race->blocks * r->s.block_bytes;
	r->buf = malloc(2 * r->len);
	return r->buf ? 0 : -ENOMEM;
}

static void leave(struct racer *r)
{
	free(r->buf);
	session_close(&r->s);
}

static int run_racer(const struct race *race, unsigned index, size_t kind)
{
	struct racer r;
	int ret = enter(&r, race, index);

	if (!ret)
		ret = races[kind].race(&r);
	leave(&r);
	return ret ? EXIT_FAILED : EXIT_OK;
}

static int report(const struct race *race, size_t kind, int status)
{
	uint64_t done = 0, missed = 0, wrong = UINT64_MAX;
	struct racer r;

	for (unsigned i = 0; i < race->racers; i++) {
		done += race->tally[i].done;
		missed += race->tally[i].missed;
	}
	if (!enter(&r, race, 0))
		wrong = races[kind].check(&r);
	leave(&r);
	printf("done %" PRIu64 "\nmissed %" PRIu64 "\nwrong %" PRIu64 "\n", done, missed, wrong);
	return wrong ? EXIT_FAILED : status;
}

/* Zeros everywhere. */
static int prepare(const struct race *race, size_t kind)
{
	struct racer r;
	int ret = enter(&r, race, 0);

	for (unsigned i = 0; !ret && i < races[kind].places; i++)
		ret = write_version(&r, counters_first(race, i), 0);
	leave(&r);
	return ret;
}

static int run_all(const struct race *race, size_t kind)
{
	int status = EXIT_OK, child;

	if (prepare(race, kind))
		return EXIT_FAILED;
	for (unsigned i = 0; i < race->racers; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(run_racer(race, i, kind));
		if (pid < 0)
			status = EXIT_FAILED;
	}
	while (wait(&child) > 0)
		if (child)
			status = EXIT_FAILED;
	return report(race, kind, status);
}

int io_race(int argc, char **argv)
{
	struct race race = {.url = argv[1]};
	size_t kind, kinds = sizeof(races) / sizeof(races[0]);

	if (argc != 7)
		return EXIT_USAGE;
	for (kind = 0; kind < kinds && strcmp(argv[2], races[kind].name); kind++)
		;
	race.lba = strtoull(argv[3], NULL, 0);
	race.blocks = (uint32_t)strtoul(argv[4], NULL, 0);
	race.racers = (unsigned)strtoul(argv[5], NULL, 0);
	race.times = strtoull(argv[6], NULL, 0);
	if (kind == kinds || !race.blocks || race.blocks > BLOCKS_MAX || !race.racers ||
		race.racers > RACERS_MAX)
		return EXIT_USAGE;
	race.tally = mmap(NULL, RACERS_MAX * sizeof(*race.tally), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (race.tally == MAP_FAILED)
		return EXIT_FAILED;
	return run_all(&race, kind);
}
