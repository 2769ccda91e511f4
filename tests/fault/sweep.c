/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * sweep URL: every command of the table, with each of its calls of the store struck by every kind of
 * fault, until there were enough. The whole LUN is overwritten. Exit status 1 at the first thing that
 * is not as it should be.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

enum { ALL = UINT16_MAX, CALLS_STRUCK_MAX = 6, COMPARE_EVERY = 256 };

static const char read_error[] = "03/11/00", write_error[] = "03/0c/00", no_space[] = "07/27/07",
		  miscompare[] = "0e/1d/00", good[] = "ok";

/* Which faults a kind of call can have. */
enum {
	ON_READ = 1 << CALL_READ,
	ON_WRITE = 1 << CALL_WRITE,
	ON_FLUSH = 1 << CALL_FLUSH,
	ON_PUNCH = 1 << CALL_PUNCH,
	ON_ANY = ON_READ | ON_WRITE | ON_FLUSH | ON_PUNCH,
	ON_TRANSFER = ON_READ | ON_WRITE,
	ON_SPACE = ON_ANY & ~ON_READ
};

static const struct fault_row {
	const char *name;
	unsigned on;
	struct fault_plan plan; /* kind, nth and unit are filled in */
} fault_rows[] = {
	{"EIO once", ON_ANY, {.how = FAULT_ERROR, .burst = 1, .error = EIO}},
	{"EIO from then on", ON_ANY, {.how = FAULT_ERROR, .burst = ALL, .error = EIO}},
	{"EINTR once", ON_ANY, {.how = FAULT_ERROR, .burst = 1, .error = EINTR}},
	{"EINTR three times", ON_ANY, {.how = FAULT_ERROR, .burst = 3, .error = EINTR}},
	{"EAGAIN once", ON_ANY, {.how = FAULT_ERROR, .burst = 1, .error = EAGAIN}},
	{"EAGAIN from then on", ON_ANY, {.how = FAULT_ERROR, .burst = ALL, .error = EAGAIN}},
	{"a half once", ON_TRANSFER, {.how = FAULT_SHORT, .burst = 1, .part = 128}},
	{"a part from then on", ON_TRANSFER, {.how = FAULT_SHORT, .burst = ALL, .part = 171}},
	{"one byte once", ON_TRANSFER, {.how = FAULT_SHORT, .burst = 1, .part = 0}},
	{"a half, then EIO", ON_TRANSFER,
		{.how = FAULT_SHORT, .burst = ALL, .part = 128, .then_error = EIO}},
	{"nothing once", ON_TRANSFER, {.how = FAULT_NONE, .burst = 1}},
	{"nothing from then on", ON_TRANSFER, {.how = FAULT_NONE, .burst = ALL}},
	{"slow", ON_ANY, {.how = FAULT_SLOW, .burst = 1, .ms = 3}},
	/* Last: after them the store does not try what must not wait until it is opened again. */
	{"ENOSPC once", ON_SPACE, {.how = FAULT_ERROR, .burst = 1, .error = ENOSPC}},
	{"ENOSPC from then on", ON_SPACE, {.how = FAULT_ERROR, .burst = ALL, .error = ENOSPC}},
	{"EDQUOT once", ON_WRITE, {.how = FAULT_ERROR, .burst = 1, .error = EDQUOT}},
	{"EDQUOT from then on", ON_SPACE, {.how = FAULT_ERROR, .burst = ALL, .error = EDQUOT}},
	{"a half, then ENOSPC", ON_WRITE,
		{.how = FAULT_SHORT, .burst = ALL, .part = 200, .then_error = ENOSPC}},
};

static int complain(const struct sweep *s, const char *fault, const char *what, const char *got)
{
	fprintf(stderr, "sweep: fault %" PRIu64 ", %s, %s: %s %s\n", s->faults, s->doing, fault,
		what, got);
	return -EIO;
}

/* ---- After a failed flush ------------------------------------------------------------------------ */

