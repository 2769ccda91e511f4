/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* `iscsi-io count`: several initiators increment one counter with COMPARE AND WRITE. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iscsi-io.h"
#include "session.h"

enum {
	COMPARE_AND_WRITE = 0x89,
	SENSE_KEY_MISCOMPARE = 0x0e,
	COUNTERS_MAX = 64,
};

/* 1 when the counter went from buf's value to the next, 0 when another was quicker, or -EIO. */
static int increment_once(struct session *s, uint64_t lba, uint8_t *buf)
{
	uint8_t cdb[16];
	struct outcome result;
	uint64_t value;

	if (session_read(s, lba, 1, buf, &result) || result.status != SCSI_STATUS_GOOD)
		return -EIO;
	memcpy(buf + s->block_bytes, buf, s->block_bytes);
	memcpy(&value, buf, sizeof(value));
	value++;
	memcpy(buf + s->block_bytes, &value, sizeof(value));
	cdb_16(cdb, COMPARE_AND_WRITE, 0, lba, 0);
	cdb[13] = 1; /* NUMBER OF LOGICAL BLOCKS, SBC-4 5.3 */
	if (session_command(s, cdb, sizeof(cdb), buf, 2 * (size_t)s->block_bytes, NULL, 0, &result))
		return -EIO;
	if (result.status == SCSI_STATUS_GOOD)
		return 1;
	return result.key == SENSE_KEY_MISCOMPARE ? 0 : -EIO;
}

static int count_up(const char *url, uint64_t lba, unsigned long times)
{
	unsigned long misses = 0;
	struct session s;
	uint8_t *buf;
	int ret;

	if (session_open(&s, url, false))
		return EXIT_FAILED;
	buf = malloc(2 * (size_t)s.block_bytes);
	ret = buf ? 0 : -ENOMEM;
	while (ret >= 0 && times) {
		ret = increment_once(&s, lba, buf);
		times -= ret > 0;
		misses += ret == 0;
	}
	free(buf);
	session_close(&s);
	printf("misses %lu\n", misses);
	fflush(stdout);
	return ret < 0 ? EXIT_FAILED : EXIT_OK;
}

static int show_counter(const char *url, uint64_t lba, int status)
{
	struct outcome result;
	struct session s;
	uint64_t value;
	uint8_t *buf;

	if (session_open(&s, url, false))
		return EXIT_FAILED;
	buf = malloc(s.block_bytes);
	if (!buf || session_read(&s, lba, 1, buf, &result) || result.status != SCSI_STATUS_GOOD) {
		status = EXIT_FAILED;
	} else {
		memcpy(&value, buf, sizeof(value));
		printf("counter %" PRIu64 "\n", value);
	}
	free(buf);
	session_close(&s);
	return status;
}

int io_count(int argc, char **argv)
{
	uint64_t lba = strtoull(argv[2], NULL, 0);
	unsigned long counters = strtoul(argv[3], NULL, 0), i;
	unsigned long times = strtoul(argv[4], NULL, 0);
	int status = EXIT_OK, child;

	if (argc != 5 || !counters || counters > COUNTERS_MAX)
		return EXIT_USAGE;
	for (i = 0; i < counters; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(count_up(argv[1], lba, times));
		if (pid < 0)
			status = EXIT_FAILED;
	}
	while (wait(&child) > 0)
		if (child)
			status = EXIT_FAILED;
	return show_counter(argv[1], lba, status);
}
