/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* iscsi-io: what the shell tests cannot say to a LUN themselves. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "iscsi-io.h"
#include "session.h"

static const char usage_text[] =
	"usage: iscsi-io COMMAND URL ...\n"
	"  now                                 CLOCK_MONOTONIC in nanoseconds, as in stress --log\n"
	"  capacity URL                        BLOCKS BLOCK_BYTES\n"
	"  read URL LBA BLOCKS [--chunk N]     data to stdout, N blocks a command\n"
	"  write URL LBA [--chunk N] [--fua]   data from stdin\n"
	"  flush URL                           SYNCHRONIZE CACHE (10)\n"
	"  cdb URL HEX [--out FILE | --in LEN [--to FILE]] [--hold]\n"
	"                                      any command; prints status, sense and data;\n"
	"                                      --hold: logs out when stdin ends\n"
	"  talk URL                            in one session, for each line on stdin: HEX [FILE], "
	"a\n"
	"                                      command and its data-out; status, sense\n"
	"  stress URL [--connections N] [--depth N] [--seconds S] [--size BYTES] [--slots N]\n"
	"             [--reads PERCENT] [--flush-every WRITES] [--log FILE] [--state FILE]\n"
	"             [--offset BYTES] [--reconnect]\n"
	"                                      stamped blocks, verified; until the time is over "
	"or\n"
	"                                      SIGTERM; SIGUSR1 reports on the way\n"
	"  check URL --state FILE              are the blocks that stress left still there?\n"
	"  speed URL [--size BYTES] [--depth N] [--ms N] [--write]\n"
	"                                      MB/s of commands at random places\n"
	"  count URL LBA CONNECTIONS TIMES     increments a counter with COMPARE AND WRITE\n"
	"  race URL KIND LBA BLOCKS CONNECTIONS TIMES\n"
	"                                      counters: COMPARE AND WRITE adds one to each block "
	"of "
	"ranges\n"
	"                                      that overlap; bits: ORWRITE sets each its own; "
	"versions:\n"
	"                                      every other writes all blocks, the rest read them\n"
	"URL is iscsi://HOST:PORT/TARGET/LUN. Exit status 3: the target answered with an error.\n";

static int io_now(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("%" PRIu64 "\n", monotonic_ns());
	return EXIT_OK;
}

static const struct {
	const char *name;
	int argc_min;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"now", 1, io_now},
	{"capacity", 2, io_capacity},
	{"read", 4, io_read},
	{"write", 3, io_write},
	{"flush", 2, io_flush},
	{"cdb", 3, io_cdb},
	{"talk", 2, io_talk},
	{"stress", 2, io_stress},
	{"check", 2, io_check},
	{"speed", 2, io_speed},
	{"count", 5, io_count},
	{"race", 7, io_race},
};

int main(int argc, char **argv)
{
	size_t i;

	signal(SIGPIPE, SIG_IGN); /* libiscsi writes to a target that may just have died */
	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name) && argc - 1 >= commands[i].argc_min)
			return commands[i].run(argc - 1, argv + 1);
	fputs(usage_text, stderr);
	return EXIT_USAGE;
}
