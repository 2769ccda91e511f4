/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "load_client.h"

enum {
	STALL_COMMANDS = 32,
	STALL_COMMAND_BYTES = 1 << 20,
	STALL_SOCKET_BYTES = 4096,
	FILL_COMMAND_BYTES = 256 << 10,
	AREA_DEFAULT_BYTES = 1 << 30,
	BUFFER_ALIGN = 4096,
	STALE_DATA_WORDS = 4096 / 8,      /* one word of so many is new in unmarked writes */
	PLACES_MAX = 64 << 20,            /* of all clients together: 12 bytes each */
	ERROR_PAUSE_NS = 5 * 1000 * 1000, /* a LUN that only refuses is not worth all of a CPU */
	LOGOUT_TIMEOUT_S = 5,
};

static const char lost_text[] = "connection lost, no answer";

/* ---- errors -------------------------------------------------------------------------------- */

static void describe(const struct command *cmd, const char *what, char text[ERROR_TEXT_BYTES])
{
	const struct load_client *c = cmd->client;

	snprintf(text, ERROR_TEXT_BYTES,
		"%s of %" PRIu64 " blocks at LBA %" PRIu64 ": %s (client %u, %s)",
		cmd->kind == LOAD_READ ? "read" : "write",
		(uint64_t)cmd->task->expxferlen / c->session.block_bytes,
		c->first_lba + cmd->place * c->place_blocks, what, c->index, c->url);
}

/* A stalled client's fate is not part of the figures. */
static void count_error(
	const struct command *cmd, const char *kind, const char *what, uint64_t now_ns)
{
	char text[ERROR_TEXT_BYTES];

	if (cmd->client->mode == CLIENT_STALLED)
		return;
	describe(cmd, what, text);
	stats_error(cmd->client->stats, kind, text, now_ns);
}

static void count_failed(const struct command *cmd, int status, uint64_t now_ns)
{
	struct scsi_task *task = cmd->task;
	const char *key = scsi_sense_key_str(task->sense.key);
	const char *asc = scsi_sense_ascq_str(task->sense.ascq);
	char kind[16], what[160];
	struct outcome result;
	const char *outcome;

	task->status = status;
	outcome_of_task(&result, task);
	outcome = outcome_text(&result, kind);
	if (status == SCSI_STATUS_CHECK_CONDITION)
		snprintf(what, sizeof(what), "sense %s %s%s%s", outcome, key ? key : "",
			asc ? ", " : "", asc ? asc : "");
	else if (status >= SCSI_STATUS_CANCELLED)
		snprintf(what, sizeof(what), "%s",
			status == SCSI_STATUS_CANCELLED
				? lost_text
				: iscsi_get_error(cmd->client->session.iscsi));
	else
		snprintf(what, sizeof(what), "SCSI status 0x%02x", (unsigned int)status);
	count_error(cmd, outcome, what, now_ns);
}

/* The connection is of no use any more. Commands that libiscsi has not ended are errors, too. */
static void lose(struct load_client *c, const char *kind, const char *what)
{
	uint64_t now_ns = monotonic_ns();
	unsigned int i;

	if (c->mode == CLIENT_DEAD)
		return;
	for (i = 0; i < c->commands; i++)
		if (c->command[i].in_flight)
			count_error(&c->command[i], kind, what, now_ns);
	if (c->mode != CLIENT_STALLED)
		c->stats->lost_connections++;
	c->in_flight = 0;
	c->mode = CLIENT_DEAD;
}

/* ---- places and their data ----------------------------------------------------------------- */

static uint64_t next_random(struct load_client *c)
{
	c->random = c->random * 6364136223846793005u + 1442695040888963407u;
	return c->random >> 32;
}

/* A place that no other command uses: with --verify there are more places than commands. */
static uint64_t pick_place(struct load_client *c)
{
	uint64_t place;

	if (c->opt->random) {
		place = (next_random(c) << 32 | next_random(c)) % c->places;
	} else {
		place = c->next_place;
		c->next_place = (place + 1) % c->places;
	}
	while (c->place && c->place[place].busy)
		place = (place + 1) % c->places;
	return place;
}

