/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A request's start, on the main thread or shared out to workers, and its end. */
#include <errno.h>
#include <stdlib.h>

#include "busy.h"
#include "request_private.h"

enum {
	PIECE_ALIGN_BYTES = 4096,     /* the larger sector size: no piece ends inside a sector */
	PIECE_MIN_BYTES = 512 * 1024, /* below, a hand-off costs more than it wins */

	/* What the main thread does itself, */
	NOW_BYTES_MAX = 256 * 1024,
	BUSY_READ_BYTES_MAX = 32 * 1024, /* while it is the bottleneck, */
	BUSY_WRITE_BYTES_MAX = 64 * 1024,
	FEW_WRITE_BYTES_MAX = 512 * 1024, /* with FEW_WORKERS or less and a fast engine */
	FEW_WORKERS = 2,
};

enum outcome request_crypt_outcome(int rc)
{
	switch (rc) {
	case 0:
		return OUTCOME_GOOD;
	case -EAGAIN:
		return OUTCOME_NOT_READY;
	case -EACCES:
		return OUTCOME_NO_ACCESS;
	default:
		return OUTCOME_INTERNAL;
	}
}

enum outcome request_write_outcome(int rc)
{
	switch (rc) {
	case 0:
		return OUTCOME_GOOD;
	case -ENOSPC:
	case -EDQUOT:
		return OUTCOME_NO_SPACE;
	default:
		return OUTCOME_WRITE_ERROR;
	}
}

enum outcome request_status(struct volume *volume)
{
	return request_crypt_outcome(volume_status(volume));
}

static void finish_on_main(struct completion *completion)
{
	struct request *req = (struct request *)(void *)((char *)completion -
							 offsetof(struct request, completion));

	if (req->pieces != &req->first)
		free(req->pieces);
	req->done(req);
}

static void run_piece(struct pool_task *task)
{
	struct request_piece *p = (struct request_piece *)task;
	struct request *req = p->request;
	enum outcome good = OUTCOME_GOOD;
	enum outcome out = request_works[req->op].run(p);

	if (out != OUTCOME_GOOD)
		atomic_compare_exchange_strong(&req->outcome, &good, out);
	else if (request_works[req->op].sliced && p->len_bytes) {
		pool_submit(task); /* behind the others that wait for a worker */
		return;
	}
	if (atomic_fetch_sub(&req->pieces_left, 1) == 1)
		complete_post(&req->completion);
}

unsigned request_split(
	enum request_op op, uint64_t len_bytes, unsigned workers, uint64_t *piece_bytes)
{
	uint64_t count = len_bytes / PIECE_MIN_BYTES;

	if (count > workers)
		count = workers;
	if (!count || !request_works[op].divisible)
		count = 1;
	*piece_bytes = round_up((len_bytes + count - 1) / count, PIECE_ALIGN_BYTES);
	return count == 1 ? 1 : (unsigned)((len_bytes + *piece_bytes - 1) / *piece_bytes);
}

static void prepare(struct request *req, enum outcome outcome)
{
	atomic_store(&req->outcome, outcome);
	atomic_store(&req->miscompare_byte, UINT64_MAX);
	req->completion.done = finish_on_main;
	req->pieces = &req->first;
}

void request_fail(struct request *request, enum outcome outcome)
{
	prepare(request, outcome);
	complete_post(&request->completion);
}

/*
 * A write's data has just been received and lies in this CPU's cache: where there are no CPUs to spare,
 * handing it over gains nothing. Nor do reads, with one exception: when a single client keeps the main
 * thread busy. From workers answers come in batches, and it is woken once for several; many clients have
 * enough to do between their answers.
 */
static size_t now_bytes_max(const struct request *req)
{
	bool few = pool_workers() <= FEW_WORKERS && volume_encrypts_fast(req->volume);

	if (few && req->op == REQUEST_WRITE)
		return FEW_WRITE_BYTES_MAX;
	if (!busy_lately() || (few && (pool_workers() == 1 || busy_with_many())))
		return NOW_BYTES_MAX;
	return req->op == REQUEST_READ ? BUSY_READ_BYTES_MAX : BUSY_WRITE_BYTES_MAX;
}

/* Small whole sectors, and nothing to be made durable. */
static bool fit_for_now(const struct request *req)
{
	return (req->op == REQUEST_READ || req->op == REQUEST_WRITE) && !req->durable &&
	       req->len_bytes && req->len_bytes <= now_bytes_max(req) &&
	       !(req->len_bytes % volume_sector_bytes(req->volume));
}

static int read_now(struct request *req)
{
	size_t len = (size_t)req->len_bytes;
	int rc = volume_read_now(req->volume, req->data, len, req->offset_bytes);

	if (rc == -EAGAIN)
		return rc;
	req->outcome = rc ? OUTCOME_READ_ERROR
			  : request_crypt_outcome(
				    volume_decrypt(req->volume, req->data, len, req->offset_bytes));
	return 0;
}

static int write_now(struct request *req)
{
	size_t len = (size_t)req->len_bytes;

	if (!volume_writes_now(req->volume))
		return -EAGAIN;
	req->outcome = request_crypt_outcome(
		volume_encrypt(req->volume, req->data, len, req->offset_bytes));
	if (req->outcome != OUTCOME_GOOD)
		return 0;
	int rc = volume_write_now(req->volume, req->data, len, req->offset_bytes);
	if (rc != -EAGAIN)
		req->outcome = request_write_outcome(rc);
	req->encrypted = rc == -EAGAIN;
	return req->encrypted ? -EAGAIN : 0;
}

bool request_now(struct request *request)
{
	if (!fit_for_now(request))
		return false;
	return !(request->op == REQUEST_READ ? read_now(request) : write_now(request));
}

/* Room for count pieces; where there is none, one has to do. */
static unsigned get_pieces(struct request *req, unsigned count)
{
	struct request_piece *pieces = count > 1 ? calloc(count, sizeof(*pieces)) : NULL;

	if (!pieces)
		return 1;
	req->pieces = pieces;
	return count;
}

void request_start(struct request *request)
{
	enum outcome out = request_status(request->volume);
	uint64_t piece_bytes;
	bool has_work = request->len_bytes || request->op == REQUEST_FLUSH;

	if (out != OUTCOME_GOOD || !has_work) {
		request_fail(request, out);
		return;
	}
	prepare(request, OUTCOME_GOOD);
	unsigned count = request_split(request->op, request->len_bytes, pool_free(), &piece_bytes);
	count = get_pieces(request, count);
	struct request_piece *pieces = request->pieces;
	atomic_store(&request->pieces_left, count);
	for (unsigned i = 0; i < count; i++) {
		struct request_piece *p = &pieces[i];
		p->task.run = run_piece;
		p->request = request;
		p->first_byte = i * piece_bytes;
		p->len_bytes = i + 1 < count ? piece_bytes : request->len_bytes - p->first_byte;
	}
	for (unsigned i = 0; i < count; i++)
		pool_submit(&pieces[i].task);
}
