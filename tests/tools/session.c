/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "session.h"

enum {
	SENSE_KEY_UNIT_ATTENTION = 0x06,
	UNIT_ATTENTIONS_MAX = 8,
	CAPACITY_BYTES = 32,
};

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t get_be(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

static void put_be(uint8_t *p, size_t bytes, uint64_t value)
{
	while (bytes--) {
		p[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

void cdb_16(uint8_t cdb[16], uint8_t opcode, uint8_t flags, uint64_t lba, uint32_t blocks)
{
	memset(cdb, 0, 16);
	cdb[0] = opcode;
	cdb[1] = flags;
	put_be(cdb + 2, 8, lba);
	put_be(cdb + 10, 4, blocks);
}

void outcome_of_task(struct outcome *result, const struct scsi_task *task)
{
	const uint8_t *sense;

	memset(result, 0, sizeof(*result));
	result->status = task->status;
	if (task->residual_status == SCSI_RESIDUAL_UNDERFLOW)
		result->residual_bytes = task->residual;
	if (task->status != SCSI_STATUS_CHECK_CONDITION) {
		result->in_bytes = (size_t)task->datain.size;
		return;
	}
	result->key = (uint8_t)task->sense.key;
	result->asc = (uint8_t)(task->sense.ascq >> 8);
	result->ascq = (uint8_t)task->sense.ascq;
	if (task->datain.size < 2 + 7)
		return;
	sense = task->datain.data + 2; /* after the iSCSI SenseLength, RFC 7143 11.4.7.2 */
	result->has_info =
		sense[0] == (0x80 | 0x70); /* VALID, fixed format, current: SPC-4 4.5.3 */
	result->info = (uint32_t)get_be(sense + 3, 4);
}

const char *outcome_text(const struct outcome *result, char text[16])
{
	if (result->status == SCSI_STATUS_GOOD || result->status == SCSI_STATUS_CONDITION_MET)
		return "ok";
	if (result->status == SCSI_STATUS_CHECK_CONDITION)
		snprintf(text, 16, "%02x/%02x/%02x", result->key, result->asc, result->ascq);
	else if (result->status < SCSI_STATUS_CANCELLED)
		snprintf(text, 16, "status-%02x", (unsigned int)result->status & 0xff);
	else
		return "lost";
	return text;
}

int session_command(struct session *s, const uint8_t *cdb, size_t cdb_len, const void *out,
	size_t out_len, void *in, size_t in_cap, struct outcome *result)
{
	struct iscsi_data data = {out_len, (unsigned char *)(uintptr_t)out};
	int direction = out_len ? SCSI_XFER_WRITE : in_cap ? SCSI_XFER_READ : SCSI_XFER_NONE;
	struct scsi_task *task;

	task = scsi_create_task((int)cdb_len, (unsigned char *)(uintptr_t)cdb, direction,
		(int)(out_len ? out_len : in_cap));
	if (!task)
		return -ENOMEM;
	if (!iscsi_scsi_command_sync(s->iscsi, s->lun, task, out_len ? &data : NULL)) {
		fprintf(stderr, "%s: %s\n", program_invocation_short_name,
			iscsi_get_error(s->iscsi));
		return -EIO;
	}
	outcome_of_task(result, task);
	if (result->in_bytes > in_cap)
		result->in_bytes = in_cap;
	if (result->in_bytes)
		memcpy(in, task->datain.data, result->in_bytes);
	scsi_free_scsi_task(task);
	return result->status < SCSI_STATUS_CANCELLED ? 0 : -EIO;
}

int session_read(
	struct session *s, uint64_t lba, uint32_t blocks, void *buf, struct outcome *result)
{
	uint8_t cdb[16];

	cdb_16(cdb, 0x88, 0, lba, blocks);
	return session_command(
		s, cdb, sizeof(cdb), NULL, 0, buf, (size_t)blocks * s->block_bytes, result);
}

int session_write(struct session *s, uint64_t lba, uint32_t blocks, const void *buf, uint8_t flags,
	struct outcome *result)
{
	uint8_t cdb[16];

	cdb_16(cdb, 0x8a, flags, lba, blocks);
	return session_command(
		s, cdb, sizeof(cdb), buf, (size_t)blocks * s->block_bytes, NULL, 0, result);
}

static int take_unit_attentions(struct session *s)
{
	const uint8_t test_unit_ready[6] = {0};
	struct outcome result;
	int i, ret = 0;

	for (i = 0; i < UNIT_ATTENTIONS_MAX; i++) {
		ret = session_command(
			s, test_unit_ready, sizeof(test_unit_ready), NULL, 0, NULL, 0, &result);
		if (ret || result.key != SENSE_KEY_UNIT_ATTENTION)
			break;
	}
	return ret;
}

static int ask_capacity(struct session *s)
{
	const uint8_t cdb[16] = {0x9e, 0x10, [13] = CAPACITY_BYTES};
	uint8_t data[CAPACITY_BYTES] = {0};
	struct outcome result;
	int ret;

	ret = session_command(s, cdb, sizeof(cdb), NULL, 0, data, sizeof(data), &result);
	if (ret)
		return ret;
	if (result.in_bytes < 12) {
		fprintf(stderr, "%s: no capacity from the target\n", program_invocation_short_name);
		return -EIO;
	}
	s->blocks = get_be(data, 8) + 1;
	s->block_bytes = (uint32_t)get_be(data + 8, 4);
	return 0;
}

static int log_in(struct session *s, const char *url, int timeout_s)
{
	struct iscsi_url *parsed = iscsi_parse_full_url(s->iscsi, url);
	const char *why = NULL; /* what libiscsi says */
	int ret = -EIO;

	if (!parsed)
		goto out;
	s->lun = parsed->lun;
	if (iscsi_set_targetname(s->iscsi, parsed->target) ||
		iscsi_set_session_type(s->iscsi, ISCSI_SESSION_NORMAL) ||
		iscsi_set_header_digest(s->iscsi, ISCSI_HEADER_DIGEST_NONE) ||
		iscsi_set_timeout(s->iscsi, timeout_s))
		goto out;
	if (iscsi_connect_sync(s->iscsi, parsed->portal)) {
		why = "cannot connect; does a target listen there?";
		goto out;
	}
	if (iscsi_login_sync(s->iscsi))
		goto out;
	ret = 0;
out:
	if (ret)
		fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, url,
			why ? why : iscsi_get_error(s->iscsi));
	if (parsed)
		iscsi_destroy_url(parsed);
	return ret;
}

int session_open_within(struct session *s, const char *url, bool reconnect, int timeout_s)
{
	static int sessions;
	char name[64];
	int ret;

	memset(s, 0, sizeof(*s));
	snprintf(name, sizeof(name), "iqn.2000-01.example.tests:io-%d-%d", (int)getpid(),
		sessions++);
	s->iscsi = iscsi_create_context(name);
	if (!s->iscsi)
		return -ENOMEM;
	iscsi_set_noautoreconnect(s->iscsi, 1);
	ret = log_in(s, url, timeout_s);
	if (!ret)
		ret = take_unit_attentions(s);
	if (!ret)
		ret = ask_capacity(s);
	if (ret)
		session_close(s);
	else if (reconnect)
		iscsi_set_noautoreconnect(s->iscsi, 0);
	return ret;
}

int session_open(struct session *s, const char *url, bool reconnect)
{
	return session_open_within(s, url, reconnect, COMMAND_TIMEOUT_S);
}

void session_close(struct session *s)
{
	if (!s->iscsi)
		return;
	if (iscsi_is_logged_in(s->iscsi))
		iscsi_logout_sync(s->iscsi);
	iscsi_destroy_context(s->iscsi);
	s->iscsi = NULL;
}
