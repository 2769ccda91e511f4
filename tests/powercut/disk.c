/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int map_log(struct disk *d, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !st.st_size)
		return -EINVAL;
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (map == MAP_FAILED)
		return -ENOMEM;
	d->log = d->at = map;
	d->log_end = d->log + st.st_size;
	return 0;
}

int disk_open(struct disk *d, const char *log_path, uint64_t first_byte, uint64_t bytes)
{
	memset(d, 0, sizeof(*d));
	d->first_byte = first_byte;
	d->bytes = bytes;
	d->durable = calloc(bytes, 1);
	d->written_by = calloc(bytes / UNIT_BYTES, sizeof(*d->written_by));
	d->pending = calloc(PENDING_MAX, sizeof(*d->pending));
	if (!d->durable || !d->written_by || !d->pending)
		return -ENOMEM;
	return map_log(d, log_path);
}

void disk_close(struct disk *d)
{
	if (d->log)
		(void)munmap((void *)(uintptr_t)d->log, (size_t)(d->log_end - d->log));
	free(d->durable);
	free(d->written_by);
	free(d->pending);
}

/* Units of w from at on become its data, where nothing later is. */
static void put(
	const struct disk *d, const struct pending_write *w, size_t at, size_t len, uint8_t *image)
{
	const uint8_t *data = (const uint8_t *)(w->record + 1);
	uint64_t offset = w->record->offset_bytes - d->first_byte;

	for (size_t i = at; i < at + len && i < w->record->len_bytes; i += UNIT_BYTES) {
		if (d->written_by[(offset + i) / UNIT_BYTES] < w->number)
			memcpy(image + offset + i, data + i, UNIT_BYTES);
	}
}

static void make_durable(struct disk *d, struct pending_write *w)
{
	uint64_t first = (w->record->offset_bytes - d->first_byte) / UNIT_BYTES;

	put(d, w, 0, w->record->len_bytes, d->durable);
	for (uint64_t u = first; u < first + w->record->len_bytes / UNIT_BYTES; u++) {
		if (d->written_by[u] < w->number)
			d->written_by[u] = w->number;
	}
	w->done = true;
}

static void forget_done(struct disk *d)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->pending_count; i++) {
		if (!d->pending[i].done)
			d->pending[kept++] = d->pending[i];
	}
	d->pending_count = kept;
}

static int on_write_begins(struct disk *d, const struct log_record *r)
{
	if (r->offset_bytes < d->first_byte || r->len_bytes % UNIT_BYTES ||
		r->offset_bytes - d->first_byte + r->len_bytes > d->bytes ||
		d->pending_count == PENDING_MAX)
		return -EINVAL;
	d->pending[d->pending_count++] = (struct pending_write){.record = r, .number = d->number};
	return 0;
}

static int on_write_ended(struct disk *d, const struct log_record *r)
{
	for (size_t i = 0; i < d->pending_count; i++) {
		struct pending_write *w = &d->pending[i];
		if (w->record->call != r->call)
			continue;
		if (r->result != (int32_t)w->record->len_bytes)
			return r->result == -EAGAIN || r->result == -EOPNOTSUPP ? 0 : -EINVAL;
		w->ended_number = d->number;
		if (w->record->result & RWF_DSYNC) {
			make_durable(d, w);
			forget_done(d);
		}
		return 0;
	}
	return -EINVAL;
}

static int on_flush_begins(struct disk *d, const struct log_record *r)
{
	if (d->flush_count == FLUSHES_MAX)
		return -EINVAL;
	d->flush[d->flush_count++] = (struct pending_flush){r->call, d->number};
	return 0;
}

static int on_flush_ended(struct disk *d, const struct log_record *r)
{
	for (size_t f = 0; f < d->flush_count; f++) {
		struct pending_flush flush = d->flush[f];
		if (flush.call != r->call)
			continue;
		d->flush[f] = d->flush[--d->flush_count];
		for (size_t i = 0; !r->result && i < d->pending_count; i++) {
			struct pending_write *w = &d->pending[i];
			if (w->ended_number && w->ended_number < flush.number)
				make_durable(d, w);
		}
		forget_done(d);
		return 0;
	}
	return -EINVAL;
}

static int take(struct disk *d, const struct log_record *r)
{
	d->number++;
	switch (r->what) {
	case LOG_WRITE_BEGINS:
		return on_write_begins(d, r);
	case LOG_WRITE_ENDED:
		return on_write_ended(d, r);
	case LOG_FLUSH_BEGINS:
		return on_flush_begins(d, r);
	case LOG_FLUSH_ENDED:
		return on_flush_ended(d, r);
	default:
		return -EINVAL;
	}
}

int disk_advance(struct disk *d, uint64_t time_ns)
{
	while (d->at < d->log_end) {
		const struct log_record *r = (const void *)d->at;
		size_t len = sizeof(*r) + (r->what == LOG_WRITE_BEGINS ? r->len_bytes : 0);

		if ((size_t)(d->log_end - d->at) < len)
			return -EINVAL;
		if (r->time_ns > time_ns)
			break;
		int rc = take(d, r);
		if (rc)
			return rc;
		d->at += len;
	}
	return 0;
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (*random >> 33) % below;
}

void disk_cut(
	const struct disk *d, unsigned percent, size_t torn_bytes, uint64_t *random, uint8_t *image)
{
	memcpy(image, d->durable, d->bytes);
	for (size_t i = 0; i < d->pending_count; i++) {
		const struct pending_write *w = &d->pending[i];
		for (size_t at = 0; at < w->record->len_bytes; at += torn_bytes) {
			if (draw(random, 100) < percent)
				put(d, w, at, torn_bytes, image);
		}
	}
}
