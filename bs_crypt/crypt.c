/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The table of engines, and what each must prove before it touches data. */
#include "crypt.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "cpus.h"

#include "report.h"

/*
 * Known answers: sector 3 (512 bytes) of a volume with key bytes 00 01 02 …, plaintext bytes
 * 00 01 … ff 00 01 …: the first and last 16 bytes of its ciphertext. Computed with openssl(1) from
 * the definition in crypt.h; tests/unit/test_crypt.c computes them again in that way.
 */
static const struct known_answer {
	enum cipher_id id;
	uint8_t head[16];
	uint8_t tail[16];
} answers[] = {
	{CIPHER_AES_CBC_ESSIV,
		{0x36, 0x6f, 0xaa, 0x2e, 0xcf, 0x75, 0x97, 0x93, 0x11, 0xa4, 0xb8, 0x2c, 0xd5, 0x87,
			0x89, 0x58},
		{0x57, 0xd8, 0x33, 0xdb, 0xf0, 0x28, 0x3e, 0x19, 0x08, 0xcb, 0x50, 0x22, 0xaa, 0xba,
			0xf7, 0x5d}},
	{CIPHER_AES_XTS,
		{0x03, 0xd1, 0x4e, 0x10, 0x53, 0xa7, 0xbc, 0xf9, 0x55, 0xad, 0x77, 0x2d, 0x3a, 0x22,
			0xb2, 0x44},
		{0x2a, 0xdb, 0x64, 0x1f, 0x62, 0xaf, 0x5a, 0x3c, 0x32, 0x99, 0xc6, 0x70, 0x7e, 0xe8,
			0x08, 0xe7}},
};

enum { SECTOR_UNIT_BYTES = 512 }; /* what sector numbers count */

enum { KAT_SECTOR = 3, KAT_SECTOR_BYTES = 512 };

static void fill(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)i;
}

static const struct known_answer *answer_for(enum cipher_id id)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].id == id)
			return &answers[i];
	}
	return NULL;
}

static int test_both_ways(struct crypt_context *ctx, const struct known_answer *answer)
{
	uint8_t plain[KAT_SECTOR_BYTES], data[KAT_SECTOR_BYTES];

	fill(plain, sizeof(plain));
	memcpy(data, plain, sizeof(data));
	if (crypt_encrypt(ctx, data, sizeof(data), KAT_SECTOR))
		return -EIO;
	if (memcmp(data, answer->head, 16) || memcmp(data + sizeof(data) - 16, answer->tail, 16))
		return -EIO;
	if (crypt_decrypt(ctx, data, sizeof(data), KAT_SECTOR))
		return -EIO;
	return memcmp(data, plain, sizeof(data)) ? -EIO : 0;
}

static int test_cipher(const struct crypt_engine *engine, const struct cipher *cipher)
{
	uint8_t key[CIPHER_KEY_MAX];
	const struct known_answer *answer = answer_for(cipher->id);

	fill(key, sizeof(key));
	struct crypt_context *ctx =
		answer ? crypt_context_new(engine, cipher, key, KAT_SECTOR_BYTES) : NULL;
	int rc = ctx ? test_both_ways(ctx, answer) : -EIO;
	crypt_context_free(ctx);
	return rc;
}

