/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* iscsi-soak: random commands of all kinds, and a model that knows every answer. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "soak.h"

enum {
	LUN_BYTES_MAX = 64 << 20, /* all of it is in the model */
	READ_BLOCKS = 128,
	TIMEOUT_S = 120,
	NOT_READY_TRIES = 300,
	NOT_READY_PAUSE_NS = 100 * 1000 * 1000,
	EXIT_USAGE = 2,
};

static const char usage_text[] =
	"usage: iscsi-soak URL [--ops N] [--seed N] [--connections N] [--depth N] [--seconds N]\n"
	"                  [--suspended] [--log FILE] [--image FILE]\n"
	"Sends N commands of all kinds over several connections and compares each answer with a\n"
	"model of the whole LUN, at most 64 MiB. --suspended: not ready is an answer, for levels\n"
	"that are suspended meanwhile. --log: every command and its end. --image: what the LUN\n"
	"holds at the end, after the model. Exit status 1: an answer is wrong.\n";

/* A level that is suspended is resumed before long. */
static int read_when_ready(struct soak *k, uint64_t lba, uint32_t blocks, uint8_t *bytes)
{
	const struct timespec pause = {.tv_nsec = NOT_READY_PAUSE_NS};
	struct outcome result;

	for (unsigned i = 0; i < NOT_READY_TRIES; i++) {
		if (session_read(&k->conn[0].session, lba, blocks, bytes, &result))
			break;
		if (result.status == SCSI_STATUS_GOOD)
			return 0;
		if (!k->suspended)
			break;
		nanosleep(&pause, NULL);
	}
	fputs("iscsi-soak: cannot read the LUN\n", stderr);
	return -1;
}

/* The whole LUN, by READ (16) over the first connection. NULL when it cannot be read. */
static uint8_t *read_all(struct soak *k)
{
	uint8_t *bytes = malloc(k->blocks * k->block_bytes);
	int ret = bytes ? 0 : -1;

	for (uint64_t lba = 0; !ret && lba < k->blocks; lba += READ_BLOCKS) {
		uint64_t left = k->blocks - lba;

		ret = read_when_ready(k, lba, left < READ_BLOCKS ? (uint32_t)left : READ_BLOCKS,
			bytes + lba * k->block_bytes);
	}
	if (ret) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}

static int learn_lun(struct soak *k)
{
	const uint8_t cdb[16] = {0x9e, 0x10, [13] = 32};
	uint8_t capacity[32] = {0}, *bytes;
	struct session *s = &k->conn[0].session;
	struct outcome result;
	int ret = -1;

	k->blocks = s->blocks;
	k->block_bytes = s->block_bytes;
	if (k->blocks * k->block_bytes > LUN_BYTES_MAX || k->blocks < 4096) {
		fputs("iscsi-soak: the LUN must have 4096 blocks and 64 MiB at most\n", stderr);
		return -1;
	}
	if (session_command(s, cdb, sizeof(cdb), NULL, 0, capacity, sizeof(capacity), &result))
		return -1;
	k->thin = capacity[14] & 0x80; /* LBPME, SBC-3 5.16 */
	bytes = read_all(k);
	if (bytes)
		ret = model_init(&k->model, k->block_bytes, k->blocks, bytes);
	free(bytes);
	k->model.may_fail = k->suspended;
	k->shared_first = k->blocks - k->blocks / 4;
	return ret;
}

static int open_connection(struct soak *k, unsigned index)
{
	struct soak_connection *conn = &k->conn[index];
	uint64_t seed = k->seed + index;

	conn->soak = k;
	conn->index = index;
	conn->random = soak_random(&seed);
	for (unsigned i = 0; i < k->depth; i++) {
		conn->op[i].conn = conn;
		conn->op[i].buf = malloc(SOAK_BUFFER_BYTES);
		if (!conn->op[i].buf)
			return -1;
	}
	return session_open_within(&conn->session, k->url, false, TIMEOUT_S);
}

static int open_all(struct soak *k)
{
	k->conn = calloc(k->connections, sizeof(*k->conn));
	if (!k->conn)
		return -1;
	if (k->log_path && !(k->log = fopen(k->log_path, "w"))) {
		perror(k->log_path);
		return -1;
	}
	for (unsigned i = 0; i < k->connections; i++)
		if (open_connection(k, i))
			return -1;
	if (learn_lun(k))
		return -1;
	for (unsigned i = 0; i < k->connections; i++) {
		k->conn[i].own_blocks = k->shared_first / k->connections;
		k->conn[i].own_first = i * k->conn[i].own_blocks;
	}
	return 0;
}

