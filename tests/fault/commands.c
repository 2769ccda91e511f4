/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The commands of the sweep. One more is one more row. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "write_cache.h"
#include "sweep.h"

enum {
	PAGE_FORMAT = 0x10,
	UNMAP_BIT = 0x08,
	UNMAP_LIST_BYTES = 24,
	FUA = 0x08,
	BYTCHK = 0x02,
	NDOB = 0x01
};

uint64_t sweep_random(struct sweep *s, uint64_t below)
{
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	uint64_t x = s->random;
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 29;
	return x % below;
}

static void fill_random(struct sweep *s, uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t x = sweep_random(s, UINT64_MAX);
		memcpy(buf + i, &x, len - i < 8 ? len - i : 8);
	}
}

static void put_be(uint8_t *at, size_t bytes, uint64_t value)
{
	while (bytes--) {
		at[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

/* ---- What is sent, and what it makes of the blocks ---------------------------------------------- */

static const uint8_t *stored(const struct sweep *s, uint64_t lba)
{
	return s->model + lba * s->session.block_bytes;
}

static size_t bytes_of(const struct sweep *s, uint32_t blocks)
{
	return (size_t)blocks * s->session.block_bytes;
}

static size_t no_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	memcpy(s->want, stored(s, lba), bytes_of(s, blocks));
	return 0;
}

static size_t new_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	(void)lba;
	fill_random(s, s->out, bytes_of(s, blocks));
	memcpy(s->want, s->out, bytes_of(s, blocks));
	return bytes_of(s, blocks);
}

/* Less than the CDB says, and the end in the middle of a block, of which the rest stays. */
static size_t part_of_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	size_t len = bytes_of(s, blocks) - s->session.block_bytes / 2;

	fill_random(s, s->out, len);
	memcpy(s->want, stored(s, lba), bytes_of(s, blocks));
	memcpy(s->want, s->out, len);
	return len;
}

static size_t stored_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	memcpy(s->out, stored(s, lba), bytes_of(s, blocks));
	return no_data(s, lba, blocks) + bytes_of(s, blocks);
}

static size_t or_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	size_t len = bytes_of(s, blocks);

	fill_random(s, s->out, len);
	for (size_t i = 0; i < len; i++) {
		s->out[i] &= (uint8_t)(0x11 << i % 4); /* or all would soon be ones */
		s->want[i] = s->out[i] | stored(s, lba)[i];
	}
	return len;
}

static size_t old_and_new_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	size_t len = bytes_of(s, blocks);

	memcpy(s->out, stored(s, lba), len);
	fill_random(s, s->out + len, len);
	memcpy(s->want, s->out + len, len);
	return 2 * len;
}

static size_t wrong_and_new_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	size_t len = old_and_new_data(s, lba, blocks);

	s->out[sweep_random(s, len / 2)] ^= 1;
	no_data(s, lba, blocks);
	return len;
}

static size_t wrong_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	size_t len = stored_data(s, lba, blocks);

	s->out[sweep_random(s, len)] ^= 1;
	return len;
}

static size_t one_block(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	size_t block = s->session.block_bytes;

	(void)lba;
	fill_random(s, s->out, block);
	for (uint32_t i = 0; i < blocks; i++)
		memcpy(s->want + i * block, s->out, block);
	return block;
}

static size_t no_block(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	(void)lba;
	memset(s->want, 0, bytes_of(s, blocks));
	return 0;
}

static size_t mode_data(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	memcpy(s->out, s->mode_data, sizeof(s->mode_data));
	return no_data(s, lba, blocks) + sizeof(s->mode_data);
}

/* One descriptor, SBC-3 5.28.2. */
static size_t unmap_list(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	memset(s->out, 0, UNMAP_LIST_BYTES);
	put_be(s->out, 2, UNMAP_LIST_BYTES - 2);
	put_be(s->out + 2, 2, UNMAP_LIST_BYTES - 8);
	put_be(s->out + 8, 8, lba);
	put_be(s->out + 16, 4, blocks);
	return no_block(s, lba, blocks) + UNMAP_LIST_BYTES;
}

static size_t zero_block(struct sweep *s, uint64_t lba, uint32_t blocks)
{
	memset(s->out, 0, s->session.block_bytes);
	return no_block(s, lba, blocks) + s->session.block_bytes;
}

#define KIB(n) ((n) << 10)