static void mark_busy(const struct command *cmd, bool busy)
{
	uint32_t i;

	for (i = 0; cmd->client->place && i < cmd->places; i++)
		cmd->client->place[cmd->place + i].busy = busy;
}

static void make_data(struct command *cmd, uint32_t bytes)
{
	struct load_client *c = cmd->client;
	struct mark first = {
		.lba = c->first_lba + cmd->place * c->place_blocks, .writer = c->writer};
	uint32_t i;

	if (!c->place) {
		for (i = 0; i < bytes / sizeof(*cmd->buf); i += STALE_DATA_WORDS)
			cmd->buf[i] = c->writer + c->serial++;
		return;
	}
	cmd->version = (uint64_t)c->place[cmd->place].attempted + 1;
	first.version = cmd->version;
	for (i = 0; i < cmd->places; i++)
		c->place[cmd->place + i].attempted = (uint32_t)cmd->version;
	mark_blocks(cmd->buf, c->session.block_bytes, cmd->places * c->place_blocks, &first);
}

static void acknowledge(const struct command *cmd)
{
	uint32_t i;

	for (i = 0; cmd->client->place && i < cmd->places; i++)
		cmd->client->place[cmd->place + i].acknowledged = (uint32_t)cmd->version;
}

static void verify(const struct command *cmd, uint64_t now_ns)
{
	struct load_client *c = cmd->client;
	const struct place *place = &c->place[cmd->place];
	struct mark_bounds bounds = {
		.first_lba = c->first_lba + cmd->place * c->place_blocks, .highest = UINT64_MAX};
	char what[MARK_FAULT_TEXT_BYTES], text[ERROR_TEXT_BYTES];
	struct mark_fault fault;
	uint32_t faults;

	if (place->acknowledged) {
		bounds.writer = c->writer;
		bounds.lowest = place->acknowledged;
		bounds.highest = place->attempted;
	}
	faults = mark_check(cmd->buf, c->session.block_bytes, c->place_blocks, &bounds, &fault);
	c->stats->blocks_checked += c->place_blocks;
	if (!faults)
		return;
	snprintf(text, sizeof(text), "%s (client %u, %s)", mark_fault_text(&fault, &bounds, what),
		c->index, c->url);
	stats_mismatch(c->stats, faults, text, now_ns);
}

/* ---- commands ------------------------------------------------------------------------------ */

static void count_done(const struct command *cmd, uint64_t now_ns)
{
	struct load_client *c = cmd->client;

	if (now_ns < c->window->start_ns ||
		now_ns >= atomic_load_explicit(&c->window->end_ns, memory_order_relaxed))
		return;
	c->stats->commands[cmd->kind]++;
	c->stats->bytes[cmd->kind] += c->place_bytes;
	c->bytes += c->place_bytes;
	histogram_add(&c->stats->latency[cmd->kind], now_ns - cmd->since_ns);
}

static void on_done(struct iscsi_context *iscsi, int status, void *command_data, void *private_data)
{
	struct command *cmd = private_data;
	struct load_client *c = cmd->client;
	uint64_t now_ns = monotonic_ns();

	(void)iscsi;
	(void)command_data;
	if (!cmd->in_flight || c->mode == CLIENT_DEAD)
		return; /* counted when the connection was lost, or closed on purpose */
	cmd->in_flight = false;
	c->in_flight--;
	cmd->next_free = c->free;
	c->free = cmd;
	mark_busy(cmd, false);
	if (status != SCSI_STATUS_GOOD) {
		c->lost = c->lost || status >= SCSI_STATUS_CANCELLED;
		c->pause_until_ns = now_ns + ERROR_PAUSE_NS;
		count_failed(cmd, status, now_ns);
	} else if (cmd->task->residual_status != SCSI_RESIDUAL_NO_RESIDUAL) {
		count_error(cmd, "short", "fewer or more bytes than asked for", now_ns);
	} else {
		if (cmd->places == 1)
			count_done(cmd, now_ns);
		if (cmd->kind == LOAD_WRITE)
			acknowledge(cmd);
		else if (c->place)
			verify(cmd, now_ns);
	}
}