static void close_all(struct soak *k)
{
	for (unsigned i = 0; k->conn && i < k->connections; i++) {
		struct soak_connection *conn = &k->conn[i];

		if (conn->session.iscsi && (conn->dead || conn->in_flight))
			iscsi_destroy_context(conn->session.iscsi);
		else
			session_close(&conn->session);
		for (unsigned j = 0; j < k->depth; j++)
			free(conn->op[j].buf);
	}
	free(k->conn);
	model_free(&k->model);
	if (k->log)
		fclose(k->log);
}

/* All is quiet: the LUN holds what the model says, and the model is sure. */
static int compare_all(struct soak *k)
{
	uint64_t start = model_now(&k->model), unsure = 0;
	uint8_t *bytes = read_all(k), *block = malloc(k->block_bytes);
	int ret = bytes && block ? 0 : -1;

	for (uint64_t lba = 0; !ret && lba < k->blocks; lba++)
		ret = model_saw(
			&k->model, start, lba, bytes + lba * k->block_bytes, k->block_bytes, NULL);
	if (ret)
		fprintf(stderr, "WRONG at the end: %s\n", k->model.why);
	for (uint64_t lba = 0; !ret && lba < k->blocks; lba++)
		unsure += !model_guess(&k->model, lba, block);
	if (!ret)
		printf("blocks_checked %" PRIu64 "\nseveral_writes_alike %" PRIu64 "\n", k->blocks,
			unsure);
	free(bytes);
	free(block);
	return ret;
}

static int save_image(struct soak *k)
{
	uint8_t *block = malloc(k->block_bytes);
	FILE *f = fopen(k->image_path, "w");
	int ret = f && block ? 0 : -1;

	for (uint64_t lba = 0; !ret && lba < k->blocks; lba++) {
		(void)model_guess(&k->model, lba, block);
		ret = fwrite(block, k->block_bytes, 1, f) == 1 ? 0 : -1;
	}
	free(block);
	if (f && fclose(f))
		ret = -1;
	if (ret)
		perror(k->image_path);
	return ret;
}

static void report(const struct soak *k, uint64_t ns)
{
	double seconds = (double)ns / 1e9;

	printf("commands %" PRIu64 "\nseconds %.1f\ncommands_per_second %.0f\nmib %.0f\n", k->done,
		seconds, (double)k->done / seconds, (double)k->moved_bytes / 1048576);
	printf("refused_as_they_must %" PRIu64 "\nmiscompared %" PRIu64 "\nnot_ready %" PRIu64 "\n",
		k->refused, k->miscompared, k->not_ready);
	for (size_t i = 0; soak_kinds[i].name; i++)
		printf("of %-50s %" PRIu64 "\n", soak_kinds[i].name, k->per_kind[i]);
	fflush(stdout);
}

static int parse(int argc, char **argv, struct soak *k)
{
	static const struct option known[] = {{"ops", 1, NULL, 'o'}, {"seed", 1, NULL, 's'},
		{"connections", 1, NULL, 'c'}, {"depth", 1, NULL, 'd'}, {"seconds", 1, NULL, 't'},
		{"suspended", 0, NULL, 'n'}, {"log", 1, NULL, 'l'}, {"image", 1, NULL, 'i'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;

		switch (c) {
		case 'o':
			k->ops = n;
			break;
		case 's':
			k->seed = n;
			break;
		case 'c':
			k->connections = (unsigned)n;
			break;
		case 'd':
			k->depth = (unsigned)n;
			break;
		case 't':
			k->seconds = (unsigned)n;
			break;
		case 'n':
			k->suspended = true;
			break;
		case 'l':
			k->log_path = optarg;
			break;
		case 'i':
			k->image_path = optarg;
			break;
		default:
			return -1;
		}
	}
	if (argc - optind != 1 || !k->connections || k->connections > SOAK_CONNECTIONS_MAX ||
		!k->depth || k->depth > SOAK_DEPTH_MAX)
		return -1;
	k->url = argv[optind];
	return 0;
}

int main(int argc, char **argv)
{
	struct soak k = {.ops = 100000, .seed = (uint64_t)time(NULL), .connections = 4, .depth = 8};
	uint64_t began;
	int ret;

	if (parse(argc, argv, &k)) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	printf("seed %" PRIu64 "\n", k.seed);
	fflush(stdout);
	ret = open_all(&k);
	began = monotonic_ns();
	if (!ret) {
		ret = soak_run(&k);
		report(&k, monotonic_ns() - began);
	}
	if (!ret)
		ret = compare_all(&k);
	if (!ret && k.image_path)
		ret = save_image(&k);
	if (ret)
		fprintf(stderr, "again: --seed %" PRIu64 "\n", k.seed);
	close_all(&k);
	return ret ? 1 : 0;
}