const struct command_row command_rows[] = {
	{"READ (10)", 0x28, 0, KIB(1100), false, false, false, ANYWHERE, no_data},
	{"READ (16)", 0x88, 0, KIB(300), false, false, false, ANYWHERE, no_data},
	{"READ (16) with FUA", 0x88, FUA, KIB(1100), false, false, false, ANYWHERE, no_data},
	{"WRITE (10)", 0x2a, 0, KIB(300), true, false, false, ANYWHERE, new_data},
	{"WRITE (12)", 0xaa, 0, KIB(20), true, false, false, ANYWHERE, new_data},
	{"WRITE (16)", 0x8a, 0, KIB(1100), true, false, false, ANYWHERE, new_data},
	{"WRITE (16) of a part", 0x8a, 0, KIB(600), true, false, false, ANYWHERE, part_of_data},
	{"WRITE (10) with FUA", 0x2a, FUA, KIB(300), true, true, false, ANYWHERE, new_data},
	{"WRITE (16) with FUA", 0x8a, FUA, KIB(1100), true, true, false, ANYWHERE, new_data},
	{"WRITE AND VERIFY (10)", 0x2e, 0, KIB(300), true, true, false, ANYWHERE, new_data},
	{"WRITE AND VERIFY (16)", 0x8e, 0, KIB(1100), true, true, false, ANYWHERE, new_data},
	{"VERIFY (10)", 0x2f, 0, KIB(1100), false, false, false, ANYWHERE, no_data},
	{"VERIFY (10) with data", 0x2f, BYTCHK, KIB(300), false, false, false, ANYWHERE,
		stored_data},
	{"VERIFY (16) with data", 0x8f, BYTCHK, KIB(1100), false, false, false, ANYWHERE,
		stored_data},
	{"VERIFY (16) with other data", 0x8f, BYTCHK, KIB(300), false, false, true, false,
		wrong_data},
	{"COMPARE AND WRITE", 0x89, 0, KIB(64), true, false, false, ANYWHERE, old_and_new_data},
	{"COMPARE AND WRITE with FUA", 0x89, FUA, KIB(64), true, true, false, false,
		old_and_new_data},
	{"COMPARE AND WRITE, other data", 0x89, 0, KIB(64), true, false, true, false,
		wrong_and_new_data},
	{"ORWRITE (16)", 0x8b, 0, KIB(700), true, false, false, ANYWHERE, or_data},
	{"ORWRITE (16) with FUA", 0x8b, FUA, KIB(300), true, true, false, ANYWHERE, or_data},
	{"WRITE SAME (10)", 0x41, 0, KIB(700), true, false, false, ANYWHERE, one_block},
	{"WRITE SAME (16)", 0x93, 0, KIB(5000), true, false, false, ANYWHERE, one_block},
	{"WRITE SAME (16) without data", 0x93, NDOB, KIB(1100), true, false, false, false,
		no_block},
	{"SYNCHRONIZE CACHE (10)", 0x35, 0, 0, false, true, false, ANYWHERE, no_data},
	{"SYNCHRONIZE CACHE (16)", 0x91, 0, 0, false, true, false, ANYWHERE, no_data},
	{"UNMAP", 0x42, 0, KIB(700), true, false, false, THIN, unmap_list},
	{"WRITE SAME (16) that unmaps", 0x93, UNMAP_BIT, KIB(700), true, false, false, THIN,
		zero_block},
	{"START STOP UNIT", 0x1b, 0, 0, false, true, false, ANYWHERE, no_data},
	{"MODE SELECT (6)", 0x15, PAGE_FORMAT, 0, false, true, false, CACHE_OFF, mode_data},
};
const size_t command_row_count = sizeof(command_rows) / sizeof(command_rows[0]);

/* ---- Sending ------------------------------------------------------------------------------------- */

/* By the opcode's group, SPC-4 4.2.5.1. COMPARE AND WRITE has a length of its own, SBC-3 5.2. */
static size_t make_cdb(
	const struct command_row *row, uint64_t lba, uint32_t blocks, uint8_t cdb[16])
{
	unsigned group = row->opcode >> 5;

	memset(cdb, 0, 16);
	cdb[0] = row->opcode;
	cdb[1] = row->flags;
	if (group == 0) {
		cdb[4] = row->only == CACHE_OFF ? WRITE_CACHE_DATA_BYTES : 0;
		return 6;
	}
	if (row->opcode == 0x42) {
		put_be(cdb + 7, 2, UNMAP_LIST_BYTES);
		return 10;
	}
	put_be(cdb + 2, group == 4 ? 8 : 4, lba);
	if (row->opcode == 0x89)
		cdb[13] = (uint8_t)blocks;
	else if (group == 4)
		put_be(cdb + 10, 4, blocks);
	else if (group == 5)
		put_be(cdb + 6, 4, blocks);
	else
		put_be(cdb + 7, 2, blocks);
	return group == 4 ? 16 : group == 5 ? 12 : 10;
}

int command_send(struct sweep *s, const struct command_row *row, uint64_t lba, uint32_t blocks,
	size_t out_bytes, struct outcome *result)
{
	bool reads = row->opcode == 0x28 || row->opcode == 0x88;
	uint8_t cdb[16];
	size_t len = make_cdb(row, lba, blocks, cdb);

	s->commands++;
	return attended_command(&s->session, cdb, len, s->out, out_bytes, s->back,
		reads ? bytes_of(s, blocks) : 0, result);
}

int command_login(struct sweep *s)
{
	session_close(&s->session);
	if (session_open(&s->session, s->url, false))
		return -EIO;
	if (!s->write_cache_off ||
		(!write_cache_off(&s->session) && !write_cache_off_data(&s->session, s->mode_data)))
		return 0;
	fputs("sweep: the write cache cannot be switched off\n", stderr);
	return -EIO;
}