static void reset_task(struct command *cmd, uint32_t bytes)
{
	const struct load_client *c = cmd->client;
	uint64_t lba = c->first_lba + cmd->place * c->place_blocks;
	struct scsi_task *task = cmd->task;
	bool reads = cmd->kind == LOAD_READ;

	free(task->datain.data); /* sense data */
	memset(&task->datain, 0, sizeof(task->datain));
	memset(&task->sense, 0, sizeof(task->sense));
	memset(&task->iovector_in, 0, sizeof(task->iovector_in));
	memset(&task->iovector_out, 0, sizeof(task->iovector_out));
	task->residual_status = SCSI_RESIDUAL_NO_RESIDUAL;
	cdb_16(task->cdb, reads ? 0x88 : 0x8a, 0, lba, bytes / c->session.block_bytes);
	task->xfer_dir = reads ? SCSI_XFER_READ : SCSI_XFER_WRITE;
	task->expxferlen = (int)bytes;
	cmd->iov = (struct scsi_iovec){cmd->buf, bytes};
	if (reads)
		scsi_task_set_iov_in(task, &cmd->iov, 1);
	else
		scsi_task_set_iov_out(task, &cmd->iov, 1);
}

/* Sends a free command whose kind, place and places are set. 0 for due_ns: it is due now. */
static void send_command(struct command *cmd, uint32_t bytes, uint64_t due_ns)
{
	struct load_client *c = cmd->client;

	if (cmd->kind == LOAD_WRITE)
		make_data(cmd, bytes);
	reset_task(cmd, bytes);
	cmd->sent_ns = monotonic_ns();
	cmd->since_ns = due_ns ? due_ns : cmd->sent_ns;
	c->free = cmd->next_free;
	cmd->in_flight = true;
	c->in_flight++;
	mark_busy(cmd, true);
	if (iscsi_scsi_command_async(
		    c->session.iscsi, c->session.lun, cmd->task, on_done, NULL, cmd))
		lose(c, "lost", iscsi_get_error(c->session.iscsi));
}

static void send_load(struct load_client *c, uint64_t due_ns)
{
	struct command *cmd = c->free;

	cmd->kind = next_random(c) % 100 < c->opt->reads_percent ? LOAD_READ : LOAD_WRITE;
	cmd->place = pick_place(c);
	cmd->places = 1;
	send_command(cmd, c->place_bytes, due_ns);
}

static void send_fill(struct load_client *c)
{
	struct command *cmd = c->free;
	uint64_t left = c->places - c->next_place;
	uint32_t places = c->buffer_bytes / c->place_bytes;

	cmd->kind = LOAD_WRITE;
	cmd->place = c->next_place;
	cmd->places = places < left ? places : (uint32_t)left;
	c->next_place += cmd->places;
	send_command(cmd, cmd->places * c->place_bytes, 0);
}

static bool may_send(const struct load_client *c)
{
	return c->free && (!c->pause_until_ns || monotonic_ns() >= c->pause_until_ns);
}

void client_send(struct load_client *c)
{
	while (c->mode == CLIENT_FILLING && c->next_place < c->places && may_send(c))
		send_fill(c);
	while (c->mode == CLIENT_LOADING && !c->opt->commands_per_s && may_send(c))
		send_load(c, 0);
}

bool client_send_due(struct load_client *c, uint64_t due_ns)
{
	if (c->mode != CLIENT_LOADING || !may_send(c))
		return false;
	send_load(c, due_ns);
	return true;
}

bool client_service(struct load_client *c, int revents)
{
	struct iscsi_context *iscsi = c->session.iscsi;
	int ret = 0;

	if (revents & ~POLLOUT)
		ret = iscsi_service(iscsi, revents & ~POLLOUT);
	client_send(c);
	if (!ret && c->mode != CLIENT_DEAD && iscsi_which_events(iscsi) & POLLOUT)
		ret = iscsi_service(iscsi, POLLOUT);
	if (ret || c->lost || revents & (POLLERR | POLLHUP | POLLRDHUP))
		lose(c, "lost", lost_text);
	return c->mode != CLIENT_DEAD && iscsi_which_events(iscsi) & POLLOUT;
}

