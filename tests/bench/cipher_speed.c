/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * cipher-speed MILLISECONDS: the engines of bs_crypt in memory, on one thread, and the library below
 * the fast one by itself: bursts of the same sectors with IVs made beforehand. They take turns at
 * every kind of work, each for that time. JSON on stdout: one row for each kind, MB/s are 10^6 bytes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

#include "crypt.h"

enum {
	CONTESTANTS_MAX = 8,
	MILLISECONDS_MAX = 10000,
	REQUEST_MAX = 1 << 20,
	BURST_SECTORS = 256, /* ipsec-mb's most */
	IV_BYTES = 16,
};

struct work {
	uint32_t sector_bytes;
	size_t request_bytes;
	bool encrypt;
};

struct contestant {
	const char *name;
	/* Before the first request of a kind. NULL: nothing to do. */
	void (*prepare)(const struct work *work);
	/* Does one request of work in data; 0 or -1. */
	int (*request)(const struct contestant *c, const struct work *work, uint8_t *data);
	struct crypt_context *ctx[2]; /* for sectors of 512 and 4096 bytes */
};

static const uint32_t sector_sizes[] = {512, 4096};
static const size_t request_sizes[] = {4 << 10, 64 << 10, 1 << 20};
static uint8_t key[32] = "a key that nobody has to hide ..";

/* ---- Ours -------------------------------------------------------------------------------------- */

static int engine_request(const struct contestant *c, const struct work *work, uint8_t *data)
{
	struct crypt_context *ctx = c->ctx[work->sector_bytes == 4096];

	if (work->encrypt)
		return crypt_encrypt(ctx, data, work->request_bytes, 0);
	return crypt_decrypt(ctx, data, work->request_bytes, 0);
}

/* False when this machine does not have row i of the engine table. */
static bool engine_contestant(struct contestant *c, size_t i)
{
	const struct crypt_engine *engine;

	if (crypt_engine_find(crypt_engine_at(i)->name, cipher_default(), &engine))
		return false;
	c->name = engine->name;
	c->request = engine_request;
	for (int n = 0; n < 2; n++)
		c->ctx[n] = crypt_context_new(engine, cipher_default(), key, sector_sizes[n]);
	return c->ctx[0] && c->ctx[1];
}

/* ---- The library by itself --------------------------------------------------------------------- */

#ifdef HAVE_IPSEC_MB
static struct {
	IMB_MGR *mgr;
	uint32_t encrypt[4 * 15] __attribute__((aligned(16)));
	uint32_t decrypt[4 * 15] __attribute__((aligned(16)));
	uint8_t ivs[BURST_SECTORS * IV_BYTES];
	IMB_JOB jobs[BURST_SECTORS];
} burst;

static void burst_prepare(const struct work *work)
{
	for (unsigned i = 0; i < BURST_SECTORS; i++) {
		burst.jobs[i] = (IMB_JOB){
			.enc_keys = burst.encrypt,
			.dec_keys = burst.decrypt,
			.key_len_in_bytes = sizeof(key),
			.cipher_mode = IMB_CIPHER_CBC,
			.cipher_direction = work->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
			.hash_alg = IMB_AUTH_NULL,
			.iv = burst.ivs + i * IV_BYTES,
			.iv_len_in_bytes = IV_BYTES,
			.msg_len_to_cipher_in_bytes = work->sector_bytes,
		};
	}
}

static int burst_request(const struct contestant *c, const struct work *work, uint8_t *data)
{
	IMB_CIPHER_DIRECTION direction = work->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	size_t left = work->request_bytes / work->sector_bytes;

	(void)c;
	while (left) {
		unsigned count = left < BURST_SECTORS ? (unsigned)left : BURST_SECTORS;
		for (unsigned i = 0; i < count; i++) {
			burst.jobs[i].src = burst.jobs[i].dst = data;
			data += work->sector_bytes;
		}
		if (IMB_SUBMIT_CIPHER_BURST_NOCHECK(burst.mgr, burst.jobs, count, IMB_CIPHER_CBC,
			    direction, IMB_KEY_256_BYTES) != count)
			return -1;
		left -= count;
	}
	return 0;
}

static bool burst_contestant(struct contestant *c)
{
	burst.mgr = alloc_mb_mgr(0);
	if (!burst.mgr)
		return false;
	init_mb_mgr_auto(burst.mgr, NULL);
	if (imb_get_errno(burst.mgr))
		return false;
	IMB_AES_KEYEXP_256(burst.mgr, key, burst.encrypt, burst.decrypt);
	c->name = "raw burst";
	c->prepare = burst_prepare;
	c->request = burst_request;
	return true;
}
#else
static bool burst_contestant(struct contestant *c)
{
	(void)c;
	return false;
}
#endif

/* ---- Measuring --------------------------------------------------------------------------------- */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* MB/s over seconds at least. */
static double speed(
	const struct contestant *c, const struct work *work, uint8_t *data, double seconds)
{
	uint64_t bytes = 0;
	double start, took;

	if (c->prepare)
		c->prepare(work);
	start = now_s();
	do {
		for (int i = 0; i < 8; i++) {
			if (c->request(c, work, data)) {
				fprintf(stderr, "cipher-speed: %s failed\n", c->name);
				exit(1);
			}
		}
		bytes += 8 * work->request_bytes;
		took = now_s() - start;
	} while (took < seconds);
	return (double)bytes / took / 1e6;
}

static void measure(
	const struct contestant *contestants, size_t count, const struct work *work, double seconds)
{
	static uint8_t data[REQUEST_MAX] __attribute__((aligned(4096)));

	printf("{\"sector\": %u, \"request\": %zu, \"encrypt\": %s, \"MB_s\": {",
		work->sector_bytes, work->request_bytes, work->encrypt ? "true" : "false");
	for (size_t i = 0; i < count; i++)
		printf("%s\"%s\": %.1f", i ? ", " : "", contestants[i].name,
			speed(&contestants[i], work, data, seconds));
	printf("}}");
}

static void measure_all(const struct contestant *contestants, size_t count, double seconds)
{
	for (int i = 0; i < 12; i++) {
		struct work work = {sector_sizes[i / 6], request_sizes[i / 2 % 3], i % 2 == 0};
		printf("%s", i ? ",\n " : "[");
		measure(contestants, count, &work, seconds);
	}
	printf("]\n");
}

int main(int argc, char **argv)
{
	struct contestant contestants[CONTESTANTS_MAX] = {{0}};
	int milliseconds = argc == 2 ? atoi(argv[1]) : 0;
	size_t count = 0;

	if (milliseconds < 1 || milliseconds > MILLISECONDS_MAX) {
		fprintf(stderr, "usage: cipher-speed MILLISECONDS (1 to %d)\n", MILLISECONDS_MAX);
		return 2;
	}
	for (size_t i = 0; crypt_engine_at(i) && count < CONTESTANTS_MAX - 1; i++)
		count += engine_contestant(&contestants[count], i);
	count += burst_contestant(&contestants[count]);
	if (!count) {
		fprintf(stderr, "cipher-speed: no engine works here\n");
		return 1;
	}
	measure_all(contestants, count, milliseconds / 1e3);
	for (size_t i = 0; i < count; i++) {
		for (int n = 0; n < 2; n++)
			crypt_context_free(contestants[i].ctx[n]);
	}
	return 0;
}
