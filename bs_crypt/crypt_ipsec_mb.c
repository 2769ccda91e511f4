/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The fast engine on x86-64: Intel's multi-buffer library. CBC encryption is serial inside a sector,
 * so it runs over many sectors at once: one burst has up to 128 of them. The IVs of a burst are one
 * ECB pass. Key schedules belong to the context and are shared by all threads; a manager (jobs, and
 * the lanes that work on them) belongs to a slot.
 *
 * A manager copies round keys into its lanes and leaves them there, so freeing a context wipes the
 * managers, too. Each is set up again at its next use.
 */
#include "crypt.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <openssl/evp.h>

#include "secret.h"

enum {
	BLOCK_BYTES = 16,
	SECTOR_UNIT_BYTES = 512, /* what sector numbers count */
	BURST_SECTORS = IMB_MAX_BURST_SIZE,
	BURST_BYTES = 64 * 1024, /* well inside a second-level cache */
	LINE_BYTES = 64,
	KEY_BYTES = 32,
	SCHEDULE_WORDS = 4 * 15, /* AES-256: 14 rounds, FIPS 197 */
	ALIGN_BYTES = 64,        /* of a manager: it has AVX-512 vectors */
};

struct schedule {
	uint32_t words[SCHEDULE_WORDS];
} __attribute__((aligned(16)));

struct ipsec_context {
	struct crypt_context context;
	uint32_t sector_bytes;
	struct schedule encrypt, decrypt, essiv;
};

/* What one call at a time works with. Its slot's lock guards it. */
struct manager {
	IMB_MGR *mgr; /* NULL: to be set up. Inside memory */
	void *memory;
	const struct ipsec_context *jobs_for; /* whose constants jobs have */
	IMB_JOB jobs[BURST_SECTORS];
	uint8_t ivs[BURST_SECTORS * BLOCK_BYTES];
};

/* A row's own: how managers are made, and the managers. */
struct arch {
	void (*init)(IMB_MGR *mgr);
	uint64_t features; /* that init's code needs */
	struct manager *managers[CRYPT_SLOTS_MAX];
};

static struct arch avx512 = {init_mb_mgr_avx512, IMB_CPUFLAGS_AVX512, {0}};
static struct arch avx2 = {init_mb_mgr_avx2, IMB_CPUFLAGS_AVX2, {0}};
static struct arch sse = {init_mb_mgr_sse, IMB_CPUFLAGS_SSE, {0}};

static struct arch *arch_of(const struct crypt_engine *engine)
{
	if (engine == &crypt_ipsec_mb_avx512)
		return &avx512;
	return engine == &crypt_ipsec_mb_avx2 ? &avx2 : &sse;
}

static struct ipsec_context *ipsec_of(struct crypt_context *ctx)
{
	return (struct ipsec_context *)(void *)ctx;
}

/* ---- Managers ---------------------------------------------------------------------------------- */

/* A new manager's memory, or an old one's after a wipe. 0 or -errno. */
static int set_up(const struct arch *arch, struct manager *m)
{
	if (!m->memory)
		m->memory = secret_alloc(imb_get_mb_mgr_size() + ALIGN_BYTES);
	if (!m->memory)
		return -ENOMEM;
	uintptr_t start = ((uintptr_t)m->memory + ALIGN_BYTES - 1) & ~(uintptr_t)(ALIGN_BYTES - 1);
	IMB_MGR *mgr = imb_set_pointers_mb_mgr((void *)start, 0, 1);
	if ((mgr->features & arch->features) != arch->features)
		return -ENOTSUP; /* init would run its self-test all the same, and crash */
	arch->init(mgr);
	if (imb_get_errno(mgr))
		return -ENOTSUP;
	m->mgr = mgr;
	return 0;
}

/* The manager of slot, ready; NULL without memory or CPU for it. Caller holds slot. */
static struct manager *manager_of(struct arch *arch, unsigned slot)
{
	struct manager **m = &arch->managers[slot];

	if (!*m)
		*m = secret_alloc(sizeof(**m));
	if (!*m || (!(*m)->mgr && set_up(arch, *m)))
		return NULL;
	return *m;
}

/* Caller holds the slot of m. */
static void wipe(struct manager *m)
{
	secret_wipe(m->memory, imb_get_mb_mgr_size() + ALIGN_BYTES);
	secret_wipe(m->jobs, sizeof(m->jobs));
	secret_wipe(m->ivs, sizeof(m->ivs));
	m->jobs_for = NULL;
	m->mgr = NULL;
}

