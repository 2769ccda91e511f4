/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * cuts: cuts the power at many moments of a recorded run. What the disk may hold then (disk.h), decrypted
 * by OpenSSL alone, is compared with what the initiators were promised (promise.h).
 *
 * cuts --check PLAIN PROMISE: the same comparison for a disk that was served by a tgtd.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fault/essiv.h"
#include "disk.h"
#include "promise.h"

struct cuts {
	const char *log, *commands, *key, *save;
	size_t sector_bytes, torn_bytes;
	uint64_t bytes, wanted, saved_wanted, seed;

	struct disk disk;
	struct promises promises;
	struct essiv cipher;
	size_t units;
	uint32_t *least, *most;
	uint8_t *image;
	uint64_t *time_ns;
	uint64_t random;
	uint64_t done, saved, broken, open_units, noise, pending;
};

static uint64_t draw(struct cuts *c, uint64_t below)
{
	c->random = c->random * 6364136223846793005u + 1442695040888963407u;
	return (c->random >> 33) % below;
}

static int save_to(
	const char *folder, uint64_t number, const char *suffix, const void *data, size_t len)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%" PRIu64 ".%s", folder, number, suffix);
	FILE *f = fopen(path, "w");
	bool good = f && fwrite(data, 1, len, f) == len;
	return (f && fclose(f)) || !good ? -EIO : 0;
}

/* For a tgtd: the LUN's ciphertext, and the promise. */
static int save(struct cuts *c)
{
	size_t len = c->units * sizeof(*c->least);
	int rc = save_to(c->save, c->saved, "data", c->image, c->bytes);

	if (!rc)
		rc = save_to(c->save, c->saved, "least", c->least, len);
	if (!rc)
		rc = save_to(c->save, c->saved, "most", c->most, len);
	c->saved++;
	return rc;
}

static int decrypt_all(struct cuts *c)
{
	for (uint64_t at = 0; at < c->bytes; at += c->sector_bytes) {
		if (essiv_decrypt(&c->cipher, c->image + at, c->sector_bytes, at))
			return -EIO;
	}
	return 0;
}

/* Where a sector is never torn, none of it may be noise. */
static size_t tearing(const struct cuts *c)
{
	return c->torn_bytes < c->sector_bytes ? c->sector_bytes : UNIT_BYTES;
}

static int cut(struct cuts *c, uint64_t time_ns)
{
	if (disk_advance(&c->disk, time_ns)) {
		fputs("cuts: the log of the store is not what it should be\n", stderr);
		return -EIO;
	}
	disk_cut(&c->disk, (unsigned)draw(c, 5) * 25, c->torn_bytes, &c->random, c->image);
	promises_at(&c->promises, time_ns, c->least, c->most, c->units);
	if (c->save && c->done * c->saved_wanted / c->wanted == c->saved && save(c))
		return -EIO;
	if (decrypt_all(c))
		return -EIO;
	c->done++;
	c->pending += c->disk.pending_count;
	for (size_t u = 0; u < c->units; u++)
		c->open_units += c->least[u] != c->most[u];
	c->broken += promises_broken(c->image, c->units, c->least, c->most, tearing(c), &c->noise);
	return 0;
}

