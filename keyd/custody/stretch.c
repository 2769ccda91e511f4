/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "stretch.h"

#include <argon2.h>
#include <errno.h>

#include "clock.h"
#include "secret.h"

enum {
	MEMORY_KIB = 256 * 1024,
	TARGET_MS = 1000,
	PASSES_MIN = 3,
	PASSES_FIXED = 4,
	LANES = 1,

	/* What a file may ask for. */
	PASSES_MAX = 64,
	MEMORY_KIB_MIN = 8 * 1024,
	MEMORY_KIB_MAX = 4 * 1024 * 1024,
};

/* Argon2's memory ends in what the key is made of. */
static int lock_memory(uint8_t **memory, size_t bytes)
{
	*memory = secret_alloc(bytes);
	return *memory ? ARGON2_OK : ARGON2_MEMORY_ALLOCATION_ERROR;
}

static void free_memory(uint8_t *memory, size_t bytes)
{
	(void)bytes;
	secret_free(memory);
}

int stretch_key(const struct stretch *params, const struct proto_passphrase *passphrase,
	uint8_t key[WRAP_KEY_BYTES])
{
	argon2_context ctx = {
		.out = key,
		.outlen = WRAP_KEY_BYTES,
		.pwd = (uint8_t *)(uintptr_t)passphrase->bytes, /* read only: no CLEAR flag */
		.pwdlen = passphrase->len_bytes,
		.salt = (uint8_t *)(uintptr_t)params->salt,
		.saltlen = STRETCH_SALT_BYTES,
		.t_cost = params->passes,
		.m_cost = params->memory_kib,
		.lanes = LANES,
		.threads = LANES,
		.version = ARGON2_VERSION_13,
		.allocate_cbk = lock_memory,
		.free_cbk = free_memory,
		.flags = ARGON2_DEFAULT_FLAGS,
	};

	switch (argon2id_ctx(&ctx)) {
	case ARGON2_OK:
		return 0;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

int stretch_calibrate(struct stretch *params, const struct proto_passphrase *passphrase,
	uint8_t key[WRAP_KEY_BYTES])
{
	*params = (struct stretch){.passes = PASSES_MIN, .memory_kib = MEMORY_KIB};
	int rc = wrap_new_key(params->salt, sizeof(params->salt));
	if (rc)
		return rc;
	int64_t began_ms = clock_now_ms();
	rc = stretch_key(params, passphrase, key);
	int64_t took_ms = clock_now_ms() - began_ms;

	int64_t passes = took_ms > 0 ? PASSES_MIN * (int64_t)TARGET_MS / took_ms : PASSES_MAX;
	if (passes < PASSES_MIN)
		passes = PASSES_MIN;
	if (passes > PASSES_MAX)
		passes = PASSES_MAX;
	params->passes = (uint32_t)passes;
	return rc;
}

int stretch_fixed(struct stretch *params)
{
	*params = (struct stretch){.passes = PASSES_FIXED, .memory_kib = MEMORY_KIB};
	return wrap_new_key(params->salt, sizeof(params->salt));
}

bool stretch_is_plausible(const struct stretch *params)
{
	return params->passes && params->passes <= PASSES_MAX &&
	       params->memory_kib >= MEMORY_KIB_MIN && params->memory_kib <= MEMORY_KIB_MAX;
}
