/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What a worker does for each operation: sectors read, written, compared, and the table of operations. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request_private.h"
#include "secret.h"

enum {
	CHUNK_BYTES = 128 * 1024,      /* what stays in a CPU's cache between copying and cipher */
	SCRATCH_BYTES = 256 * 1024,    /* what a worker holds beside the initiator's buffer */
	SLICE_BYTES = 4 * 1024 * 1024, /* of long operations, before others get the worker */
	UNMAP_BYTES_MAX = 1024 * 1024 * 1024, /* between two looks at the volume's state */
	SECTOR_BYTES_MAX = 4096,
};

/* Where in the LUN the byte at of the request lies. */
static uint64_t lun_offset(const struct request *req, uint64_t at)
{
	return req->offset_bytes + at;
}

static enum outcome miscompare(struct request *req, uint64_t at, const uint8_t *a, const uint8_t *b)
{
	uint64_t seen = atomic_load(&req->miscompare_byte);

	while (*a == *b) {
		a++;
		b++;
		at++;
	}
	while (at < seen && !atomic_compare_exchange_weak(&req->miscompare_byte, &seen, at))
		;
	return OUTCOME_MISCOMPARE;
}

/* Aligned as direct I/O may demand. */
static uint8_t *scratch_new(size_t len)
{
	void *scratch;

	return posix_memalign(&scratch, SECTOR_BYTES_MAX, len) ? NULL : scratch;
}

/* Scratch for plaintext: wiped before it goes back to the heap. */
static void scratch_free(uint8_t *scratch, size_t len)
{
	secret_wipe(scratch, len);
	free(scratch);
}

static size_t chunk_bytes(size_t left)
{
	return left < CHUNK_BYTES ? left : CHUNK_BYTES;
}

/* Whole sectors, decrypted, from byte at of the request; they may have to be waited for. */
static enum outcome fetch_sectors(struct request *req, uint8_t *buf, size_t len, uint64_t at)
{
	uint64_t offset = lun_offset(req, at);

	pool_wait_begin();
	int rc = volume_read(req->volume, buf, len, offset);
	pool_wait_end();
	if (rc)
		return OUTCOME_READ_ERROR;
	return request_crypt_outcome(volume_decrypt(req->volume, buf, len, offset));
}

/*
 * Whole sectors, decrypted, from byte at of the request. What is in the page cache is decrypted chunk
 * by chunk, while it is in the CPU's cache; from the first chunk that is not, the rest is one read.
 */
static enum outcome read_sectors(struct request *req, uint8_t *buf, size_t len, uint64_t at)
{
	enum outcome out = OUTCOME_GOOD;

	for (size_t n; len && out == OUTCOME_GOOD; buf += n, len -= n, at += n) {
		uint64_t offset = lun_offset(req, at);
		n = chunk_bytes(len);
		int rc = volume_read_now(req->volume, buf, n, offset);
		if (rc == -EAGAIN)
			return fetch_sectors(req, buf, len, at);
		out = rc ? OUTCOME_READ_ERROR
			 : request_crypt_outcome(volume_decrypt(req->volume, buf, n, offset));
	}
	return out;
}

/* Reads back what write_sectors() wrote. Ciphertext equals ciphertext only if the text does. */
static enum outcome verify_written(
	struct request *req, const uint8_t *written, size_t len, uint64_t at)
{
	enum outcome out = OUTCOME_GOOD;
	uint8_t *stored = scratch_new(SCRATCH_BYTES);

	if (!stored)
		return OUTCOME_INTERNAL;
	for (size_t done = 0, n; done < len && out == OUTCOME_GOOD; done += n) {
		n = len - done < SCRATCH_BYTES ? len - done : SCRATCH_BYTES;
		pool_wait_begin();
		int rc = volume_read(req->volume, stored, n, lun_offset(req, at + done));
		pool_wait_end();
		if (rc)
			out = OUTCOME_READ_ERROR;
		else if (memcmp(stored, written + done, n))
			out = miscompare(req, at + done, stored, written + done);
	}
	free(stored);
	return out;
}

