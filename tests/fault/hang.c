/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * hang URL: commands whose call of the store hangs, and what an initiator can do meanwhile. Says it
 * line by line: what was asked, a colon, and "ok", a sense, "response N" of a task management function
 * (RFC 7143 11.6.1), or "waits" when there was no answer in time. Without a control file the disk is hung
 * already, and two functions for one command are all that is asked.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "write_cache.h"
#include "control.h"

enum {
	BLOCKS = 8,
	HUNG_LBA = 64,
	HUNG_MAX = 63, /* RANGE_GRANTED_MAX but one */
	OTHER_LBA = 1024,
	ANSWER_MS = 20000,  /* for what has to be answered */
	PATIENCE_MS = 1500, /* for what may have to wait for the disk */
	BUFFER_BYTES = 64 << 10,
};

static const struct hung_row {
	const char *name;
	uint8_t opcode, flags;
	enum call_kind kind;
} rows[] = {
	{"READ", 0x88, 0, CALL_READ},
	{"WRITE", 0x8a, 0, CALL_WRITE},
	{"WRITE with FUA", 0x8a, 0x08, CALL_WRITE},
	{"SYNCHRONIZE CACHE", 0x91, 0, CALL_FLUSH},
};

/* Something asked of the target, and its answer. */
struct asked {
	bool answered;
	char answer[32];
};

struct hang {
	const char *url, *control_path, *image;
	struct faulty *control;
	struct session session;
	uint8_t buf[BUFFER_BYTES];
};

static void pass_time(struct session *s, int ms)
{
	struct pollfd fd = {
		.fd = iscsi_get_fd(s->iscsi), .events = (short)iscsi_which_events(s->iscsi)};

	if (poll(&fd, 1, ms) >= 0 && iscsi_service(s->iscsi, fd.revents))
		exit(1);
}

static bool is_answered(struct session *s, const struct asked *asked, int ms)
{
	for (uint64_t end = monotonic_ns() + (uint64_t)ms * 1000000; monotonic_ns() < end;) {
		if (asked->answered)
			return true;
		pass_time(s, 10);
	}
	return asked->answered;
}

static void say(const char *name, const char *what, const struct asked *asked)
{
	printf("%s, %s: %s\n", name, what, asked->answered ? asked->answer : "waits");
	fflush(stdout);
}

static void on_command(struct iscsi_context *iscsi, int status, void *data, void *private_data)
{
	struct asked *asked = private_data;
	struct outcome result = {.status = status};
	struct scsi_task *task = data;
	char text[16];

	(void)iscsi;
	if (task) {
		task->status = status;
		outcome_of_task(&result, task);
	}
	snprintf(asked->answer, sizeof(asked->answer), "%s", outcome_text(&result, text));
	asked->answered = true;
}

static void on_function(struct iscsi_context *iscsi, int status, void *data, void *private_data)
{
	struct asked *asked = private_data;

	(void)iscsi;
	snprintf(asked->answer, sizeof(asked->answer), data ? "response %u" : "lost",
		data ? *(uint32_t *)data : (unsigned)status);
	asked->answered = true;
}

static struct scsi_task *ask_at(
	struct hang *h, const struct hung_row *row, uint64_t lba, struct asked *asked)
{
	struct iscsi_data data = {BLOCKS * h->session.block_bytes, h->buf};
	bool reads = row->opcode == 0x88, writes = row->opcode == 0x8a;
	uint8_t cdb[16];

	cdb_16(cdb, row->opcode, row->flags, lba, BLOCKS);
	struct scsi_task *task = scsi_create_task(16, cdb,
		reads    ? SCSI_XFER_READ
		: writes ? SCSI_XFER_WRITE
			 : SCSI_XFER_NONE,
		reads || writes ? (int)data.size : 0);
	if (!task || iscsi_scsi_command_async(h->session.iscsi, h->session.lun, task, on_command,
			     writes ? &data : NULL, asked))
		exit(1);
	return task;
}

static struct scsi_task *ask(struct hang *h, const struct hung_row *row, struct asked *asked)
{
	return ask_at(h, row, HUNG_LBA, asked);
}

/* A READ of other blocks or a TEST UNIT READY must be answered at any time. */
static void ask_others(struct hang *h, const char *name, struct session *s, const char *whose)
{
	const uint8_t test_unit_ready[6] = {0};
	struct outcome result;
	char text[16], what[80];

	for (int i = 0; i < 4; i++) { /* a reset leaves an attention */
		if (session_command(s, test_unit_ready, 6, NULL, 0, NULL, 0, &result))
			exit(1);
		if (result.key != 6)
			break;
	}
	printf("%s, TEST UNIT READY of %s: %s\n", name, whose, outcome_text(&result, text));
	snprintf(what, sizeof(what), "other blocks, read by %s", whose);
	if (session_read(s, OTHER_LBA, BLOCKS, h->buf + BUFFER_BYTES / 2, &result))
		exit(1);
	printf("%s, %s: %s\n", name, what, outcome_text(&result, text));
	fflush(stdout);
}