static const struct command_row *row_named(const char *name)
{
	for (size_t i = 0; i < command_row_count; i++) {
		if (!strcmp(command_rows[i].name, name))
			return &command_rows[i];
	}
	abort();
}

/* The command by itself, in the first blocks. */
static int has_outcome(struct sweep *s, const char *name, const char *want)
{
	const struct command_row *row = row_named(name);
	uint32_t blocks = row->bytes_max ? MARGIN_BLOCKS : 0;
	struct outcome result;
	char text[16];

	size_t out_bytes = row->fill(s, 0, blocks);
	if (command_send(s, row, 0, blocks, out_bytes, &result))
		return complain(s, name, "has", "no answer");
	if (strcmp(outcome_text(&result, text), want))
		return complain(s, name, "after a failed flush is", text);
	return model_read_back(s, 0, blocks, row->writes, row->writes && !result.status);
}

/* What was not made durable is never called so, whatever is written meanwhile, until the LUN is new. */
static int flushes_stay_failed(struct sweep *s)
{
	static const char *const durable[] = {"SYNCHRONIZE CACHE (10)", "WRITE (16) with FUA",
		"SYNCHRONIZE CACHE (16)", "WRITE AND VERIFY (10)", "READ (16) with FUA"};
	const char *cached = s->write_cache_off ? write_error : good;

	if (has_outcome(s, "WRITE (16)", cached) || has_outcome(s, "WRITE SAME (16)", cached) ||
		has_outcome(s, "READ (16)", good))
		return -EIO;
	for (size_t i = 0; i < sizeof(durable) / sizeof(durable[0]); i++) {
		if (has_outcome(s, durable[i], write_error))
			return -EIO;
	}
	return 0;
}

static int open_again(struct sweep *s)
{
	session_close(&s->session);
	if (system(s->reopen))
		return complain(s, "", "cannot be opened again:", s->reopen);
	s->reopened++;
	return command_login(s);
}

static int after_failed_flush(struct sweep *s)
{
	if (flushes_stay_failed(s) || open_again(s))
		return -EIO;
	return has_outcome(s, "SYNCHRONIZE CACHE (10)", good);
}

/* ---- One fault ----------------------------------------------------------------------------------- */

/*
 * How the command must end, given what was struck. Or: so, because an EAGAIN may have been asked again,
 * or because one of a durable write's pieces, which run side by side, found the flush failed already.
 */
static const char *expected(const struct sweep *s, const struct command_row *row, const char ** or)
{
	const struct fault_plan *plan = &s->control->plan;
	const char *spared = row->miscompares ? miscompare : good;
	int error = plan->then_error ? plan->then_error : plan->error;

	* or = plan->how == FAULT_ERROR && error == EAGAIN && plan->burst == 1 ? spared
	       : atomic_load(&s->control->struck_sync)                         ? write_error
									       : NULL;
	if (!atomic_load(&s->control->struck_error))
		return spared;
	if (plan->kind == CALL_READ)
		return read_error;
	if (plan->kind == CALL_FLUSH || plan->how == FAULT_NONE)
		return write_error;
	return error == ENOSPC || error == EDQUOT ? no_space : write_error;
}

static int judge(struct sweep *s, const struct command_row *row, const char *fault, uint64_t lba,
	uint32_t blocks, const struct outcome *result)
{
	char text[16];
	const char * or ;
	const char *want = expected(s, row, & or), *got = outcome_text(result, text);
	const char *spared = row->miscompares ? miscompare : good;

	if (s->verbose)
		printf("%s, %s, call %" PRIu32 " of %d: %s\n", row->name, fault,
			s->control->plan.nth, s->control->plan.kind, got);
	if (strcmp(got, want) && (! or || strcmp(got, or)))
		return complain(s, fault, "is not answered as it should be but with", got);
	if (result->status == SCSI_STATUS_GOOD && result->in_bytes &&
		memcmp(s->back, s->want, result->in_bytes))
		return complain(s, fault, "is silent:", "wrong data was read");
	s->told += want != spared;
	return model_read_back(s, lba, blocks, row->writes && !row->miscompares,
		row->writes && !row->miscompares && result->status == SCSI_STATUS_GOOD);
}

