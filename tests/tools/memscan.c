/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * memscan PID KEYFILE: where in a process's memory is an AES-256 key, or anything it can be made
 * of again?
 *
 * Looks for the key, its halves and every round key (FIPS 197 5.2), the decryption round keys of
 * the equivalent inverse cipher (5.3.5), the same for the ESSIV key SHA-256(key), each also with
 * the bytes of its 32-bit words swapped, and the keys as hexadecimal text. Prints "hits N" and one
 * line for each kind found. Exit status 0: scanned (whatever was found), 1: could not.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>

enum {
	KEY_BYTES = 32,
	ROUND_KEY_BYTES = 16,
	ROUND_KEYS = 15,
	PATTERNS_MAX = 256,
	PAGE_BYTES = 4096,
	CHUNK_BYTES = 1 << 20,
	OVERLAP_BYTES = 2 * KEY_BYTES,
};

/* Larger mappings are the address sanitizer's shadow only: terabytes, and no place for data. */
static const uint64_t range_bytes_max = (uint64_t)64 << 30;

/* In RAM or swapped: bits 63 and 62 of a pagemap entry. */
static const uint64_t page_there = (uint64_t)3 << 62;

struct process {
	int mem, pagemap;
	uint8_t *buf; /* a chunk and the overlap with the next */
};

struct pattern {
	char name[40];
	uint8_t bytes[2 * KEY_BYTES];
	size_t len;
	uint64_t hits;
};

static struct pattern patterns[PATTERNS_MAX];
static size_t pattern_count;
static uint8_t first_two[65536 / 8]; /* which first two bytes any pattern has */

static void add_pattern(const char *name, size_t index, const uint8_t *bytes, size_t len)
{
	struct pattern *p = &patterns[pattern_count++];
	unsigned int two = (unsigned int)(bytes[0] | bytes[1] << 8);

	snprintf(p->name, sizeof(p->name), "%s %zu", name, index);
	memcpy(p->bytes, bytes, len);
	p->len = len;
	first_two[two / 8] |= (uint8_t)(1u << two % 8);
}

static uint8_t times_two(uint8_t x)
{
	return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

static uint8_t multiply(uint8_t a, uint8_t b)
{
	uint8_t sum = 0;

	for (; b; b >>= 1, a = times_two(a))
		if (b & 1)
			sum ^= a;
	return sum;
}

/* FIPS 197 5.1.1: the inverse in GF(2^8), x^254, then the affine transformation. */
static uint8_t sub_byte(uint8_t x)
{
	uint8_t y = 1;
	int i;

	for (i = 0; i < 254; i++)
		y = multiply(y, x);
	return (uint8_t)(y ^ (y << 1 | y >> 7) ^ (y << 2 | y >> 6) ^ (y << 3 | y >> 5) ^
			 (y << 4 | y >> 4) ^ 0x63);
}

static void expand_key(const uint8_t key[KEY_BYTES], uint8_t w[ROUND_KEYS * ROUND_KEY_BYTES])
{
	uint8_t rcon = 1, t[4];
	size_t i, j;

	memcpy(w, key, KEY_BYTES);
	for (i = KEY_BYTES; i < ROUND_KEYS * ROUND_KEY_BYTES; i += 4) {
		memcpy(t, w + i - 4, 4);
		if (i % KEY_BYTES == 0) {
			const uint8_t rotated[4] = {t[1], t[2], t[3], t[0]};

			for (j = 0; j < 4; j++)
				t[j] = sub_byte(rotated[j]);
			t[0] ^= rcon;
			rcon = times_two(rcon);
		} else if (i % KEY_BYTES == KEY_BYTES / 2) {
			for (j = 0; j < 4; j++)
				t[j] = sub_byte(t[j]);
		}
		for (j = 0; j < 4; j++)
			w[i + j] = w[i + j - KEY_BYTES] ^ t[j];
	}
}

static void inverse_mix_columns(uint8_t out[ROUND_KEY_BYTES], const uint8_t in[ROUND_KEY_BYTES])
{
	static const uint8_t row[4] = {14, 11, 13, 9};
	size_t c, i, j;

	memset(out, 0, ROUND_KEY_BYTES);
	for (c = 0; c < ROUND_KEY_BYTES; c += 4)
		for (i = 0; i < 4; i++)
			for (j = 0; j < 4; j++)
				out[c + i] ^= multiply(in[c + j], row[(j + 4 - i) % 4]);
}

static void add_with_swapped_words(const char *name, size_t index, const uint8_t *bytes)
{
	uint8_t swapped[ROUND_KEY_BYTES];
	size_t i;

	for (i = 0; i < ROUND_KEY_BYTES; i++)
		swapped[i] = bytes[(i & ~(size_t)3) + 3 - i % 4];
	add_pattern(name, index, bytes, ROUND_KEY_BYTES);
	add_pattern(name, index, swapped, ROUND_KEY_BYTES);
}

static void add_hex(const char *name, const uint8_t key[KEY_BYTES])
{
	static const char *const digits[] = {"0123456789abcdef", "0123456789ABCDEF"};
	uint8_t text[2 * KEY_BYTES];
	size_t i, j;

	for (j = 0; j < 2; j++) {
		for (i = 0; i < KEY_BYTES; i++) {
			text[2 * i] = (uint8_t)digits[j][key[i] >> 4];
			text[2 * i + 1] = (uint8_t)digits[j][key[i] & 15];
		}
		add_pattern(name, j, text, sizeof(text));
	}
}

static void add_key(const char *name, const uint8_t key[KEY_BYTES])
{
	uint8_t w[ROUND_KEYS * ROUND_KEY_BYTES], inverse[ROUND_KEY_BYTES];
	char label[32];
	size_t i;

	expand_key(key, w);
	snprintf(label, sizeof(label), "%s round key", name);
	for (i = 0; i < ROUND_KEYS; i++)
		add_with_swapped_words(label, i, w + i * ROUND_KEY_BYTES);
	snprintf(label, sizeof(label), "%s inverse round key", name);
	for (i = 1; i < ROUND_KEYS - 1; i++) {
		inverse_mix_columns(inverse, w + i * ROUND_KEY_BYTES);
		add_with_swapped_words(label, i, inverse);
	}
	snprintf(label, sizeof(label), "%s in hex", name);
	add_hex(label, key);
}

/* FIPS 197 A.3: the last word of the example's key expansion. */
static bool expansion_is_right(void)
{
	static const uint8_t key[KEY_BYTES] = {0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b,
		0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08,
		0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};
	static const uint8_t last[4] = {0x70, 0x6c, 0x63, 0x1e};
	uint8_t w[ROUND_KEYS * ROUND_KEY_BYTES];

	expand_key(key, w);
	return !memcmp(w + sizeof(w) - 4, last, 4);
}

/* Counts patterns that start in buf[0..starts); buf has len bytes, len >= starts. */
static void scan_chunk(const uint8_t *buf, size_t starts, size_t len)
{
	size_t pos, i;

	for (pos = 0; pos < starts && pos + 1 < len; pos++) {
		unsigned int two = (unsigned int)(buf[pos] | buf[pos + 1] << 8);

		if (!(first_two[two / 8] & 1u << two % 8))
			continue;
		for (i = 0; i < pattern_count; i++)
			if (len - pos >= patterns[i].len &&
				!memcmp(buf + pos, patterns[i].bytes, patterns[i].len))
				patterns[i].hits++;
	}
}

/* True unless none of the chunk's pages was ever touched: proc(5), pagemap. */
static bool any_page(const struct process *p, uint64_t start)
{
	uint64_t entry[CHUNK_BYTES / PAGE_BYTES];
	ssize_t got = pread(
		p->pagemap, entry, sizeof(entry), (off_t)(start / PAGE_BYTES * sizeof(entry[0])));

	for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(entry[0]); i++)
		if (entry[i] & page_there)
			return true;
	return got <= 0;
}

