/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "secret.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

enum { SECRET_ALIGN = 16 };

/* Stored just before the secret, so that secret_free() needs the pointer alone. */
struct secret_block {
	uint8_t *body;     /* the accessible pages, one guard page on either side */
	size_t body_bytes; /* whole pages */
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int protect(void *body, size_t body_bytes)
{
	if (mlock(body, body_bytes))
		return -1;
	if (madvise(body, body_bytes, MADV_DONTDUMP))
		return -1;
	return madvise(body, body_bytes, MADV_WIPEONFORK);
}

void *secret_alloc(size_t len_bytes)
{
	size_t page = page_size();
	if (!len_bytes || len_bytes > SIZE_MAX / 2 - 4 * page) {
		errno = EINVAL;
		return NULL;
	}
	size_t used = (len_bytes + SECRET_ALIGN - 1) / SECRET_ALIGN * SECRET_ALIGN;
	size_t body_bytes = (sizeof(struct secret_block) + used + page - 1) / page * page;
	size_t map_bytes = body_bytes + 2 * page;

	uint8_t *map = mmap(NULL, map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	uint8_t *body = map + page;
	if (mprotect(body, body_bytes, PROT_READ | PROT_WRITE) || protect(body, body_bytes)) {
		int err = errno;
		(void)munmap(map, map_bytes);
		errno = err;
		return NULL;
	}
	uint8_t *secret = body + body_bytes - used;
	struct secret_block *block = (struct secret_block *)(void *)secret - 1;
	block->body = body;
	block->body_bytes = body_bytes;
	return secret;
}

void secret_free(void *secret)
{
	if (!secret)
		return;
	struct secret_block block = ((struct secret_block *)secret)[-1];
	if (!block.body)
		return; /* a forked child, where the kernel has wiped it all */
	OPENSSL_cleanse(block.body, block.body_bytes);
	(void)munmap(block.body - page_size(), block.body_bytes + 2 * page_size());
}

void secret_wipe(void *memory, size_t len_bytes)
{
	if (memory)
		OPENSSL_cleanse(memory, len_bytes);
}
