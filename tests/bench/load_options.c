/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>

#include "load_options.h"

static const char usage_text[] =
	"usage: iscsi-load [options] URL...\n"
	"Loads iSCSI targets and measures. URL is iscsi://HOST:PORT/TARGET/LUN; clients are dealt "
	"out\n"
	"over several URLs in turn.\n"
	"  --clients N        connections (default: one for each URL)\n"
	"  --depth N          commands in flight for each client (default 32)\n"
	"  --size BYTES       of one command, k or m allowed (default 4k)\n"
	"  --read PERCENT     reads among the commands, the rest are writes (default 100)\n"
	"  --random           places in the area at random (default)\n"
	"  --sequential       one after the other, and from the start again\n"
	"  --area BYTES       of each client, apart from all others (default: its share of the "
	"LUN,\n"
	"                     1g at most)\n"
	"  --seconds N        the timed part (default 10)\n"
	"  --warmup N         seconds of load before it (default 1)\n"
	"  --verify           mark every block that is written, check every block that is read\n"
	"  --fill             write the areas before the start (--verify does)\n"
	"  --no-fill          do not: with --verify, an earlier run has filled them\n"
	"  --rate N           commands a second of all clients, at even intervals; latency counts "
	"from\n"
	"                     the moment when a command is due\n"
	"  --stall N          the first N clients ask for 32 MiB after the warm-up and read "
	"nothing\n"
	"  --threads N        that serve the clients (default 1)\n"
	"  --timeout SECONDS  without an answer is an error (default 30)\n"
	"  --server-pid PID   measure this process's CPU time in the timed part; may be repeated\n"
	"  --json FILE        write the results there too; -: to stdout, and the table to stderr\n"
	"  --quiet            no progress and no table\n"
	"  --help\n"
	"Exit status 0: all well, 1: errors, blocks that are not what was written, or "
	"interrupted,\n2: usage.\n";

static const uint64_t kib = 1024, mib = 1024 * 1024, gib = 1024 * 1024 * 1024;

/* Options whose value is a number, and where it goes. */
static const struct number_option {
	const char *name;
	size_t field;
	uint64_t min, max;
	bool bytes; /* k, m, g and t are understood */
} numbers[] = {
	{"clients", offsetof(struct load_options, clients), 1, CLIENTS_MAX, false},
	{"depth", offsetof(struct load_options, depth), 1, DEPTH_MAX, false},
	{"size", offsetof(struct load_options, io_bytes), 512, 16 << 20, true},
	{"read", offsetof(struct load_options, reads_percent), 0, 100, false},
	{"area", offsetof(struct load_options, area_bytes), 512, (uint64_t)1 << 50, true},
	{"seconds", offsetof(struct load_options, seconds), 1, 86400, false},
	{"warmup", offsetof(struct load_options, warmup_s), 0, 3600, false},
	{"rate", offsetof(struct load_options, commands_per_s), 1, 10000000, false},
	{"stall", offsetof(struct load_options, stalled), 0, CLIENTS_MAX, false},
	{"threads", offsetof(struct load_options, threads), 1, THREADS_MAX, false},
	{"timeout", offsetof(struct load_options, timeout_s), 1, 3600, false},
	{"server-pid", 0, 1, INT32_MAX, false}, /* a list: see take_number() */
};

enum {
	NUMBERS = sizeof(numbers) / sizeof(numbers[0]),
	OPT_NUMBER = 1000, /* plus the index in numbers[] */
	OPT_RANDOM = 2000,
	OPT_SEQUENTIAL,
	OPT_VERIFY,
	OPT_FILL,
	OPT_NO_FILL,
	OPT_JSON,
	OPT_QUIET,
	OPT_HELP,
};

static const struct option others[] = {{"random", no_argument, NULL, OPT_RANDOM},
	{"sequential", no_argument, NULL, OPT_SEQUENTIAL},
	{"verify", no_argument, NULL, OPT_VERIFY}, {"fill", no_argument, NULL, OPT_FILL},
	{"no-fill", no_argument, NULL, OPT_NO_FILL}, {"json", required_argument, NULL, OPT_JSON},
	{"quiet", no_argument, NULL, OPT_QUIET}, {"help", no_argument, NULL, OPT_HELP}, {0}};

enum { OTHERS = sizeof(others) / sizeof(others[0]) };

static uint64_t unit_of(const char *suffix)
{
	static const char letters[] = "kmgt";
	const char *letter;
	char small;

	if (!*suffix)
		return 1;
	small = (char)(*suffix | 0x20);
	letter = strchr(letters, small);
	if (!letter || suffix[1])
		return 0;
	return (uint64_t)1 << 10 * (letter - letters + 1);
}

static int parse_number(const struct number_option *known, const char *text, uint64_t *value)
{
	uint64_t unit;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	unit = known->bytes ? unit_of(end) : !*end;
	if (!errno && text[0] >= '0' && text[0] <= '9' && unit && *value <= UINT64_MAX / unit) {
		*value *= unit;
		if (*value >= known->min && *value <= known->max)
			return 0;
	}
	fprintf(stderr, "iscsi-load: --%s %s: give a number from %" PRIu64 " to %" PRIu64 "%s\n",
		known->name, text, known->min, known->max,
		known->bytes ? " (k, m, g and t are understood)" : "");
	return -EINVAL;
}

