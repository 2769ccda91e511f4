/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The stress's commands: which comes next, and what its end means. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stamp.h"
#include "stress.h"

/* A LUN that only refuses must not fill the disk with log. */
enum { ERROR_PAUSE_NS = 5 * 1000 * 1000 };

static void count_outcome(struct stress *st, const char *text)
{
	size_t i;

	for (i = 0; i < OUTCOMES_MAX - 1; i++)
		if (!st->outcome[i].count || !strcmp(st->outcome[i].text, text))
			break;
	snprintf(st->outcome[i].text, sizeof(st->outcome[i].text), "%s", text);
	st->outcome[i].count++;
}

static void verify_read(struct stress *st, const struct op *op)
{
	const struct slot *slot = &st->state.slot[op->slot];
	uint64_t offset = slot_offset(&st->state, op->slot), bad;
	uint32_t found;

	if (!stamp_verify(op->buf, st->state.slot_bytes, offset, slot->acknowledged,
		    slot->attempted, &bad, &found))
		return;
	if (!st->corrupt++)
		fprintf(stderr,
			"byte %" PRIu64 ": version %" PRIu32 ", want %" PRIu32 "..%" PRIu32 "\n",
			bad, found, slot->acknowledged, slot->attempted);
}

static void flush_done(struct connection *conn)
{
	uint32_t per = conn->stress->slots_per_connection, i;
	struct slot *mine = conn->stress->state.slot + (size_t)conn->index * per;

	for (i = 0; i < per; i++)
		mine[i].flushed = conn->flush_snapshot[i];
}

static void account(struct op *op, const struct outcome *result)
{
	static const char letter[] = {'R', 'W', 'F'};
	struct connection *conn = op->conn;
	struct stress *st = conn->stress;
	uint64_t end_ns = monotonic_ns();
	char text[16];
	const char *how = outcome_text(result, text);

	count_outcome(st, how);
	st->done[op->kind]++;
	if (end_ns - op->start_ns > st->slowest_ns)
		st->slowest_ns = end_ns - op->start_ns;
	if (result->status != SCSI_STATUS_GOOD)
		conn->pause_until_ns = end_ns + ERROR_PAUSE_NS;
	if (st->log)
		fprintf(st->log, "%" PRIu64 " %" PRIu64 " %u %c %" PRIu32 " %s\n", op->start_ns,
			end_ns, conn->index, letter[op->kind], op->slot, how);
}

static void op_done(struct iscsi_context *iscsi, int status, void *command_data, void *private_data)
{
	struct op *op = private_data;
	struct connection *conn = op->conn;
	struct slot *slot = &conn->stress->state.slot[op->slot];
	struct outcome result = {.status = status};

	(void)iscsi;
	if (command_data) {
		((struct scsi_task *)command_data)->status = status;
		outcome_of_task(&result, command_data);
	}
	account(op, &result);
	if (status >= SCSI_STATUS_CANCELLED && !conn->stress->reconnect)
		conn->dead = true;
	if (status == SCSI_STATUS_GOOD) {
		if (op->kind == OP_READ)
			verify_read(conn->stress, op);
		else if (op->kind == OP_WRITE)
			slot->acknowledged = op->version;
		else
			flush_done(conn);
	}
	if (op->kind == OP_FLUSH)
		conn->flushing = false;
	else
		slot->busy = false;
	op->active = false;
	conn->in_flight--;
	if (command_data)
		scsi_free_scsi_task(command_data);
}

static int send_task(struct op *op, const uint8_t *cdb, size_t cdb_len, int direction, size_t len)
{
	struct session *s = &op->conn->session;
	struct iscsi_data data = {len, op->buf};
	struct scsi_task *task;

	task = scsi_create_task((int)cdb_len, (unsigned char *)(uintptr_t)cdb, direction, (int)len);
	if (!task)
		return -ENOMEM;
	if (direction == SCSI_XFER_READ)
		scsi_task_add_data_in_buffer(task, (int)len, op->buf);
	op->start_ns = monotonic_ns();
	op->active = true;
	op->conn->in_flight++;
	if (!iscsi_scsi_command_async(s->iscsi, s->lun, task, op_done,
		    direction == SCSI_XFER_WRITE ? &data : NULL, op))
		return 0;
	op->active = false;
	op->conn->in_flight--;
	op->conn->dead = true;
	scsi_free_scsi_task(task);
	return -EIO;
}

static int send_flush(struct op *op)
{
	const uint8_t synchronize_cache_10[10] = {0x35};
	struct connection *conn = op->conn;
	uint32_t per = conn->stress->slots_per_connection, i;
	const struct slot *mine = conn->stress->state.slot + (size_t)conn->index * per;

	for (i = 0; i < per; i++)
		conn->flush_snapshot[i] = mine[i].acknowledged;
	conn->writes_since_flush = 0;
	conn->flushing = true;
	op->kind = OP_FLUSH;
	op->slot = conn->index * per;
	return send_task(op, synchronize_cache_10, sizeof(synchronize_cache_10), SCSI_XFER_NONE, 0);
}

static int send_io(struct op *op, uint32_t slot_index)
{
	struct connection *conn = op->conn;
	struct stress *st = conn->stress;
	struct slot *slot = &st->state.slot[slot_index];
	uint64_t offset = slot_offset(&st->state, slot_index);
	uint32_t block_bytes = conn->session.block_bytes;
	uint8_t cdb[16];

	op->slot = slot_index;
	op->kind = slot->acknowledged && (conn->random >> 33) % 100 < st->reads_percent ? OP_READ
											: OP_WRITE;
	slot->busy = true;
	cdb_16(cdb, op->kind == OP_READ ? 0x88 : 0x8a, 0, offset / block_bytes,
		st->state.slot_bytes / block_bytes);
	if (op->kind == OP_WRITE) {
		op->version = ++slot->attempted;
		stamp_fill(op->buf, st->state.slot_bytes, offset, op->version);
		conn->writes_since_flush++;
	}
	return send_task(op, cdb, sizeof(cdb),
		op->kind == OP_READ ? SCSI_XFER_READ : SCSI_XFER_WRITE, st->state.slot_bytes);
}

/* A slot of this connection that has no command in flight: depth is below their number. */
static uint32_t pick_slot(struct connection *conn)
{
	uint32_t per = conn->stress->slots_per_connection, i;

	conn->random = conn->random * 6364136223846793005u + 1442695040888963407u;
	i = conn->index * per + (uint32_t)((conn->random >> 40) % per);
	while (conn->stress->state.slot[i].busy)
		i = conn->index * per + (i + 1) % per;
	return i;
}

void stress_fill(struct connection *conn)
{
	struct stress *st = conn->stress;
	unsigned int i;

	for (i = 0; i < st->depth && !conn->dead; i++) {
		struct op *op = &conn->op[i];

		if (op->active || monotonic_ns() < conn->pause_until_ns)
			continue;
		if (st->flush_every && conn->writes_since_flush >= st->flush_every &&
			!conn->flushing)
			(void)!send_flush(op);
		else
			(void)!send_io(op, pick_slot(conn));
	}
}