void client_check_timeout(struct load_client *c, uint64_t now_ns)
{
	uint64_t limit_ns = c->opt->timeout_s * 1000000000u;
	char what[64];
	unsigned int i;

	if (c->mode == CLIENT_DEAD || c->mode == CLIENT_STALLED)
		return;
	for (i = 0; i < c->commands; i++)
		if (c->command[i].in_flight && now_ns > c->command[i].sent_ns + limit_ns)
			break;
	if (i == c->commands)
		return;
	snprintf(what, sizeof(what), "no answer in %" PRIu64 " s", c->opt->timeout_s);
	lose(c, "timeout", what);
}

/* ---- modes --------------------------------------------------------------------------------- */

static void set_mode(struct load_client *c, enum client_mode mode)
{
	if (c->mode != CLIENT_DEAD)
		c->mode = mode;
}

void client_fill(struct load_client *c)
{
	c->next_place = c->stalls ? c->places : 0;
	set_mode(c, CLIENT_FILLING);
}

bool client_is_filled(const struct load_client *c)
{
	return c->mode == CLIENT_DEAD || (c->next_place == c->places && !c->in_flight);
}

void client_load(struct load_client *c)
{
	c->next_place = 0;
	set_mode(c, CLIENT_LOADING);
}

void client_idle(struct load_client *c)
{
	if (c->mode != CLIENT_STALLED)
		set_mode(c, CLIENT_IDLE);
}

void client_stall(struct load_client *c)
{
	int fd = iscsi_get_fd(c->session.iscsi), small = STALL_SOCKET_BYTES;
	uint64_t bytes = c->places * c->place_bytes;

	if (c->mode == CLIENT_DEAD)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bytes > STALL_COMMAND_BYTES)
		bytes = STALL_COMMAND_BYTES - STALL_COMMAND_BYTES % c->session.block_bytes;
	c->mode = CLIENT_STALLED;
	while (c->free && c->mode == CLIENT_STALLED) {
		struct command *cmd = c->free;

		cmd->kind = LOAD_READ;
		cmd->place = 0;
		cmd->places = 0;
		c->stalled_bytes += bytes;
		send_command(cmd, (uint32_t)bytes, 0);
	}
	if (iscsi_service(c->session.iscsi, POLLOUT))
		lose(c, "lost", lost_text);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static int refuse_area(const struct load_client *c, uint64_t area, uint64_t share_bytes)
{
	fprintf(stderr,
		"iscsi-load: %s: an area of %" PRIu64 " bytes is not in its share of %" PRIu64
		" bytes; give a smaller --area or fewer --clients\n",
		c->url, area, share_bytes);
	return -EINVAL;
}

static int refuse_places(const struct load_client *c, uint64_t least, uint64_t most)
{
	fprintf(stderr,
		"iscsi-load: %s: an area has to hold %" PRIu64 " to %" PRIu64
		" commands of %" PRIu32 " bytes, this one holds %" PRIu64
		"; change --area, --size or --depth\n",
		c->url, least, most, c->place_bytes, c->places);
	return -EINVAL;
}

static int take_area(struct load_client *c, const struct client_share *share)
{
	const struct load_options *opt = c->opt;
	uint32_t block_bytes = c->session.block_bytes;
	uint64_t share_bytes, area = opt->area_bytes, least = opt->verify ? opt->depth : 1;
	uint64_t most = opt->verify ? PLACES_MAX / opt->clients : UINT64_MAX / opt->io_bytes;

	if (!block_bytes || block_bytes % 64 || opt->io_bytes % block_bytes) {
		fprintf(stderr,
			"iscsi-load: %s: its blocks have %" PRIu32
			" bytes; give a --size that is a multiple\n",
			c->url, block_bytes);
		return -EINVAL;
	}
	c->place_bytes = (uint32_t)opt->io_bytes;
	c->place_blocks = c->place_bytes / block_bytes;
	share_bytes = c->session.blocks / share->shares / c->place_blocks * c->place_bytes;
	if (!area)
		area = share_bytes < AREA_DEFAULT_BYTES ? share_bytes : AREA_DEFAULT_BYTES;
	if (area > share_bytes)
		return refuse_area(c, area, share_bytes);
	c->places = area / c->place_bytes;
	c->first_lba = share->share * c->places * c->place_blocks;
	if (c->places < least || c->places > most)
		return refuse_places(c, least, most);
	return 0;
}

