/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* iscsi-io's subcommands that send one command after the other. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi-io.h"
#include "session.h"

enum {
	CHUNK_BLOCKS = 64,
	CHUNK_BLOCKS_MAX = 32768,
	DATA_BYTES_MAX = 64 << 20,
};

struct simple_opts {
	uint32_t chunk_blocks;
	uint8_t write_flags;
	const char *out_file; /* cdb: data-out */
	const char *to_file;  /* cdb: where data-in goes */
	bool hold;            /* cdb: the session lives until stdin ends */
	size_t in_bytes;      /* cdb: data-in */
};

static int parse_opts(int argc, char **argv, struct simple_opts *opts)
{
	static const struct option known[] = {{"chunk", 1, NULL, 'c'}, {"fua", 0, NULL, 'f'},
		{"out", 1, NULL, 'o'}, {"in", 1, NULL, 'i'}, {"to", 1, NULL, 't'},
		{"hold", 0, NULL, 'h'}, {0}};
	int c;

	*opts = (struct simple_opts){.chunk_blocks = CHUNK_BLOCKS};
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'c')
			opts->chunk_blocks = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 'f')
			opts->write_flags = 0x08; /* FUA */
		else if (c == 'o')
			opts->out_file = optarg;
		else if (c == 'i')
			opts->in_bytes = strtoul(optarg, NULL, 0);
		else if (c == 't')
			opts->to_file = optarg;
		else if (c == 'h')
			opts->hold = true;
		else
			return -EINVAL;
	}
	if (!opts->chunk_blocks || opts->chunk_blocks > CHUNK_BLOCKS_MAX ||
		opts->in_bytes > DATA_BYTES_MAX || (opts->in_bytes && opts->out_file))
		return -EINVAL;
	return 0;
}

/* The exit status for a command's end. An error of the target goes to stderr: stdout is for data. */
static int verdict(int ret, const struct outcome *result)
{
	char text[16];

	if (ret)
		return EXIT_FAILED;
	if (result->status == SCSI_STATUS_GOOD || result->status == SCSI_STATUS_CONDITION_MET)
		return EXIT_OK;
	fprintf(stderr, "sense %s\n", outcome_text(result, text));
	return EXIT_SCSI;
}

int io_capacity(int argc, char **argv)
{
	struct session s;

	(void)argc;
	if (session_open(&s, argv[1], false))
		return EXIT_FAILED;
	printf("%" PRIu64 " %" PRIu32 "\n", s.blocks, s.block_bytes);
	session_close(&s);
	return EXIT_OK;
}

static int read_chunks(struct session *s, uint64_t lba, uint64_t blocks, uint32_t chunk_blocks)
{
	uint8_t *buf = malloc((size_t)chunk_blocks * s->block_bytes);
	struct outcome result;
	int status = buf ? EXIT_OK : EXIT_FAILED;

	while (blocks && status == EXIT_OK) {
		uint32_t n = blocks < chunk_blocks ? (uint32_t)blocks : chunk_blocks;

		status = verdict(session_read(s, lba, n, buf, &result), &result);
		if (status == EXIT_OK && fwrite(buf, s->block_bytes, n, stdout) != n)
			status = EXIT_FAILED;
		lba += n;
		blocks -= n;
	}
	free(buf);
	return status;
}

int io_read(int argc, char **argv)
{
	struct simple_opts opts;
	struct session s;
	int status;

	if (parse_opts(argc, argv, &opts) || argc - optind != 3)
		return EXIT_USAGE;
	if (session_open(&s, argv[optind], false))
		return EXIT_FAILED;
	status = read_chunks(&s, strtoull(argv[optind + 1], NULL, 0),
		strtoull(argv[optind + 2], NULL, 0), opts.chunk_blocks);
	session_close(&s);
	return fflush(stdout) ? EXIT_FAILED : status;
}

static int write_chunks(struct session *s, uint64_t lba, const struct simple_opts *opts)
{
	uint8_t *buf = malloc((size_t)opts->chunk_blocks * s->block_bytes);
	struct outcome result;
	int status = buf ? EXIT_OK : EXIT_FAILED;
	size_t n;

	while (status == EXIT_OK &&
		(n = fread(buf, 1, (size_t)opts->chunk_blocks * s->block_bytes, stdin)) > 0) {
		if (n % s->block_bytes) {
			fputs("iscsi-io: stdin is not a whole number of blocks\n", stderr);
			status = EXIT_USAGE;
			break;
		}
		status = verdict(session_write(s, lba, (uint32_t)(n / s->block_bytes), buf,
					 opts->write_flags, &result),
			&result);
		lba += n / s->block_bytes;
	}
	free(buf);
	return status;
}

