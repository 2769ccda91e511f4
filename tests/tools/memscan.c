/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * memscan PID|FILE KEYFILE...: where in a process's memory, or in a file such as a core, is a key,
 * or anything it can be made of again (key_pieces.h)?
 *
 * A target with a slash in it is a file. Every mapping of a process is read, also those that it may
 * not read itself. Prints
 *   hits N               pieces found
 *   scanned_kib N
 *   exposed N            of the hits, those in memory that may be swapped or dumped; processes only
 *   unread NAME          a mapping that has pages and could not be read
 *   KEYFILE: PIECE: N    for each kind of piece found
 * Exit status 0: scanned (whatever was found), 1: could not, 2: usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "key_pieces.h"

enum {
	PAGE_BYTES = 4096,
	CHUNK_BYTES = 1 << 20,
	OVERLAP_BYTES = PIECE_BYTES_MAX,
	PREFIX_BYTES = 3, /* what pieces are found by */
	PREFIXES = 1 << 8 * PREFIX_BYTES,
};

/* Larger mappings are the address sanitizer's shadow only: terabytes, and no place for data. */
static const uint64_t range_bytes_max = (uint64_t)64 << 30;

/* In RAM or swapped: bits 63 and 62 of a pagemap entry. */
static const uint64_t page_there = (uint64_t)3 << 62;

static struct key_piece *pieces; /* sorted by their prefix */
static size_t piece_count;
static uint8_t prefixes[PREFIXES / 8]; /* which any piece has */
static uint64_t all_hits, scanned_bytes, exposed_hits;
static char unread[4096]; /* lines of the report */

struct target {
	int mem, pagemap; /* pagemap -1: a file, or unknown */
	uint8_t *buf;     /* a chunk and the overlap with the next */
};

static uint32_t prefix_of(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
}

static int compare_prefixes(const void *a, const void *b)
{
	uint32_t x = prefix_of(((const struct key_piece *)a)->bytes);
	uint32_t y = prefix_of(((const struct key_piece *)b)->bytes);

	return x < y ? -1 : x > y;
}

static void index_pieces(void)
{
	qsort(pieces, piece_count, sizeof(*pieces), compare_prefixes);
	for (size_t i = 0; i < piece_count; i++) {
		uint32_t prefix = prefix_of(pieces[i].bytes);
		prefixes[prefix / 8] |= (uint8_t)(1u << prefix % 8);
	}
}

/* The first piece whose prefix is not below this one. */
static size_t first_piece(uint32_t prefix)
{
	size_t low = 0, high = piece_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (prefix_of(pieces[middle].bytes) < prefix)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Counts the pieces that start in buf[0..starts); buf has len bytes, len >= starts. */
static uint64_t scan_chunk(const uint8_t *buf, size_t starts, size_t len)
{
	uint64_t hits = 0;

	for (size_t pos = 0; pos < starts && pos + PIECE_BYTES_MIN <= len; pos++) {
		uint32_t prefix = prefix_of(buf + pos);
		if (!(prefixes[prefix / 8] & 1u << prefix % 8))
			continue;
		for (size_t i = first_piece(prefix);
			i < piece_count && prefix_of(pieces[i].bytes) == prefix; i++) {
			if (len - pos < pieces[i].len_bytes ||
				memcmp(buf + pos, pieces[i].bytes, pieces[i].len_bytes))
				continue;
			pieces[i].hits++;
			hits++;
		}
	}
	return hits;
}

/* True unless none of the pages was ever touched: proc(5), pagemap. */
static bool any_page(const struct target *t, uint64_t start, size_t bytes)
{
	uint64_t entry[CHUNK_BYTES / PAGE_BYTES];
	size_t pages = bytes / PAGE_BYTES;

	if (t->pagemap < 0)
		return true;
	if (pages > sizeof(entry) / sizeof(entry[0]))
		pages = sizeof(entry) / sizeof(entry[0]);
	ssize_t got = pread(t->pagemap, entry, pages * sizeof(entry[0]),
		(off_t)(start / PAGE_BYTES * sizeof(entry[0])));
	for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(entry[0]); i++)
		if (entry[i] & page_there)
			return true;
	return got <= 0;
}

/*
 * What to read at once for a chunk at start: with it the overlap, unless that page was never touched.
 * Reading would touch it, and so on to the end of what a sanitizer or an allocator only reserved.
 */
static size_t bytes_to_read(const struct target *t, uint64_t start, uint64_t end, size_t chunk)
{
	uint64_t left = end - start - chunk;

	if (!left || !any_page(t, start + chunk, PAGE_BYTES))
		return chunk;
	return chunk + (size_t)(left < OVERLAP_BYTES ? left : OVERLAP_BYTES);
}