static int make_commands(struct load_client *c)
{
	const unsigned char no_cdb[16] = {0};
	size_t stride = c->stalls ? 0 : c->buffer_bytes / sizeof(*c->buffers);
	unsigned int i;

	for (i = 0; i < c->commands; i++) {
		struct command *cmd = &c->command[i];

		cmd->client = c;
		cmd->buf = c->buffers + i * stride;
		cmd->task = scsi_create_task(
			sizeof(no_cdb), (unsigned char *)(uintptr_t)no_cdb, SCSI_XFER_NONE, 0);
		if (!cmd->task)
			return -ENOMEM;
		cmd->next_free = c->free;
		c->free = cmd;
	}
	return 0;
}

static int make_buffers(struct load_client *c)
{
	size_t bytes, i;
	void *buffers;

	c->commands = c->stalls ? STALL_COMMANDS : (unsigned int)c->opt->depth;
	c->buffer_bytes = c->place_bytes;
	if (c->opt->fill && c->buffer_bytes < FILL_COMMAND_BYTES)
		c->buffer_bytes = FILL_COMMAND_BYTES - FILL_COMMAND_BYTES % c->place_bytes;
	bytes = c->stalls ? STALL_COMMAND_BYTES : (size_t)c->commands * c->buffer_bytes;
	c->command = calloc(c->commands, sizeof(*c->command));
	if (c->opt->verify)
		c->place = calloc(c->places, sizeof(*c->place));
	if (!c->command || (c->opt->verify && !c->place) ||
		posix_memalign(&buffers, BUFFER_ALIGN, bytes)) {
		fputs("iscsi-load: not enough memory; give fewer --clients, --depth or --area\n",
			stderr);
		return -ENOMEM;
	}
	c->buffers = buffers;
	for (i = 0; i < bytes / sizeof(*c->buffers); i++)
		c->buffers[i] = next_random(c) << 32 | next_random(c);
	return make_commands(c);
}

int client_open(struct load_client *c, const struct client_share *share)
{
	int ret;

	c->random = 0x5deece66d * (uint64_t)(c->index + 1) ^ c->writer;
	ret = session_open_within(&c->session, c->url, false, (int)c->opt->timeout_s);
	if (ret)
		return ret;
	ret = take_area(c, share);
	if (!ret)
		ret = make_buffers(c);
	if (!ret)
		ret = iscsi_set_timeout(
			c->session.iscsi, 0); /* client_check_timeout() sees to it */
	return ret;
}

static void disconnect(struct load_client *c)
{
	bool clean = c->mode == CLIENT_IDLE && !c->in_flight;
	int waiting = 0;

	if (!c->session.iscsi)
		return;
	if (c->mode == CLIENT_STALLED && !ioctl(iscsi_get_fd(c->session.iscsi), FIONREAD, &waiting))
		c->unread_bytes = (uint64_t)waiting;
	c->mode = CLIENT_DEAD; /* what libiscsi cancels now is not an error */
	if (clean) {
		iscsi_set_timeout(c->session.iscsi, LOGOUT_TIMEOUT_S);
		session_close(&c->session);
	} else {
		iscsi_destroy_context(c->session.iscsi);
		c->session.iscsi = NULL;
	}
}

void client_close(struct load_client *c)
{
	unsigned int i;

	disconnect(c);
	for (i = 0; c->command && i < c->commands; i++)
		if (c->command[i].task)
			scsi_free_scsi_task(c->command[i].task);
	free(c->command);
	free(c->buffers);
	free(c->place);
	c->command = NULL;
	c->buffers = NULL;
	c->place = NULL;
}