static void ask_new_session(struct hang *h, const char *name)
{
	struct session other;

	if (session_open(&other, h->url, false))
		exit(1);
	ask_others(h, name, &other, "a new session");
	session_close(&other);
}

static void let_hang(struct hang *h, const struct hung_row *row, uint32_t calls)
{
	const struct fault_plan plan = {
		.kind = row->kind, .how = FAULT_HANG, .nth = 1, .burst = calls, .unit = 1};

	atomic_store(&h->control->cold, true);
	control_arm(h->control, &plan);
}

static void wait_until_hanging(struct hang *h, unsigned calls)
{
	for (int ms = 0; atomic_load(&h->control->hanging) < calls; ms += 10) {
		if (ms > ANSWER_MS) {
			fputs("hang: nothing hangs: is faulty.so preloaded?\n", stderr);
			exit(1);
		}
		pass_time(&h->session, 10);
	}
}

/* Far more than there are CPUs; with the one that is served meanwhile all that a LUN does at a time. */
static void hang_many(struct hang *h, const struct hung_row *row)
{
	struct asked command[HUNG_MAX] = {0};
	struct scsi_task *task[HUNG_MAX];
	unsigned answered = 0;

	let_hang(h, row, HUNG_MAX);
	for (unsigned i = 0; i < HUNG_MAX; i++)
		task[i] = ask_at(h, row, HUNG_LBA + i * BLOCKS, &command[i]);
	wait_until_hanging(h, HUNG_MAX);
	ask_others(h, "many hang", &h->session, "the same session");
	ask_new_session(h, "many hang");
	control_disarm(h->control);
	for (unsigned i = 0; i < HUNG_MAX; i++) {
		answered += is_answered(&h->session, &command[i], ANSWER_MS) &&
			    !strcmp(command[i].answer, "ok");
		scsi_free_scsi_task(task[i]);
	}
	printf("many hang, all when it goes on: %s\n", answered == HUNG_MAX ? "ok" : "not all");
}

/* Not libiscsi's own way to abort, which forgets the command at once and then knows no answer. */
static void manage(struct hang *h, enum iscsi_task_mgmt_funcs function,
	const struct scsi_task *task, struct asked *asked)
{
	bool one = function == ISCSI_TM_ABORT_TASK;

	if (iscsi_task_mgmt_async(h->session.iscsi, h->session.lun, function,
		    one ? task->itt : UINT32_MAX, one ? task->cmdsn : 0, on_function, asked))
		exit(1);
}

/* ABORT TASK or LOGICAL UNIT RESET for a command that hangs. */
static void manage_hung(struct hang *h, const struct hung_row *row,
	enum iscsi_task_mgmt_funcs function, const char *name)
{
	struct asked command = {0}, managing = {0};
	struct session *s = &h->session;
	char title[64];

	snprintf(title, sizeof(title), "%s, %s", row->name, name);
	let_hang(h, row, 1);
	struct scsi_task *task = ask(h, row, &command);
	wait_until_hanging(h, 1);
	manage(h, function, task, &managing);
	(void)is_answered(s, &managing, PATIENCE_MS);
	say(title, "the function while the disk hangs", &managing);
	say(title, "the command while the disk hangs", &command);
	ask_others(h, title, s, "the same session");
	ask_new_session(h, title);
	control_disarm(h->control);
	(void)is_answered(s, &managing, ANSWER_MS);
	(void)is_answered(s, &command, ANSWER_MS);
	say(title, "the function when it goes on", &managing);
	say(title, "the command when it goes on", &command);
	ask_others(h, title, s, "the same session when it goes on");
	scsi_free_scsi_task(task);
}

/* First the one, then the other, as an initiator does that has no answer to the first. */
static void ask_both(struct hang *h, const struct scsi_task *task, struct asked *aborting,
	struct asked *resetting)
{
	manage(h, ISCSI_TM_ABORT_TASK, task, aborting);
	manage(h, ISCSI_TM_LUN_RESET, task, resetting);
	(void)is_answered(&h->session, aborting, PATIENCE_MS);
}

static void say_both(
	struct hang *h, struct asked *command, struct asked *aborting, struct asked *resetting)
{
	(void)is_answered(&h->session, command, ANSWER_MS);
	(void)is_answered(&h->session, resetting, ANSWER_MS);
	(void)is_answered(&h->session, aborting, PATIENCE_MS);
	say("ABORT TASK, then LOGICAL UNIT RESET", "the command when it goes on", command);
	say("ABORT TASK, then LOGICAL UNIT RESET", "the second when it goes on", resetting);
	say("ABORT TASK, then LOGICAL UNIT RESET", "the first when it goes on", aborting);
}