/* Scans what was asked for, page by page where not all of it can be read. False: nothing could. */
static bool scan_range(const struct target *t, uint64_t start, uint64_t end, uint64_t *hits)
{
	bool all = true;

	while (start < end) {
		size_t chunk = end - start < CHUNK_BYTES ? (size_t)(end - start) : CHUNK_BYTES;

		if (!any_page(t, start, chunk)) {
			start += chunk;
			continue;
		}
		size_t want = bytes_to_read(t, start, end, chunk);
		ssize_t got = pread(t->mem, t->buf, want, (off_t)start);
		if (got <= 0) {
			all = all && !any_page(t, start, PAGE_BYTES);
			start += PAGE_BYTES;
			continue;
		}
		if ((size_t)got < chunk)
			chunk = (size_t)got;
		*hits += scan_chunk(t->buf, chunk, (size_t)got);
		scanned_bytes += chunk;
		start += chunk;
	}
	return all;
}

static void note_unread(const char *name)
{
	size_t used = strlen(unread);

	snprintf(unread + used, sizeof(unread) - used, "unread %s\n", name);
}

/* A mapping's entry in /proc/PID/smaps. */
struct mapping {
	uint64_t start, end;
	char name[256];
};

static bool read_header(const char *line, struct mapping *m)
{
	int name_at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*7s %*s %*s %*s %n", &m->start, &m->end,
		    &name_at) != 2)
		return false;
	snprintf(m->name, sizeof(m->name), "%s", name_at ? line + name_at : "");
	m->name[strcspn(m->name, "\n")] = '\0';
	return true;
}

/* flags: the mapping's VmFlags line, proc(5). */
static void scan_mapping(const struct target *t, const struct mapping *m, const char *flags)
{
	bool safe = strstr(flags, " lo") && strstr(flags, " dd");
	uint64_t hits = 0;

	if (m->end - m->start > range_bytes_max)
		return;
	if (!scan_range(t, m->start, m->end, &hits))
		note_unread(m->name);
	all_hits += hits;
	if (!safe)
		exposed_hits += hits;
}

static void scan_smaps(const struct target *t, FILE *smaps)
{
	struct mapping m = {0};
	char line[4352];

	while (fgets(line, sizeof(line), smaps)) {
		if (!strncmp(line, "VmFlags:", 8))
			scan_mapping(t, &m, line + 8);
		else if (line[0] < 'A' || line[0] > 'Z')
			(void)read_header(line, &m);
	}
}

static int open_of(const char *pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void scan_process(struct target *t, const char *pid)
{
	int fd = open_of(pid, "smaps");
	FILE *smaps = fd < 0 ? NULL : fdopen(fd, "r");

	t->mem = open_of(pid, "mem");
	t->pagemap = open_of(pid, "pagemap");
	if (smaps && t->mem >= 0)
		scan_smaps(t, smaps);
	if (smaps)
		fclose(smaps);
	if (t->pagemap >= 0)
		close(t->pagemap);
}

static void scan_file(struct target *t, const char *path)
{
	t->mem = open(path, O_RDONLY | O_CLOEXEC);
	if (t->mem >= 0 && !scan_range(t, 0, (uint64_t)lseek(t->mem, 0, SEEK_END), &all_hits))
		note_unread(path);
}

static void report(bool process)
{
	printf("hits %" PRIu64 "\nscanned_kib %" PRIu64 "\n", all_hits, scanned_bytes / 1024);
	if (process)
		printf("exposed %" PRIu64 "\n", exposed_hits);
	fputs(unread, stdout);
	for (size_t i = 0; i < piece_count; i++)
		if (pieces[i].hits)
			printf("%s: %s: %" PRIu64 "\n", pieces[i].of, pieces[i].name,
				pieces[i].hits);
}

int main(int argc, char **argv)
{
	struct target t = {.mem = -1, .pagemap = -1};

	if (argc < 3) {
		fputs("usage: memscan PID|FILE KEYFILE...\n", stderr);
		return 2;
	}
	bool process = !strchr(argv[1], '/');
	long count = key_pieces_load(argv + 2, (size_t)(argc - 2), &pieces);
	if (count < 0) {
		fputs("memscan: no key to look for\n", stderr);
		return 1;
	}
	t.buf = malloc(CHUNK_BYTES + OVERLAP_BYTES);
	if (!t.buf)
		return 1;
	piece_count = (size_t)count;
	index_pieces();
	if (process)
		scan_process(&t, argv[1]);
	else
		scan_file(&t, argv[1]);
	free(t.buf);
	if (!scanned_bytes) {
		fprintf(stderr, "memscan: cannot read %s\n", argv[1]);
		return 1;
	}
	report(process);
	return 0;
}