static int take_number(
	struct load_options *opt, const struct number_option *known, const char *text)
{
	uint64_t value;
	int ret = parse_number(known, text, &value);

	if (ret)
		return ret;
	if (known->field) {
		memcpy((char *)opt + known->field, &value, sizeof(value));
	} else if (opt->server_pids == SERVER_PIDS_MAX) {
		fprintf(stderr, "iscsi-load: --server-pid: %d processes at most\n",
			SERVER_PIDS_MAX);
		ret = -EINVAL;
	} else {
		opt->server_pid[opt->server_pids++] = value;
	}
	return ret;
}

static int take_other(struct load_options *opt, int option, bool *no_fill)
{
	switch (option) {
	case OPT_RANDOM:
		opt->random = true;
		return 0;
	case OPT_SEQUENTIAL:
		opt->random = false;
		return 0;
	case OPT_VERIFY:
		opt->verify = true;
		return 0;
	case OPT_FILL:
		opt->fill = true;
		return 0;
	case OPT_NO_FILL:
		*no_fill = true;
		return 0;
	case OPT_JSON:
		opt->json_path = optarg;
		return 0;
	case OPT_QUIET:
		opt->quiet = true;
		return 0;
	case OPT_HELP:
		fputs(usage_text, stdout);
		return -ECANCELED;
	default: /* getopt has said what is wrong */
		fputs("iscsi-load: --help lists the options\n", stderr);
		return -EINVAL;
	}
}

static int check_together(struct load_options *opt)
{
	uint64_t buffer_bytes = opt->clients * opt->depth * opt->io_bytes;

	if (opt->stalled >= opt->clients) {
		fprintf(stderr,
			"iscsi-load: --stall %" PRIu64
			": nobody is left to measure; give --clients "
			"%" PRIu64 " or more\n",
			opt->stalled, opt->stalled + 1);
		return -EINVAL;
	}
	if (opt->clients < opt->urls) {
		fprintf(stderr,
			"iscsi-load: --clients %" PRIu64 ": too few for %" PRIu64
			" URLs; give one for each at least\n",
			opt->clients, opt->urls);
		return -EINVAL;
	}
	if (opt->threads > opt->clients) {
		fprintf(stderr,
			"iscsi-load: --threads %" PRIu64 ": a client is served by one thread; give "
			"%" PRIu64 " at most, or more --clients\n",
			opt->threads, opt->clients);
		return -EINVAL;
	}
	if (buffer_bytes > 4 * gib) {
		fprintf(stderr,
			"iscsi-load: %" PRIu64
			" MiB of buffers: lower --clients, --depth or --size "
			"until their product is 4 GiB at most\n",
			buffer_bytes / mib);
		return -EINVAL;
	}
	return 0;
}

static int check_urls(const struct load_options *opt)
{
	struct iscsi_context *iscsi = iscsi_create_context("iqn.2000-01.example.tests:load");
	uint64_t i;

	for (i = 0; iscsi && i < opt->urls; i++) {
		struct iscsi_url *parsed = iscsi_parse_full_url(iscsi, opt->url[i]);

		if (!parsed)
			break;
		iscsi_destroy_url(parsed);
	}
	if (iscsi)
		iscsi_destroy_context(iscsi);
	if (i == opt->urls && i)
		return 0;
	fprintf(stderr, "iscsi-load: %s: give the URL of a LUN: iscsi://HOST:PORT/TARGET/LUN\n",
		i < opt->urls ? opt->url[i] : "no target");
	return -EINVAL;
}

static void set_defaults(struct load_options *opt)
{
	memset(opt, 0, sizeof(*opt));
	opt->threads = 1;
	opt->depth = 32;
	opt->io_bytes = 4 * kib;
	opt->reads_percent = 100;
	opt->seconds = 10;
	opt->warmup_s = 1;
	opt->timeout_s = 30;
	opt->random = true;
}

static void all_options(struct option known[NUMBERS + OTHERS])
{
	int i;

	for (i = 0; i < NUMBERS; i++)
		known[i] =
			(struct option){numbers[i].name, required_argument, NULL, OPT_NUMBER + i};
	memcpy(known + NUMBERS, others, sizeof(others));
}

int load_options_parse(struct load_options *opt, int argc, char **argv)
{
	struct option known[NUMBERS + OTHERS];
	bool no_fill = false;
	int c, ret = 0;

	set_defaults(opt);
	all_options(known);
	while (!ret && (c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c >= OPT_NUMBER && c < OPT_NUMBER + NUMBERS)
			ret = take_number(opt, &numbers[c - OPT_NUMBER], optarg);
		else
			ret = take_other(opt, c, &no_fill);
	}
	if (ret)
		return ret;
	opt->url = argv + optind;
	opt->urls = (uint64_t)(argc - optind);
	ret = check_urls(opt);
	if (ret)
		return ret;
	if (!opt->clients)
		opt->clients = opt->urls;
	opt->fill = (opt->fill || opt->verify) && !no_fill;
	return check_together(opt);
}