int crypt_self_test(const struct crypt_engine *engine)
{
	for (size_t i = 0; cipher_at(i); i++) {
		if (!engine->supports(cipher_at(i)->id))
			continue;
		int rc = test_cipher(engine, cipher_at(i));
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- Contexts and slots ------------------------------------------------------------------------ */

static pthread_mutex_t slot_locks[CRYPT_SLOTS_MAX];
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;
static unsigned slots;

/* One for each CPU, and one for the main thread, which has work that others wait for. */
static void count_slots(void)
{
	slots = cpus_usable(CRYPT_SLOTS_MAX - 1) + 1;
	for (unsigned i = 0; i < slots; i++)
		pthread_mutex_init(&slot_locks[i], NULL);
}

unsigned crypt_slots(void)
{
	pthread_once(&slots_once, count_slots);
	return slots;
}

void crypt_slot_lock(unsigned slot)
{
	pthread_mutex_lock(&slot_locks[slot]);
}

void crypt_slot_unlock(unsigned slot)
{
	pthread_mutex_unlock(&slot_locks[slot]);
}

/* A free slot, the one that this thread had last if it can be, or else that one when it is free. */
static unsigned take_slot(void)
{
	static _Thread_local unsigned mine;

	for (unsigned i = 0; i < slots; i++) {
		unsigned slot = (mine + i) % slots;
		if (!pthread_mutex_trylock(&slot_locks[slot])) {
			mine = slot;
			return slot;
		}
	}
	crypt_slot_lock(mine);
	return mine;
}

struct crypt_context *crypt_context_new(const struct crypt_engine *engine,
	const struct cipher *cipher, const uint8_t *key, uint32_t sector_bytes)
{
	struct crypt_context *ctx = NULL;

	if (crypt_slots() && engine->supports(cipher->id))
		ctx = engine->context_new(cipher, key, sector_bytes);
	if (ctx) {
		ctx->engine = engine;
		ctx->sector_bytes = sector_bytes;
	}
	return ctx;
}

void crypt_context_free(struct crypt_context *ctx)
{
	if (ctx)
		ctx->engine->context_free(ctx);
}

int crypt_encrypt(struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	unsigned slot = take_slot();
	int rc = ctx->engine->encrypt(ctx, slot, data, len_bytes, sector);

	crypt_slot_unlock(slot);
	return rc;
}

int crypt_decrypt(struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	unsigned slot = take_slot();
	int rc = ctx->engine->decrypt(ctx, slot, data, len_bytes, sector);

	crypt_slot_unlock(slot);
	return rc;
}

/* The first bytes tell at once, as a rule. */
static bool is_zero(const uint8_t *sector, size_t len)
{
	uint64_t first;

	memcpy(&first, sector, sizeof(first));
	return !first && !memcmp(sector, sector + sizeof(first), len - sizeof(first));
}

/* How many of the len bytes at data are whole sectors of the same kind as the first, and which. */
static size_t run_of_sectors(const uint8_t *data, size_t len, size_t sector_bytes, bool *zeros)
{
	size_t n = sector_bytes;

	*zeros = is_zero(data, sector_bytes);
	while (n < len && is_zero(data + n, sector_bytes) == *zeros)
		n += sector_bytes;
	return n;
}

int crypt_encrypt_sparse(
	struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	int rc = crypt_encrypt(ctx, data, len_bytes, sector);

	for (size_t at = 0; at < len_bytes && !rc; at += ctx->sector_bytes)
		rc = is_zero(data + at, ctx->sector_bytes) ? -EIO : 0;
	return rc;
}

int crypt_decrypt_sparse(
	struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	int rc = 0;
	bool zeros;

	for (size_t at = 0, n; at < len_bytes && !rc; at += n) {
		n = run_of_sectors(data + at, len_bytes - at, ctx->sector_bytes, &zeros);
		if (!zeros)
			rc = crypt_decrypt(ctx, data + at, n, sector + at / SECTOR_UNIT_BYTES);
	}
	return rc;
}

/* ---- The table --------------------------------------------------------------------------------- */

/* Best first. */
static struct {
	const struct crypt_engine *engine;
	enum { UNTRIED, GOOD, BAD } verdict;
} engines[] = {
#ifdef HAVE_IPSEC_MB
	{&crypt_ipsec_mb_avx512, UNTRIED},
	{&crypt_ipsec_mb_avx2, UNTRIED},
	{&crypt_ipsec_mb_sse, UNTRIED},
#endif
	{&crypt_openssl, UNTRIED},
};

const struct crypt_engine *crypt_engine_at(size_t i)
{
	return i < sizeof(engines) / sizeof(engines[0]) ? engines[i].engine : NULL;
}

static bool works(size_t i)
{
	if (engines[i].verdict == UNTRIED) {
		engines[i].verdict = crypt_self_test(engines[i].engine) ? BAD : GOOD;
		if (engines[i].verdict == BAD)
			report_error("crypto engine %s failed its self-test and is not used",
				engines[i].engine->name);
	}
	return engines[i].verdict == GOOD;
}

/* "ipsec-mb" stands for every ipsec-mb-…. */
static bool name_matches(const char *name, const char *engine)
{
	size_t len = strlen(name);

	return !len || (!strncmp(name, engine, len) && (!engine[len] || engine[len] == '-'));
}

int crypt_engine_find(
	const char *name, const struct cipher *cipher, const struct crypt_engine **engine)
{
	int rc = -ENOENT;

	for (size_t i = 0; crypt_engine_at(i); i++) {
		const struct crypt_engine *e = crypt_engine_at(i);
		if (!name_matches(name, e->name) || !e->available(e))
			continue;
		if (!e->supports(cipher->id)) {
			rc = -ENOTSUP;
			continue;
		}
		if (works(i)) {
			*engine = e;
			return 0;
		}
		rc = -EIO;
	}
	return rc;
}