/* Ciphertext to the store; it may have to be waited for. */
static int store_sectors(struct request *req, const uint8_t *buf, size_t len, uint64_t offset)
{
	pool_wait_begin();
	int rc = volume_write(req->volume, buf, len, offset, req->durable);
	pool_wait_end();
	return rc;
}

/*
 * Where the page cache takes what is written at once, chunk by chunk, as read_sectors(); from the
 * first chunk that has to be waited for, the rest is one write. Buf holds ciphertext afterwards.
 */
static enum outcome write_cached(struct request *req, uint8_t *buf, size_t len, uint64_t at)
{
	enum outcome out = OUTCOME_GOOD;

	for (size_t n; len && out == OUTCOME_GOOD; buf += n, len -= n, at += n) {
		uint64_t offset = lun_offset(req, at);
		n = chunk_bytes(len);
		out = request_crypt_outcome(volume_encrypt(req->volume, buf, n, offset));
		if (out != OUTCOME_GOOD)
			break;
		int rc = volume_write_now(req->volume, buf, n, offset);
		if (rc == -EAGAIN) {
			out = request_crypt_outcome(
				volume_encrypt(req->volume, buf + n, len - n, offset + n));
			n = len;
			if (out == OUTCOME_GOOD)
				out = request_write_outcome(store_sectors(req, buf, len, offset));
		} else {
			out = request_write_outcome(rc);
		}
	}
	return out;
}

/* Whole sectors at byte at of the request; buf holds ciphertext afterwards. */
static enum outcome write_sectors(struct request *req, uint8_t *buf, size_t len, uint64_t at)
{
	uint64_t offset = lun_offset(req, at);

	if (!req->durable && req->op != REQUEST_WRITE_VERIFY)
		return write_cached(req, buf, len, at);
	enum outcome out = request_crypt_outcome(volume_encrypt(req->volume, buf, len, offset));
	if (out == OUTCOME_GOOD)
		out = request_write_outcome(store_sectors(req, buf, len, offset));
	if (out == OUTCOME_GOOD && req->op == REQUEST_WRITE_VERIFY)
		out = verify_written(req, buf, len, at);
	return out;
}

/* The bytes of a piece that fill whole sectors. The rest, if any, is the start of one more. */
static size_t whole_sectors(const struct request_piece *p)
{
	return (size_t)(p->len_bytes - p->len_bytes % volume_sector_bytes(p->request->volume));
}

static enum outcome run_flush(struct request_piece *p)
{
	pool_wait_begin();
	int rc = volume_flush(p->request->volume);
	pool_wait_end();
	return rc ? OUTCOME_WRITE_ERROR : OUTCOME_GOOD;
}

static enum outcome run_read(struct request_piece *p)
{
	struct request *req = p->request;
	uint8_t sector[SECTOR_BYTES_MAX] __attribute__((aligned(SECTOR_BYTES_MAX)));
	uint8_t *data = req->data + p->first_byte;
	size_t whole = whole_sectors(p), rest = (size_t)p->len_bytes - whole;
	enum outcome out = OUTCOME_GOOD;

	if (req->durable && !p->first_byte)
		out = run_flush(p); /* FUA: what is cached goes to the medium first */
	if (whole && out == OUTCOME_GOOD)
		out = read_sectors(req, data, whole, p->first_byte);
	if (rest && out == OUTCOME_GOOD) {
		out = read_sectors(
			req, sector, volume_sector_bytes(req->volume), p->first_byte + whole);
		if (out == OUTCOME_GOOD)
			memcpy(data + whole, sector, rest);
		secret_wipe(sector, sizeof(sector));
	}
	return out;
}

static enum outcome run_write(struct request_piece *p)
{
	struct request *req = p->request;
	uint8_t sector[SECTOR_BYTES_MAX] __attribute__((aligned(SECTOR_BYTES_MAX)));
	uint8_t *data = req->data + p->first_byte;
	size_t whole = whole_sectors(p), rest = (size_t)p->len_bytes - whole;
	uint32_t sector_bytes = volume_sector_bytes(req->volume);
	enum outcome out = OUTCOME_GOOD;