static int strike(struct sweep *s, const struct command_row *row, uint64_t lba, uint32_t blocks,
	const char *fault, const struct fault_plan *plan)
{
	struct outcome result;

	size_t out_bytes = row->fill(s, lba, blocks);
	control_arm(s->control, plan);
	int rc = command_send(s, row, lba, blocks, out_bytes, &result);
	control_disarm(s->control);
	if (rc)
		return complain(s, fault, "has", "no answer");
	s->faults += atomic_load(&s->control->struck) != 0;
	if (judge(s, row, fault, lba, blocks, &result))
		return -EIO;
	if (atomic_load(&s->control->struck_sync) && after_failed_flush(s))
		return -EIO;
	return s->faults % COMPARE_EVERY ? 0 : model_compare(s);
}

/* ---- All of them --------------------------------------------------------------------------------- */

/* The calls that the command makes when nothing is struck. */
static int count_calls(struct sweep *s, const struct command_row *row, uint64_t lba,
	uint32_t blocks, unsigned calls[CALL_KINDS])
{
	static const struct fault_plan never = {.nth = UINT32_MAX};
	struct outcome result;

	size_t out_bytes = row->fill(s, lba, blocks);
	control_arm(s->control, &never);
	int rc = command_send(s, row, lba, blocks, out_bytes, &result);
	control_disarm(s->control);
	if (rc)
		return complain(s, "no fault", "has", "no answer");
	for (unsigned i = 0; i < CALL_KINDS; i++)
		calls[i] = atomic_load(&s->control->calls[i]);
	bool durable = row->durable || (s->write_cache_off && row->writes && !row->miscompares);
	if (durable && !row->miscompares && !atomic_load(&s->control->syncs))
		return complain(s, "no fault", "is not durable:", "no flush and no RWF_DSYNC");
	return judge(s, row, "no fault", lba, blocks, &result);
}

static int strike_all(struct sweep *s, const struct command_row *row, uint64_t lba, uint32_t blocks,
	enum call_kind kind, uint32_t nth)
{
	for (size_t i = 0; i < sizeof(fault_rows) / sizeof(fault_rows[0]); i++) {
		struct fault_plan plan = fault_rows[i].plan;

		if (!(fault_rows[i].on & 1U << kind) || s->faults >= s->faults_wanted)
			continue;
		plan.kind = kind;
		plan.nth = nth;
		/* A block of which a part was written before an error is neither old nor new. */
		plan.unit = plan.then_error ? s->session.block_bytes : s->unit;
		if (strike(s, row, lba, blocks, fault_rows[i].name, &plan))
			return -EIO;
	}
	return 0;
}

/* From one block to the row's most, every size as likely as its double. */
static uint32_t some_blocks(struct sweep *s, const struct command_row *row)
{
	uint64_t most = row->bytes_max / s->session.block_bytes, n = 1;

	if (!row->bytes_max)
		return 0;
	while (n < most && sweep_random(s, 8))
		n *= 2;
	n += sweep_random(s, n);
	return (uint32_t)(n < most ? n : most);
}

static int sweep_command(struct sweep *s, const struct command_row *row)
{
	uint32_t blocks = some_blocks(s, row);
	uint64_t lba = sweep_random(s, s->session.blocks - blocks);
	unsigned calls[CALL_KINDS];

	if ((row->only == CACHE_OFF && !s->write_cache_off) || (row->only == THIN && !s->thin))
		return 0;
	s->doing = row->name;
	if (open_again(s))
		return -EIO;
	atomic_store(&s->control->cold, sweep_random(s, 2));
	atomic_store(&s->control->takes_now, sweep_random(s, 2));
	if (count_calls(s, row, lba, blocks, calls))
		return -EIO;
	for (enum call_kind kind = 0; kind < CALL_KINDS; kind++) {
		for (uint32_t nth = 1; nth <= calls[kind]; nth++) {
			if (nth > CALLS_STRUCK_MAX && nth < calls[kind])
				continue; /* more of the same, but for the last */
			if (strike_all(s, row, lba, blocks, kind, nth))
				return -EIO;
		}
	}
	return 0;
}