static void abort_and_reset(struct hang *h, const struct hung_row *row)
{
	struct asked command = {0}, aborting = {0}, resetting = {0};

	let_hang(h, row, 1);
	struct scsi_task *task = ask(h, row, &command);
	wait_until_hanging(h, 1);
	ask_both(h, task, &aborting, &resetting);
	control_disarm(h->control);
	say_both(h, &command, &aborting, &resetting);
	session_close(&h->session);
	scsi_free_scsi_task(task);
	if (session_open(&h->session, h->url, false))
		exit(1);
}

/* The same where somebody else stops the disk, and lets it go on when this says so. */
static void abort_and_reset_elsewhere(struct hang *h)
{
	struct asked command = {0}, aborting = {0}, resetting = {0};
	struct scsi_task *task = ask(h, &rows[0], &command);

	(void)is_answered(&h->session, &command, PATIENCE_MS);
	ask_both(h, task, &aborting, &resetting);
	puts("asked");
	fflush(stdout);
	say_both(h, &command, &aborting, &resetting);
	scsi_free_scsi_task(task);
}

/* A write that hangs may still be told GOOD without being durable: the cache is not off before. */
static void switch_off_hung(struct hang *h, const struct hung_row *row)
{
	const uint8_t mode_select_6[6] = {0x15, 0x10, 0, 0, WRITE_CACHE_DATA_BYTES};
	struct asked command = {0}, switching = {0};
	uint8_t page[WRITE_CACHE_DATA_BYTES];
	struct iscsi_data data = {sizeof(page), page};

	if (write_cache_off_data(&h->session, page))
		exit(1);
	let_hang(h, row, 1);
	struct scsi_task *task = ask(h, row, &command);
	wait_until_hanging(h, 1);
	struct scsi_task *select = scsi_create_task(
		6, (unsigned char *)(uintptr_t)mode_select_6, SCSI_XFER_WRITE, sizeof(page));
	if (!select || iscsi_scsi_command_async(h->session.iscsi, h->session.lun, select,
			       on_command, &data, &switching))
		exit(1);
	(void)is_answered(&h->session, &switching, PATIENCE_MS);
	say("write cache off", "while a write hangs", &switching);
	control_disarm(h->control);
	(void)is_answered(&h->session, &switching, ANSWER_MS);
	(void)is_answered(&h->session, &command, ANSWER_MS);
	say("write cache off", "when the write goes on", &switching);
	scsi_free_scsi_task(select);
	scsi_free_scsi_task(task);
}

/* The connection is lost while the command hangs; somebody else comes. */
static void drop_hung(struct hang *h, const struct hung_row *row)
{
	struct asked command = {0};
	char name[64];

	snprintf(name, sizeof(name), "%s, connection lost", row->name);
	let_hang(h, row, 1);
	struct scsi_task *task = ask(h, row, &command);
	wait_until_hanging(h, 1);
	iscsi_destroy_context(h->session.iscsi); /* no logout */
	h->session.iscsi = NULL;
	scsi_free_scsi_task(task);
	if (session_open(&h->session, h->url, false))
		exit(1);
	ask_others(h, name, &h->session, "the next session");
	control_disarm(h->control);
	ask_others(h, name, &h->session, "the next session, the disk goes on");
}

static int parse(int argc, char **argv, struct hang *h)
{
	static const struct option known[] = {
		{"control", 1, NULL, 'c'}, {"image", 1, NULL, 'i'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'c')
			h->control_path = optarg;
		else if (c == 'i')
			h->image = optarg;
		else
			return -EINVAL;
	}
	h->url = argv[optind];
	return optind == argc - 1 && !h->control_path == !h->image ? 0 : -EINVAL;
}

static void hang_all(struct hang *h)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		manage_hung(h, &rows[i], ISCSI_TM_ABORT_TASK, "ABORT TASK");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		manage_hung(h, &rows[i], ISCSI_TM_LUN_RESET, "LOGICAL UNIT RESET");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		drop_hung(h, &rows[i]);
	hang_many(h, &rows[0]);
	abort_and_reset(h, &rows[0]);
	switch_off_hung(h, &rows[1]);
}

int main(int argc, char **argv)
{
	static struct hang h;

	if (parse(argc, argv, &h)) {
		fputs("usage: hang URL [--control FILE --image FILE]\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	h.control = h.control_path ? control_open(h.control_path, h.image) : NULL;
	if ((h.control_path && !h.control) || session_open(&h.session, h.url, false))
		return 1;
	if (h.control)
		hang_all(&h);
	else
		abort_and_reset_elsewhere(&h);
	session_close(&h.session);
	return 0;
}