	if (req->encrypted)
		return request_write_outcome(store_sectors(req, data, whole, req->offset_bytes));
	if (whole)
		out = write_sectors(req, data, whole, p->first_byte);
	if (rest && out == OUTCOME_GOOD) {
		out = read_sectors(req, sector, sector_bytes, p->first_byte + whole);
		if (out == OUTCOME_GOOD) {
			memcpy(sector, data + whole, rest);
			out = write_sectors(req, sector, sector_bytes, p->first_byte + whole);
		}
		secret_wipe(sector, sizeof(sector));
	}
	return out;
}

/* What a sliced operation does at a time: the start of what is left of the piece. */
static uint64_t slice_bytes(const struct request_piece *p)
{
	return p->len_bytes < SLICE_BYTES ? p->len_bytes : SLICE_BYTES;
}

static void slice_done(struct request_piece *p, uint64_t slice)
{
	p->first_byte += slice;
	p->len_bytes -= slice;
}

/* Bytes from the medium, from byte at of the request, with what the initiator says is there. */
static enum outcome compare(struct request *req, uint64_t at, const uint8_t *stored, uint64_t len)
{
	uint64_t step = req->op == REQUEST_VERIFY_SAME ? volume_sector_bytes(req->volume) : len;

	for (uint64_t done = 0; done < len; done += step) {
		const uint8_t *said = req->data + (req->op == REQUEST_VERIFY_SAME ? 0 : at);
		if (memcmp(stored + done, said, step))
			return miscompare(req, at + done, stored + done, said);
	}
	return OUTCOME_GOOD;
}

static enum outcome run_verify(struct request_piece *p)
{
	struct request *req = p->request;
	uint64_t slice = slice_bytes(p);
	enum outcome out = OUTCOME_GOOD;
	uint8_t *stored = scratch_new(SCRATCH_BYTES);

	if (!stored)
		return OUTCOME_INTERNAL;
	for (uint64_t done = 0, n; done < slice && out == OUTCOME_GOOD; done += n) {
		uint64_t at = p->first_byte + done;
		n = slice - done < SCRATCH_BYTES ? slice - done : SCRATCH_BYTES;
		out = read_sectors(req, stored, round_up(n, volume_sector_bytes(req->volume)), at);
		if (out == OUTCOME_GOOD && req->data)
			out = compare(req, at, stored, n);
	}
	scratch_free(stored, SCRATCH_BYTES);
	slice_done(p, slice);
	return out;
}

/* One piece always: nothing is written before everything has been compared. */
static enum outcome run_compare_write(struct request_piece *p)
{
	struct request *req = p->request;
	size_t len = (size_t)p->len_bytes;
	uint8_t *stored = scratch_new(len);
	enum outcome out = stored ? read_sectors(req, stored, len, 0) : OUTCOME_INTERNAL;

	if (out == OUTCOME_GOOD && memcmp(stored, req->data, len))
		out = miscompare(req, 0, stored, req->data);
	if (out == OUTCOME_GOOD)
		out = write_sectors(req, req->data + len, len, 0);
	if (stored)
		scratch_free(stored, len);
	return out;
}

static enum outcome run_or_write(struct request_piece *p)
{
	struct request *req = p->request;
	enum outcome out = OUTCOME_GOOD;
	uint8_t *stored = scratch_new(SCRATCH_BYTES);

	if (!stored)
		return OUTCOME_INTERNAL;
	for (uint64_t done = 0, n; done < p->len_bytes && out == OUTCOME_GOOD; done += n) {
		uint64_t at = p->first_byte + done;
		n = p->len_bytes - done < SCRATCH_BYTES ? p->len_bytes - done : SCRATCH_BYTES;
		size_t sectors = round_up(n, volume_sector_bytes(req->volume));
		out = read_sectors(req, stored, sectors, at);
		if (out != OUTCOME_GOOD)
			break;
		for (uint64_t i = 0; i < n; i++)
			stored[i] |= req->data[at + i];
		out = write_sectors(req, stored, sectors, at);
	}
	scratch_free(stored, SCRATCH_BYTES);
	return out;
}

static void stamp_sector(const struct request *req, uint8_t *sector, uint64_t at)
{
	uint64_t lba = lun_offset(req, at) / volume_sector_bytes(req->volume);
	uint32_t lba32 = htobe32((uint32_t)lba);
	uint64_t lba64 = htobe64(lba);

	if (req->stamp == STAMP_LBA32)
		memcpy(sector, &lba32, sizeof(lba32));
	else if (req->stamp == STAMP_LBA64)
		memcpy(sector, &lba64, sizeof(lba64));
}

