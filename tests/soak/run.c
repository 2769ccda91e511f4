/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The soak's loop: connections full of commands, and what their ends mean. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "soak.h"

enum {
	POLL_MS = 50,
	REFUSED_PAUSE_NS = 20 * 1000 * 1000, /* a suspended LUN is not asked without end */
	IDLE_TURNS_MAX = 2400,               /* two minutes without an answer */
	SENSE_NOT_READY = 0x02,
	SENSE_MISCOMPARE = 0x0e,
	ASC_NOT_READY = 0x04,
	ASC_MISCOMPARE = 0x1d,
};

static void describe(const struct soak_op *op, FILE *to)
{
	fprintf(to,
		"%" PRIu64 " connection %u %s lba %" PRIu64 " blocks %" PRIu32
		" out %zu in %zu cdb ",
		op->number, op->conn->index, op->kind->name, op->lba, op->blocks, op->out_bytes,
		op->in_bytes);
	for (size_t i = 0; i < op->cdb_len; i++)
		fprintf(to, "%02x", op->cdb[i]);
}

static void fail(struct soak *k, const struct soak_op *op, const char *how)
{
	if (k->failed)
		return;
	k->failed = true;
	fputs("WRONG: ", stderr);
	describe(op, stderr);
	fprintf(stderr, "\n  answer %s: %s\n", how, k->model.why);
}

/* What the model is told of a write that is over. */
static enum write_end end_of(const struct soak_op *op, const struct outcome *result)
{
	if (result->status == SCSI_STATUS_GOOD)
		return op->kind->thin ? WRITE_FAILED : WRITE_DONE; /* UNMAP is a hint */
	return op->may_miscompare && result->key == SENSE_MISCOMPARE ? WRITE_NOT : WRITE_FAILED;
}

static int judge_good(struct soak *k, struct soak_op *op)
{
	if (op->key) {
		snprintf(k->model.why, sizeof(k->model.why), "not the sense %02x/%02x/00", op->key,
			op->asc);
		return -1;
	}
	return op->kind->judge ? op->kind->judge(k, op) : 0;
}

static int judge_error(struct soak *k, struct soak_op *op, const struct outcome *result)
{
	snprintf(k->model.why, sizeof(k->model.why), "unexpected");
	if (op->key && result->key == op->key && result->asc == op->asc && !result->ascq) {
		k->refused++;
		return 0;
	}
	if (k->suspended && result->key == SENSE_NOT_READY && result->asc == ASC_NOT_READY) {
		k->not_ready++;
		op->conn->pause_until_ns = monotonic_ns() + REFUSED_PAUSE_NS;
		return 0;
	}
	if (!op->may_miscompare || result->key != SENSE_MISCOMPARE || result->asc != ASC_MISCOMPARE)
		return -1;
	k->miscompared++;
	return model_missed(&k->model, op->start, op->lba, op->buf,
		op->writer ? op->out_bytes / 2 : op->out_bytes, op->writer);
}

static int judge(struct soak *k, struct soak_op *op, const struct outcome *result)
{
	bool good =
		result->status == SCSI_STATUS_GOOD || result->status == SCSI_STATUS_CONDITION_MET;
	int ret = good ? judge_good(k, op) : judge_error(k, op, result);

	if (op->writer && model_write_end(&k->model, op->writer, end_of(op, result)))
		ret = -1;
	op->writer = NULL;
	return ret;
}

static void find_oldest(struct soak *k)
{
	uint64_t oldest = NEVER;

	for (unsigned c = 0; c < k->connections; c++)
		for (unsigned i = 0; i < k->depth; i++)
			if (k->conn[c].op[i].active && k->conn[c].op[i].start < oldest)
				oldest = k->conn[c].op[i].start;
	k->model.oldest = oldest == NEVER ? k->model.clock : oldest;
}