/* Any time, and, for every other one, right after an answer that promises something. */
static uint64_t moment(struct cuts *c)
{
	const struct promises *p = &c->promises;
	uint64_t ns = p->start_ns + draw(c, p->end_ns - p->start_ns);

	for (int tries = 0; draw(c, 2) && tries < 1000; tries++) {
		const struct promised_command *command = &p->command[draw(c, p->count)];
		if (command->kind != 'W' && command->answered_ns > p->start_ns)
			return command->answered_ns;
	}
	return ns;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int run(struct cuts *c)
{
	if (disk_open(&c->disk, c->log, ESSIV_DATA_OFFSET, c->bytes) ||
		promises_load(&c->promises, c->commands) || essiv_open(&c->cipher, c->key)) {
		fputs("cuts: cannot read the logs or the key\n", stderr);
		return -EIO;
	}
	c->units = c->bytes / UNIT_BYTES;
	c->least = calloc(c->units, sizeof(*c->least));
	c->most = calloc(c->units, sizeof(*c->most));
	c->image = malloc(c->bytes);
	c->time_ns = calloc(c->wanted, sizeof(*c->time_ns));
	if (!c->least || !c->most || !c->image || !c->time_ns)
		return -ENOMEM;
	for (uint64_t i = 0; i < c->wanted; i++)
		c->time_ns[i] = moment(c);
	qsort(c->time_ns, c->wanted, sizeof(*c->time_ns), by_time);
	for (uint64_t i = 0; i < c->wanted; i++) {
		if (cut(c, c->time_ns[i]))
			return -EIO;
	}
	return 0;
}

static void report(const struct cuts *c)
{
	printf("cuts %" PRIu64 "\ncommands %zu\nbroken promises %" PRIu64
	       "\nunits that could be old or new %" PRIu64 "\nwrites pending %" PRIu64
	       "\nunits with noise %" PRIu64 "\nseed %" PRIu64 "\n",
		c->done, c->promises.count, c->broken, c->open_units, c->pending, c->noise,
		c->seed);
}

/* ---- --check ------------------------------------------------------------------------------------- */

static void *load(const char *path, const char *suffix, size_t *len)
{
	char name[4096];
	void *data = NULL;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	FILE *f = fopen(name, "r");
	if (f && !fseek(f, 0, SEEK_END)) {
		*len = (size_t)ftell(f);
		rewind(f);
		data = malloc(*len);
		if (data && fread(data, 1, *len, f) != *len)
			*len = 0;
	}
	if (f)
		(void)fclose(f);
	return data;
}

static int check(const char *plain_path, const char *promise, size_t sector_bytes)
{
	size_t plain_len = 0, least_len = 0, most_len = 0;
	uint8_t *plain = load(plain_path, "", &plain_len);
	uint32_t *least = load(promise, ".least", &least_len);
	uint32_t *most = load(promise, ".most", &most_len);
	size_t units = plain_len / UNIT_BYTES;
	uint64_t noise = 0, broken = 1;

	if (plain && least && most && units && least_len == units * sizeof(*least) &&
		most_len == least_len)
		broken = promises_broken(plain, units, least, most, sector_bytes, &noise);
	free(plain);
	free(least);
	free(most);
	return broken ? 1 : 0;
}

static int parse(int argc, char **argv, struct cuts *c)
{
	static const struct option known[] = {{"log", 1, NULL, 'l'}, {"commands", 1, NULL, 'n'},
		{"key", 1, NULL, 'k'}, {"sector-bytes", 1, NULL, 'b'}, {"torn-bytes", 1, NULL, 't'},
		{"bytes", 1, NULL, 'z'}, {"cuts", 1, NULL, 'c'}, {"seed", 1, NULL, 's'},
		{"save", 1, NULL, 'd'}, {"saves", 1, NULL, 'v'}, {0}};
	int o;

	while ((o = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;

		if (o == 'l')
			c->log = optarg;
		else if (o == 'n')
			c->commands = optarg;
		else if (o == 'k')
			c->key = optarg;
		else if (o == 'd')
			c->save = optarg;
		else if (o == 'b')
			c->sector_bytes = n;
		else if (o == 't')
			c->torn_bytes = n;
		else if (o == 'z')
			c->bytes = n;
		else if (o == 'c')
			c->wanted = n;
		else if (o == 's')
			c->seed = n;
		else if (o == 'v')
			c->saved_wanted = n;
		else
			return -EINVAL;
	}
	return optind == argc && c->log && c->commands && c->key && c->bytes && c->wanted ? 0
											  : -EINVAL;
}

int main(int argc, char **argv)
{
	struct cuts c = {.sector_bytes = 512, .torn_bytes = 512};

	if (argc == 5 && !strcmp(argv[1], "--check"))
		return check(argv[2], argv[3], strtoul(argv[4], NULL, 0));
	if (parse(argc, argv, &c)) {
		fputs("usage: cuts --log FILE --commands FILE --key FILE --bytes N --cuts N "
		      "[--seed N]\n"
		      "            [--sector-bytes N] [--torn-bytes N] [--save FOLDER --saves N]\n"
		      "       cuts --check PLAIN PROMISE TEARING\n",
			stderr);
		return 2;
	}
	c.random = c.seed;
	int rc = run(&c);
	report(&c);
	disk_close(&c.disk);
	free(c.promises.command);
	essiv_close(&c.cipher);
	free(c.least);
	free(c.most);
	free(c.image);
	free(c.time_ns);
	return rc || c.broken ? 1 : 0;
}