static int run(struct sweep *s)
{
	s->doing = "at the beginning";
	if (command_login(s))
		return -EIO;
	size_t len = (size_t)s->session.blocks * s->session.block_bytes;
	s->model = malloc(len);
	if (!s->model || model_fill(s))
		return -EIO;
	uint64_t first = sweep_random(s, command_row_count); /* where a short run begins */
	for (uint64_t done = 0; s->faults < s->faults_wanted; done++) {
		if (sweep_command(s, &command_rows[(first + done) % command_row_count]))
			return -EIO;
		if (done == command_row_count && !s->faults)
			return complain(s, "", "no fault", "strikes: is faulty.so preloaded?");
		s->passes = done / command_row_count;
	}
	s->doing = "at the end";
	return model_compare(s) || model_save(s) ? -EIO : 0;
}

/* ---- The command line ---------------------------------------------------------------------------- */

static int parse(int argc, char **argv, struct sweep *s)
{
	static const struct option known[] = {{"control", 1, NULL, 'c'}, {"image", 1, NULL, 'i'},
		{"reopen", 1, NULL, 'r'}, {"model", 1, NULL, 'm'}, {"faults", 1, NULL, 'f'},
		{"seed", 1, NULL, 's'}, {"write-cache-off", 0, NULL, 'w'}, {"unit", 1, NULL, 'u'},
		{"thin", 0, NULL, 't'}, {"verbose", 0, NULL, 'v'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'c')
			s->control_path = optarg;
		else if (c == 'i')
			s->image = optarg;
		else if (c == 'r')
			s->reopen = optarg;
		else if (c == 'm')
			s->model_path = optarg;
		else if (c == 'f')
			s->faults_wanted = strtoull(optarg, NULL, 0);
		else if (c == 's')
			s->seed = strtoull(optarg, NULL, 0);
		else if (c == 'u')
			s->unit = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 't')
			s->thin = true;
		else if (c == 'w')
			s->write_cache_off = true;
		else if (c == 'v')
			s->verbose = true;
		else
			return -EINVAL;
	}
	s->url = argv[optind];
	return optind == argc - 1 && s->control_path && s->image && s->reopen && s->model_path &&
			       s->faults_wanted && s->unit
		       ? 0
		       : -EINVAL;
}

int main(int argc, char **argv)
{
	struct sweep s = {.unit = 1,
		.want = malloc(COMMAND_BYTES_MAX),
		.out = malloc(2 * COMMAND_BYTES_MAX),
		.back = malloc(2 * COMMAND_BYTES_MAX)};

	if (!s.want || !s.out || !s.back || parse(argc, argv, &s)) {
		fputs("usage: sweep URL --control FILE --image FILE --reopen COMMAND --model FILE\n"
		      "             --faults N [--seed N] [--unit BYTES] [--write-cache-off] "
		      "[--thin] "
		      "[--verbose]\n",
			stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	s.random = s.seed;
	s.control = control_open(s.control_path, s.image);
	int rc = s.control ? run(&s) : -EIO;
	printf("passes %" PRIu64 "\nfaults %" PRIu64 "\nanswered with an error %" PRIu64
	       "\ncommands %" PRIu64 "\nopened again %" PRIu64 "\nseed %" PRIu64 "\n",
		s.passes, s.faults, s.told, s.commands, s.reopened, s.seed);
	session_close(&s.session);
	free(s.model);
	free(s.want);
	free(s.back);
	free(s.out);
	return rc ? 1 : 0;
}
