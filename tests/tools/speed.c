/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* `iscsi-io speed`: how fast a LUN reads or writes; commands at random places, nothing verified. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "iscsi-io.h"
#include "session.h"

enum {
	SPEED_DEPTH_MAX = 256,
	SPEED_POLL_MS = 1000,
	SPEED_SIZE_MAX = 16 * 1024 * 1024,
};

static const uint64_t give_up_ns = 30000000000u; /* after the time is over */

struct speed;

/* One of the commands in flight; sent again with another address until the time is over. */
struct speed_op {
	struct speed *speed;
	uint8_t *buf;
};

struct speed {
	const char *url;
	bool write;
	unsigned int depth;
	uint32_t size_bytes;
	uint64_t duration_ns, end_ns;

	struct session session;
	uint8_t *buf; /* size_bytes for each place in the depth */
	unsigned int in_flight;
	uint64_t random, done_bytes;
	int error;
	struct speed_op op[SPEED_DEPTH_MAX];
};

static int send_next(struct speed_op *op);

static void command_ended(
	struct iscsi_context *iscsi, int status, void *command_data, void *private_data)
{
	struct speed_op *op = private_data;
	struct speed *sp = op->speed;

	(void)iscsi;
	if (command_data)
		scsi_free_scsi_task(command_data);
	sp->in_flight--;
	if (status != SCSI_STATUS_GOOD)
		sp->error = -EIO;
	if (sp->error)
		return;
	sp->done_bytes += sp->size_bytes;
	if (monotonic_ns() < sp->end_ns)
		sp->error = send_next(op);
}

static uint64_t random_lba(struct speed *sp, uint32_t blocks)
{
	sp->random = sp->random * 6364136223846793005u + 1442695040888963407u;
	return (sp->random >> 33) % (sp->session.blocks / blocks) * blocks;
}

static int send_next(struct speed_op *op)
{
	struct speed *sp = op->speed;
	uint32_t blocks = sp->size_bytes / sp->session.block_bytes;
	struct iscsi_data data = {sp->size_bytes, op->buf};
	struct scsi_task *task;
	uint8_t cdb[16];

	cdb_16(cdb, sp->write ? 0x8a : 0x88, 0, random_lba(sp, blocks), blocks);
	task = scsi_create_task(sizeof(cdb), cdb, sp->write ? SCSI_XFER_WRITE : SCSI_XFER_READ,
		(int)sp->size_bytes);
	if (!task)
		return -ENOMEM;
	if (!sp->write)
		scsi_task_add_data_in_buffer(task, (int)sp->size_bytes, op->buf);
	if (iscsi_scsi_command_async(sp->session.iscsi, sp->session.lun, task, command_ended,
		    sp->write ? &data : NULL, op)) {
		scsi_free_scsi_task(task);
		return -EIO;
	}
	sp->in_flight++;
	return 0;
}

static void wait_for_answers(struct speed *sp)
{
	struct iscsi_context *iscsi = sp->session.iscsi;

	while (sp->in_flight && !sp->error) {
		struct pollfd fd = {iscsi_get_fd(iscsi), (short)iscsi_which_events(iscsi), 0};

		if (poll(&fd, 1, SPEED_POLL_MS) < 0 || iscsi_service(iscsi, fd.revents) < 0 ||
			monotonic_ns() > sp->end_ns + give_up_ns)
			sp->error = -EIO;
	}
}

/* The time is taken until the last answer, so that every byte counted lies in it. */
static int measure(struct speed *sp)
{
	uint64_t start_ns = monotonic_ns();

	sp->end_ns = start_ns + sp->duration_ns;
	for (unsigned int i = 0; i < sp->depth && !sp->error; i++) {
		sp->op[i] = (struct speed_op){sp, sp->buf + (size_t)i * sp->size_bytes};
		sp->error = send_next(&sp->op[i]);
	}
	wait_for_answers(sp);
	if (sp->error) {
		fprintf(stderr, "iscsi-io: %s: %s\n", sp->url, iscsi_get_error(sp->session.iscsi));
		return sp->error;
	}
	printf("%.3f\n", (double)sp->done_bytes * 1e3 / (double)(monotonic_ns() - start_ns));
	return 0;
}

static int parse_speed(int argc, char **argv, struct speed *sp)
{
	static const struct option known[] = {{"depth", 1, NULL, 'd'}, {"ms", 1, NULL, 'm'},
		{"size", 1, NULL, 'b'}, {"write", 0, NULL, 'w'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 0) : 0;

		if (c == 'd')
			sp->depth = (unsigned int)n;
		else if (c == 'm')
			sp->duration_ns = n * 1000000u;
		else if (c == 'b')
			sp->size_bytes = n > SPEED_SIZE_MAX ? 0 : (uint32_t)n;
		else if (c == 'w')
			sp->write = true;
		else
			return -EINVAL;
	}
	if (argc - optind != 1 || !sp->depth || sp->depth > SPEED_DEPTH_MAX || !sp->size_bytes)
		return -EINVAL;
	sp->url = argv[optind];
	return 0;
}

static int fits(const struct speed *sp)
{
	const struct session *s = &sp->session;

	if (sp->size_bytes % s->block_bytes == 0 && sp->size_bytes <= s->blocks * s->block_bytes)
		return 0;
	fputs("iscsi-io: the LUN cannot take commands of this size\n", stderr);
	return -EINVAL;
}

int io_speed(int argc, char **argv)
{
	struct speed sp = {.depth = 32, .size_bytes = 65536, .duration_ns = 1000000000u};
	int status = EXIT_FAILED;

	if (parse_speed(argc, argv, &sp))
		return EXIT_USAGE;
	if (session_open(&sp.session, sp.url, false))
		return EXIT_FAILED;
	sp.buf = calloc(sp.depth, sp.size_bytes);
	if (sp.buf && !fits(&sp) && !measure(&sp))
		status = EXIT_OK;
	if (sp.error) /* no log-out: it would wait */
		iscsi_destroy_context(sp.session.iscsi);
	else
		session_close(&sp.session);
	free(sp.buf);
	return status;
}