static void fill_same(const struct request *req, uint8_t *buf, size_t len, uint64_t at)
{
	uint32_t sector_bytes = volume_sector_bytes(req->volume);

	for (size_t i = 0; i < len; i += sector_bytes) {
		if (req->data)
			memcpy(buf + i, req->data, sector_bytes);
		else
			memset(buf + i, 0, sector_bytes);
		stamp_sector(req, buf + i, at + i);
	}
}

static enum outcome run_write_same(struct request_piece *p)
{
	struct request *req = p->request;
	uint64_t slice = slice_bytes(p);
	enum outcome out = OUTCOME_GOOD;
	uint8_t *buf = scratch_new(SCRATCH_BYTES);

	if (!buf)
		return OUTCOME_INTERNAL;
	for (uint64_t done = 0, n; done < slice && out == OUTCOME_GOOD; done += n) {
		uint64_t at = p->first_byte + done;
		n = slice - done < SCRATCH_BYTES ? slice - done : SCRATCH_BYTES;
		fill_same(req, buf, n, at);
		out = write_sectors(req, buf, n, at);
	}
	scratch_free(buf, SCRATCH_BYTES);
	slice_done(p, slice);
	return out;
}

/* Not a moment longer than the volume is ready: what is destroyed or suspended stands still. */
static enum outcome unmap(struct request *req, const struct extent *extent)
{
	enum outcome out = OUTCOME_GOOD;

	for (uint64_t done = 0, n; done < extent->len_bytes && out == OUTCOME_GOOD; done += n) {
		n = extent->len_bytes - done;
		n = n < UNMAP_BYTES_MAX ? n : UNMAP_BYTES_MAX;
		out = request_status(req->volume);
		if (out == OUTCOME_GOOD)
			out = request_write_outcome(
				volume_discard(req->volume, n, extent->first_byte + done));
	}
	return out;
}

static enum outcome run_unmap(struct request_piece *p)
{
	struct request *req = p->request;
	const struct extent whole = {.first_byte = req->offset_bytes, .len_bytes = req->len_bytes};
	const struct extent *extents = req->extents ? req->extents : &whole;
	unsigned count = req->extents ? req->extent_count : 1;
	enum outcome out = OUTCOME_GOOD;

	pool_wait_begin();
	for (unsigned i = 0; i < count && out == OUTCOME_GOOD; i++)
		out = unmap(req, &extents[i]);
	pool_wait_end();
	return req->durable && out == OUTCOME_GOOD ? run_flush(p) : out;
}

static enum outcome run_map(struct request_piece *p)
{
	struct request *req = p->request;

	pool_wait_begin();
	int rc = provision_map(req->volume, req->offset_bytes, req->extents, req->extent_count,
		&req->extent_count);
	pool_wait_end();
	return rc ? OUTCOME_READ_ERROR : OUTCOME_GOOD;
}

static enum outcome run_prefetch(struct request_piece *p)
{
	struct request *req = p->request;

	pool_wait_begin();
	int rc = volume_prefetch(req->volume, req->len_bytes, req->offset_bytes);
	pool_wait_end();
	return rc ? OUTCOME_READ_ERROR : OUTCOME_GOOD;
}

const struct request_work request_works[] = {
	[REQUEST_READ] = {run_read, true, false},
	[REQUEST_WRITE] = {run_write, true, false},
	[REQUEST_WRITE_VERIFY] = {run_write, true, false},
	[REQUEST_VERIFY] = {run_verify, true, true},
	[REQUEST_VERIFY_SAME] = {run_verify, true, true},
	[REQUEST_COMPARE_WRITE] = {run_compare_write, false, false},
	[REQUEST_OR_WRITE] = {run_or_write, true, false},
	[REQUEST_WRITE_SAME] = {run_write_same, true, true},
	[REQUEST_UNMAP] = {run_unmap, false, false},
	[REQUEST_MAP] = {run_map, false, false},
	[REQUEST_FLUSH] = {run_flush, false, false},
	[REQUEST_PREFETCH] = {run_prefetch, false, false},
};