int io_write(int argc, char **argv)
{
	struct simple_opts opts;
	struct session s;
	int status;

	if (parse_opts(argc, argv, &opts) || argc - optind != 2)
		return EXIT_USAGE;
	if (session_open(&s, argv[optind], false))
		return EXIT_FAILED;
	status = write_chunks(&s, strtoull(argv[optind + 1], NULL, 0), &opts);
	session_close(&s);
	return status;
}

int io_flush(int argc, char **argv)
{
	const uint8_t synchronize_cache_10[10] = {0x35};
	struct outcome result;
	struct session s;
	int status;

	(void)argc;
	if (session_open(&s, argv[1], false))
		return EXIT_FAILED;
	status = verdict(session_command(&s, synchronize_cache_10, sizeof(synchronize_cache_10),
				 NULL, 0, NULL, 0, &result),
		&result);
	session_close(&s);
	return status;
}

static size_t parse_cdb(const char *hex, uint8_t cdb[SCSI_CDB_MAX_SIZE])
{
	size_t len = 0;

	for (; isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]); hex += 2) {
		const char byte[3] = {hex[0], hex[1], 0};

		if (len == SCSI_CDB_MAX_SIZE)
			return 0;
		cdb[len++] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return *hex ? 0 : len;
}

/* The whole file, malloc'd. NULL with a line on stderr. */
static uint8_t *load_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	uint8_t *data = f ? malloc(DATA_BYTES_MAX) : NULL;

	if (data)
		*len = fread(data, 1, DATA_BYTES_MAX, f);
	else
		perror(path);
	if (f)
		fclose(f);
	return data;
}

static int show_data(const uint8_t *data, size_t len, const char *to_file)
{
	FILE *f;
	size_t i;

	if (to_file) {
		f = fopen(to_file, "w");
		if (!f)
			return EXIT_FAILED;
		i = fwrite(data, 1, len, f);
		return fclose(f) || i != len ? EXIT_FAILED : EXIT_OK;
	}
	if (!len)
		return EXIT_OK;
	fputs("data ", stdout);
	for (i = 0; i < len; i++)
		printf("%02x", data[i]);
	putchar('\n');
	return EXIT_OK;
}

static void show_outcome(const struct outcome *result)
{
	char text[16];

	printf("status %02x", (unsigned int)result->status & 0xff);
	if (result->status == SCSI_STATUS_CHECK_CONDITION)
		printf(" sense %s", outcome_text(result, text));
	if (result->has_info)
		printf(" info %" PRIu32, result->info);
	if (result->residual_bytes)
		printf(" residual %zu", result->residual_bytes);
	putchar('\n');
}

int io_cdb(int argc, char **argv)
{
	uint8_t cdb[SCSI_CDB_MAX_SIZE], *out = NULL, *in = NULL;
	struct session s = {0};
	struct simple_opts opts;
	struct outcome result;
	size_t cdb_len, out_len = 0;
	int status = EXIT_FAILED;

	if (parse_opts(argc, argv, &opts) || argc - optind != 2)
		return EXIT_USAGE;
	cdb_len = parse_cdb(argv[optind + 1], cdb);
	if (!cdb_len)
		return EXIT_USAGE;
	if (opts.out_file && !(out = load_file(opts.out_file, &out_len)))
		goto out;
	in = malloc(opts.in_bytes + 1);
	if (!in || session_open(&s, argv[optind], false))
		goto out;
	if (session_command(&s, cdb, cdb_len, out, out_len, in, opts.in_bytes, &result))
		goto out;
	show_outcome(&result);
	status = show_data(in, result.in_bytes, opts.to_file);
	if (status == EXIT_OK && result.status == SCSI_STATUS_CHECK_CONDITION)
		status = EXIT_SCSI;
	if (opts.hold) {
		(void)fflush(stdout);
		while (getchar() != EOF)
			;
	}
out:
	session_close(&s);
	free(in);
	free(out);
	return status;
}

/* One line of io_talk(): HEX, or HEX and a file's name. False when there was no answer. */
static bool talk_line(struct session *s, char *line)
{
	const char *hex = strtok(line, " \n"), *file = strtok(NULL, " \n");
	uint8_t cdb[SCSI_CDB_MAX_SIZE], *out = NULL;
	struct outcome result;
	size_t out_len = 0, cdb_len = hex ? parse_cdb(hex, cdb) : 0;
	bool answered = false;

	if (file)
		out = load_file(file, &out_len);
	if (cdb_len && (!file || out))
		answered = !session_command(s, cdb, cdb_len, out, out_len, NULL, 0, &result);
	if (answered)
		show_outcome(&result);
	free(out);
	return answered && !fflush(stdout);
}

int io_talk(int argc, char **argv)
{
	char line[512];
	struct session s;
	bool goes_on = true;

	(void)argc;
	if (session_open(&s, argv[1], false))
		return EXIT_FAILED;
	while (goes_on && fgets(line, sizeof(line), stdin))
		goes_on = talk_line(&s, line);
	session_close(&s);
	return goes_on ? EXIT_OK : EXIT_FAILED;
}