static void wipe_managers(struct arch *arch)
{
	for (unsigned slot = 0; slot < crypt_slots(); slot++) {
		crypt_slot_lock(slot);
		if (arch->managers[slot] && arch->managers[slot]->mgr)
			wipe(arch->managers[slot]);
		crypt_slot_unlock(slot);
	}
}

static bool ipsec_available(const struct crypt_engine *engine)
{
	struct arch *arch = arch_of(engine);

	if (imb_get_version() < IMB_VERSION(1, 3, 0)) /* bursts of ciphers alone */
		return false;
	unsigned slots = crypt_slots();
	crypt_slot_lock(slots - 1);
	bool ok = manager_of(arch, slots - 1) != NULL;
	crypt_slot_unlock(slots - 1);
	return ok;
}

/* ---- Contexts ---------------------------------------------------------------------------------- */

static bool ipsec_supports(enum cipher_id id)
{
	return id == CIPHER_AES_CBC_ESSIV; /* the library has no XTS */
}

static int expand(struct arch *arch, struct ipsec_context *ctx, const uint8_t *key)
{
	uint8_t digest[KEY_BYTES];
	struct schedule unused;
	int rc = EVP_Digest(key, KEY_BYTES, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;

	crypt_slot_lock(0);
	struct manager *m = manager_of(arch, 0);
	if (m && !rc) {
		IMB_AES_KEYEXP_256(m->mgr, key, &ctx->encrypt, &ctx->decrypt);
		IMB_AES_KEYEXP_256(m->mgr, digest, &ctx->essiv, &unused);
	}
	crypt_slot_unlock(0);
	secret_wipe(digest, sizeof(digest));
	secret_wipe(&unused, sizeof(unused));
	return m ? rc : -ENOMEM;
}

/*
 * Every slot's manager now rather than at its first use: locked memory that is short is then told when
 * a volume is opened, and not by a failing command.
 */
static bool have_managers(struct arch *arch)
{
	bool all = true;

	for (unsigned slot = 0; slot < crypt_slots() && all; slot++) {
		crypt_slot_lock(slot);
		all = manager_of(arch, slot) != NULL;
		crypt_slot_unlock(slot);
	}
	return all;
}

static struct crypt_context *context_new(
	struct arch *arch, const uint8_t *key, uint32_t sector_bytes)
{
	struct ipsec_context *ctx = have_managers(arch) ? secret_alloc(sizeof(*ctx)) : NULL;

	if (!ctx)
		return NULL;
	ctx->sector_bytes = sector_bytes;
	if (expand(arch, ctx, key)) {
		secret_free(ctx);
		return NULL;
	}
	return &ctx->context;
}

static void ipsec_context_free(struct crypt_context *ctx)
{
	wipe_managers(arch_of(ctx->engine));
	secret_free(ipsec_of(ctx));
}

/* ---- Bursts ------------------------------------------------------------------------------------ */

/* What stays the same in every burst of a context. */
static void prepare_jobs(struct manager *m, const struct ipsec_context *ctx)
{
	if (m->jobs_for == ctx)
		return;
	for (unsigned i = 0; i < BURST_SECTORS; i++) {
		IMB_JOB *job = &m->jobs[i];
		job->enc_keys = &ctx->encrypt;
		job->dec_keys = &ctx->decrypt;
		job->key_len_in_bytes = KEY_BYTES;
		job->cipher_mode = IMB_CIPHER_CBC;
		job->hash_alg = IMB_AUTH_NULL;
		job->iv = m->ivs + (size_t)i * BLOCK_BYTES;
		job->iv_len_in_bytes = BLOCK_BYTES;
		job->msg_len_to_cipher_in_bytes = ctx->sector_bytes;
	}
	m->jobs_for = ctx;
}

/* ESSIV: the sector numbers, encrypted as one ECB message. */
static int make_ivs(
	struct manager *m, const struct ipsec_context *ctx, unsigned count, uint64_t sector)
{
	uint32_t step = ctx->sector_bytes / SECTOR_UNIT_BYTES;

	for (unsigned i = 0; i < count; i++) {
		uint64_t iv[2] = {htole64(sector + (uint64_t)i * step), 0};
		memcpy(m->ivs + (size_t)i * BLOCK_BYTES, iv, sizeof(iv));
	}
	IMB_JOB *job = IMB_GET_NEXT_JOB(m->mgr);
	job->enc_keys = job->dec_keys = &ctx->essiv;
	job->key_len_in_bytes = KEY_BYTES;
	job->cipher_mode = IMB_CIPHER_ECB;
	job->hash_alg = IMB_AUTH_NULL;
	job->cipher_direction = IMB_DIR_ENCRYPT;
	job->chain_order = IMB_ORDER_CIPHER_HASH;
	job->src = job->dst = m->ivs;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = (uint64_t)count * BLOCK_BYTES;
	job->iv = NULL;
	job->iv_len_in_bytes = 0;
	job = IMB_SUBMIT_JOB_NOCHECK(m->mgr);
	return job && job->status == IMB_STATUS_COMPLETED ? 0 : -EIO;
}

/*
 * Brings data into the CPU's cache in order. Encryption goes over sixteen sectors side by side, which
 * no prefetcher follows: cold data, as another CPU left it, would take it twice the time.
 */
static void fetch(const uint8_t *data, size_t len_bytes)
{
	const volatile uint8_t *line = data;

	for (size_t i = 0; i < len_bytes; i += LINE_BYTES)
		(void)line[i];
}

static int burst(struct manager *m, IMB_CIPHER_DIRECTION direction, uint32_t sector_bytes,
	uint8_t *data, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		m->jobs[i].cipher_direction = direction;
		m->jobs[i].src = m->jobs[i].dst = data + (size_t)i * sector_bytes;
	}
	uint32_t done = IMB_SUBMIT_CIPHER_BURST_NOCHECK(
		m->mgr, m->jobs, count, IMB_CIPHER_CBC, direction, IMB_KEY_256_BYTES);
	return done == count ? 0 : -EIO;
}