static void done(struct iscsi_context *iscsi, int status, void *command_data, void *private_data)
{
	struct soak_op *op = private_data;
	struct soak *k = op->conn->soak;
	struct scsi_task *task = command_data;
	struct outcome result = {.status = status};
	char text[16];

	(void)iscsi;
	op->active = false;
	op->conn->in_flight--;
	if (!task || status >= SCSI_STATUS_CANCELLED) {
		op->conn->dead = true;
		snprintf(k->model.why, sizeof(k->model.why), "no answer");
		fail(k, op, "lost");
	} else {
		task->status = status;
		outcome_of_task(&result, task);
		op->residual = task->residual_status == SCSI_RESIDUAL_NO_RESIDUAL ? 0
			       : task->residual_status == SCSI_RESIDUAL_UNDERFLOW
				       ? (int64_t)task->residual
				       : -(int64_t)task->residual;
		if (judge(k, op, &result))
			fail(k, op, outcome_text(&result, text));
	}
	k->done++;
	k->per_kind[op->kind - soak_kinds]++;
	k->moved_bytes += op->in_bytes + op->out_bytes;
	if (k->log)
		fprintf(k->log, "%" PRIu64 " end %s\n", op->number, outcome_text(&result, text));
	if (op->start == k->model.oldest || !(k->done % 64))
		find_oldest(k);
	if (task)
		scsi_free_scsi_task(task);
}

static int send(struct soak *k, struct soak_op *op)
{
	struct soak_connection *conn = op->conn;
	struct iscsi_data data = {op->out_bytes, op->buf};
	size_t len = op->out_bytes ? op->out_bytes : op->in_bytes;
	struct scsi_task *task;

	task = scsi_create_task((int)op->cdb_len, op->cdb,
		op->out_bytes  ? SCSI_XFER_WRITE
		: op->in_bytes ? SCSI_XFER_READ
			       : SCSI_XFER_NONE,
		(int)len);
	if (!task)
		return -ENOMEM;
	if (op->in_bytes)
		scsi_task_add_data_in_buffer(task, (int)len, op->buf);
	if (k->log) {
		describe(op, k->log);
		fputc('\n', k->log);
	}
	op->active = true;
	conn->in_flight++;
	k->sent++;
	if (!iscsi_scsi_command_async(conn->session.iscsi, conn->session.lun, task, done,
		    op->out_bytes ? &data : NULL, op))
		return 0;
	op->active = false;
	conn->in_flight--;
	scsi_free_scsi_task(task);
	return -EIO;
}

static void fill(struct soak *k, struct soak_connection *conn)
{
	for (unsigned i = 0; i < k->depth && k->sent < k->ops; i++) {
		struct soak_op *op = &conn->op[i];

		if (op->active)
			continue;
		if (k->failed || monotonic_ns() < conn->pause_until_ns)
			return;
		op->number = k->sent + 1;
		if (!soak_choose(k, op))
			return;
		if (send(k, op)) {
			conn->dead = true;
			fail(k, op, "not sent");
		}
	}
}

/* True when an answer may have come. */
static bool turn(struct soak *k)
{
	struct pollfd fds[SOAK_CONNECTIONS_MAX];
	int ready;

	for (unsigned i = 0; i < k->connections; i++) {
		struct iscsi_context *iscsi = k->conn[i].session.iscsi;

		fds[i] = (struct pollfd){.fd = k->conn[i].dead ? -1 : iscsi_get_fd(iscsi),
			.events = (short)iscsi_which_events(iscsi)};
	}
	ready = poll(fds, k->connections, POLL_MS);
	for (unsigned i = 0; ready > 0 && i < k->connections; i++)
		if (fds[i].revents && iscsi_service(k->conn[i].session.iscsi, fds[i].revents) < 0)
			k->conn[i].dead = k->failed = true;
	return ready > 0;
}

static unsigned in_flight(const struct soak *k)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < k->connections; i++)
		sum += k->conn[i].dead ? 0 : k->conn[i].in_flight;
	return sum;
}

int soak_run(struct soak *k)
{
	uint64_t end_ns = k->seconds ? monotonic_ns() + k->seconds * UINT64_C(1000000000) : NEVER;
	unsigned idle = 0;

	while ((k->sent < k->ops && !k->failed) || in_flight(k)) {
		if (monotonic_ns() > end_ns)
			k->ops = k->sent;
		for (unsigned i = 0; i < k->connections; i++)
			fill(k, &k->conn[i]);
		idle = turn(k) ? 0 : idle + 1;
		if (idle > IDLE_TURNS_MAX) {
			fprintf(stderr, "WRONG: %u commands get no answer\n", in_flight(k));
			return -1;
		}
	}
	return k->failed ? -1 : 0;
}