static uint64_t scan_range(const struct process *p, uint64_t start, uint64_t end)
{
	uint64_t scanned = 0;

	while (start < end) {
		size_t want = end - start < CHUNK_BYTES + OVERLAP_BYTES
				      ? (size_t)(end - start)
				      : (size_t)CHUNK_BYTES + OVERLAP_BYTES;
		size_t chunk = want < CHUNK_BYTES ? want : CHUNK_BYTES;
		ssize_t got = (ssize_t)want;

		if (any_page(p, start)) {
			got = pread(p->mem, p->buf, want, (off_t)start);
			if (got > 0)
				scan_chunk(p->buf, (size_t)got < chunk ? (size_t)got : chunk,
					(size_t)got);
			scanned += got > 0 ? (uint64_t)got : 0;
		}
		if (got <= 0) /* a page that cannot be read, such as [vvar] */
			start += PAGE_BYTES;
		else
			start += (size_t)got < chunk ? (size_t)got : chunk;
	}
	return scanned;
}

static int open_of(const char *pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static uint64_t scan_maps(const struct process *p, FILE *maps)
{
	uint64_t start, end, scanned = 0;
	char line[4352], perms[8];

	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, perms) == 3 &&
			perms[0] == 'r' && end - start <= range_bytes_max)
			scanned += scan_range(p, start, end);
	return scanned;
}

static uint64_t scan_process(const char *pid)
{
	struct process p = {.mem = open_of(pid, "mem"),
		.pagemap = open_of(pid, "pagemap"),
		.buf = malloc(CHUNK_BYTES + OVERLAP_BYTES)};
	int fd = open_of(pid, "maps");
	FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
	uint64_t scanned = p.buf && maps && p.mem >= 0 ? scan_maps(&p, maps) : 0;

	if (maps)
		fclose(maps);
	if (p.mem >= 0)
		close(p.mem);
	if (p.pagemap >= 0)
		close(p.pagemap);
	free(p.buf);
	return scanned;
}

static bool load_keys(const char *path)
{
	uint8_t key[KEY_BYTES], essiv[KEY_BYTES];
	FILE *f = fopen(path, "r");
	bool ok;

	if (!f)
		return false;
	ok = fread(key, 1, sizeof(key), f) == sizeof(key);
	fclose(f);
	SHA256(key, sizeof(key), essiv);
	add_key("key", key);
	add_key("ESSIV key", essiv);
	return ok;
}

int main(int argc, char **argv)
{
	uint64_t scanned, hits = 0;
	size_t i;

	if (argc != 3) {
		fputs("usage: memscan PID KEYFILE\n", stderr);
		return 2;
	}
	if (!expansion_is_right() || !load_keys(argv[2])) {
		fputs("memscan: no key to look for\n", stderr);
		return 1;
	}
	scanned = scan_process(argv[1]);
	if (!scanned) {
		fprintf(stderr, "memscan: cannot read the memory of process %s\n", argv[1]);
		return 1;
	}
	for (i = 0; i < pattern_count; i++)
		hits += patterns[i].hits;
	printf("hits %" PRIu64 "\nscanned_kib %" PRIu64 "\n", hits, scanned / 1024);
	for (i = 0; i < pattern_count; i++)
		if (patterns[i].hits)
			printf("%s: %" PRIu64 "\n", patterns[i].name, patterns[i].hits);
	return 0;
}