static int crypt_sectors(struct crypt_context *context, unsigned slot,
	IMB_CIPHER_DIRECTION direction, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	const struct ipsec_context *ctx = ipsec_of(context);
	struct manager *m = manager_of(arch_of(context->engine), slot);
	unsigned most = BURST_BYTES / ctx->sector_bytes; /* at most BURST_SECTORS */
	size_t left = len_bytes / ctx->sector_bytes;
	int rc = !m || len_bytes % ctx->sector_bytes ? -EIO : 0;

	if (!rc)
		prepare_jobs(m, ctx);
	while (left && !rc) {
		unsigned count = left < most ? (unsigned)left : most;
		if (direction == IMB_DIR_ENCRYPT)
			fetch(data, (size_t)count * ctx->sector_bytes);
		rc = make_ivs(m, ctx, count, sector);
		if (!rc)
			rc = burst(m, direction, ctx->sector_bytes, data, count);
		data += (size_t)count * ctx->sector_bytes;
		sector += (uint64_t)count * (ctx->sector_bytes / SECTOR_UNIT_BYTES);
		left -= count;
	}
	return rc;
}

static int ipsec_encrypt(
	struct crypt_context *ctx, unsigned slot, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	return crypt_sectors(ctx, slot, IMB_DIR_ENCRYPT, data, len_bytes, sector);
}

static int ipsec_decrypt(
	struct crypt_context *ctx, unsigned slot, uint8_t *data, size_t len_bytes, uint64_t sector)
{
	return crypt_sectors(ctx, slot, IMB_DIR_DECRYPT, data, len_bytes, sector);
}

/* ---- Rows -------------------------------------------------------------------------------------- */

#define ROW(arch_name)                                                                             \
	static struct crypt_context *context_new_##arch_name(                                      \
		const struct cipher *cipher, const uint8_t *key, uint32_t sector_bytes)            \
	{                                                                                          \
		(void)cipher;                                                                      \
		return context_new(&(arch_name), key, sector_bytes);                               \
	}                                                                                          \
	const struct crypt_engine crypt_ipsec_mb_##arch_name = {                                   \
		.name = "ipsec-mb-" #arch_name,                                                    \
		.side_by_side = true,                                                              \
		.available = ipsec_available,                                                      \
		.supports = ipsec_supports,                                                        \
		.context_new = context_new_##arch_name,                                            \
		.context_free = ipsec_context_free,                                                \
		.encrypt = ipsec_encrypt,                                                          \
		.decrypt = ipsec_decrypt,                                                          \
	}

ROW(avx512);
ROW(avx2);
ROW(sse);
